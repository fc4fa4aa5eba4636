package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Topic describes a topic to create. Zero Partitions or Replication leave the choice to the broker.
type Topic struct {
	Name        string
	Partitions  int32
	Replication int16 // lowered to the number of brokers
	Config      map[string]string
}

// TopicResult says what EnsureTopics found or made.
type TopicResult struct {
	Name        string
	Created     bool  // false: it was there before, and is left as it is
	Partitions  int32 // as it is now
	Replication int16 // as it is now
}

// EnsureTopics creates the topics that are missing and waits until every one
// has leaders. Calling it again, or from several processes at once, is harmless.
// The error joins one problem per topic; the results that are known come with it.
func EnsureTopics(ctx context.Context, cfg Config, topics []Topic, deps Deps) ([]TopicResult, error) {
	conf, err := cfg.sarama()
	if err != nil {
		return nil, err
	}
	admin, err := sarama.NewClusterAdmin(cfg.Brokers, bind(ctx, conf))
	if err != nil {
		return nil, fmt.Errorf("connect to kafka to create topics: %w", conf.strange(err))
	}
	defer func() { _ = admin.Close() }()
	brokers, _, err := admin.DescribeCluster()
	if err != nil {
		return nil, fmt.Errorf("count the kafka brokers: %w", err)
	}
	var results []TopicResult
	var problems []error
	for _, t := range topics {
		created, err := create(admin, t, len(brokers))
		if err == nil {
			var r TopicResult
			r, err = settled(ctx, admin, t.Name)
			if err == nil {
				r.Created = created
				results = append(results, r)
				deps.logger().Info("kafka topic is there", "topic", r.Name, "created", created, "partitions", r.Partitions, "replication", r.Replication)
				continue
			}
		}
		problems = append(problems, fmt.Errorf("create kafka topic %s: %w", t.Name, conf.explain(err)))
	}
	return results, errors.Join(problems...)
}

func create(admin sarama.ClusterAdmin, t Topic, brokers int) (bool, error) {
	detail := &sarama.TopicDetail{NumPartitions: t.Partitions, ReplicationFactor: min(t.Replication, int16(brokers))}
	if detail.NumPartitions <= 0 {
		detail.NumPartitions = -1
	}
	if detail.ReplicationFactor <= 0 {
		detail.ReplicationFactor = -1
	}
	if len(t.Config) > 0 {
		detail.ConfigEntries = make(map[string]*string, len(t.Config))
		for k, v := range t.Config {
			detail.ConfigEntries[k] = &v
		}
	}
	err := admin.CreateTopic(t.Name, detail, false)
	if errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return false, nil
	}
	return err == nil, err
}

// settled waits until every partition has a leader.
func settled(ctx context.Context, admin sarama.ClusterAdmin, name string) (TopicResult, error) {
	for attempt := 0; ; attempt++ {
		found, err := admin.DescribeTopics([]string{name})
		if err == nil && len(found) == 1 && found[0].Err == sarama.ErrNoError && len(found[0].Partitions) > 0 {
			r := TopicResult{Name: name, Partitions: int32(len(found[0].Partitions)), Replication: int16(len(found[0].Partitions[0].Replicas))}
			led := true
			for _, p := range found[0].Partitions {
				led = led && p.Leader >= 0
			}
			if led {
				return r, nil
			}
		}
		if !pause(ctx, min(10*time.Millisecond<<min(attempt, 6), 200*time.Millisecond)) {
			return TopicResult{}, errors.Join(errors.New("wait for its leaders"), ctx.Err(), err)
		}
	}
}
