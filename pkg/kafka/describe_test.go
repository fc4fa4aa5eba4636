package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// TestDescribe: brokers, a topic that is there, and one that is not and does not
// come to be by being asked for.
func TestDescribe(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		const dead = "127.0.0.1:1"
		cfg := c.config()
		cfg.Brokers = append([]string{dead}, c.brokers[0])
		there, missing := lab.Name(t), lab.Name(t)
		if _, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: there, Partitions: 3, Replication: 3, Config: map[string]string{"retention.ms": "60000"}}}, kafka.Deps{}); err != nil {
			t.Fatal(err)
		}
		var r kafka.ClusterReport
		lab.Until(t, 30*time.Second, func(ctx context.Context) (err error) { // every broker has to hear of a new topic
			if r, err = kafka.Describe(ctx, cfg, []string{there, missing}, []kafka.GroupQuery{{Group: "none", Topic: missing}}); err == nil {
				err = r.Topics[0].Err
			}
			return err
		})
		if len(r.Brokers) != len(c.brokers)+1 || r.Controller < 0 {
			t.Errorf("got %d brokers and the controller %d, want %d and the dead address", len(r.Brokers), r.Controller, len(c.brokers))
		}
		for i, b := range r.Brokers {
			if b.Given != (i < 2) || (b.Err != nil) != (b.Addr == dead) || b.Err == nil && (b.ID < 0 || b.Version != "3.0") {
				t.Errorf("got %+v", b)
			}
		}
		topic := r.Topics[0]
		if topic.Err != nil || len(topic.Partitions) != 3 || topic.Settings["retention.ms"] != "60000" || topic.Settings["cleanup.policy"] != "delete" {
			t.Errorf("got %+v", topic)
		}
		for _, p := range topic.Partitions {
			if p.Leader < 0 || p.Replicas != len(c.brokers) || p.InSync < 1 {
				t.Errorf("got %+v", p)
			}
		}
		for range 2 {
			if r.Topics[1].Name != missing || !errors.Is(r.Topics[1].Err, kafka.ErrNoTopic) || !errors.Is(r.Groups[0].Err, kafka.ErrNoTopic) {
				t.Errorf("got %+v and %+v, want it missing", r.Topics[1], r.Groups[0])
			}
			var err error
			if r, err = kafka.Describe(t.Context(), cfg, []string{there, missing}, []kafka.GroupQuery{{Group: "none", Topic: missing}}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestDescribeNobody: without any broker there is a reason for each.
func TestDescribeNobody(t *testing.T) {
	noLeaks(t)
	r, err := kafka.Describe(t.Context(), kafka.Config{Brokers: []string{"127.0.0.1:1"}}, []string{"x"}, nil)
	if err != nil || len(r.Brokers) != 1 || r.Brokers[0].Err == nil || r.Topics != nil || r.Controller != -1 {
		t.Errorf("got %+v %v", r, err)
	}
	if _, err := kafka.Describe(t.Context(), kafka.Config{}, nil, nil); err == nil {
		t.Error("no address is no error")
	}
}

// TestDescribeGroup counts what waits, what is old, and what was lost.
func TestDescribeGroup(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic, group := c.topic(t, 1), lab.Name(t)
		p := c.producer(t, kafka.ProducerConfig{})
		for _, age := range []time.Duration{10 * time.Minute, 9 * time.Minute, 2 * time.Minute, time.Second, 0} {
			send(t, p, kafka.Record{Topic: topic, Value: []byte("x"), Time: time.Now().Add(-age)})
		}
		admin := c.admin(t)
		describe := func() kafka.GroupReport {
			t.Helper()
			r, err := kafka.Describe(t.Context(), c.config(), []string{topic}, []kafka.GroupQuery{{Group: group, Topic: topic, Ages: []time.Duration{time.Minute, 5 * time.Minute}}})
			if err != nil || r.Groups[0].Err != nil {
				t.Fatal(err, r.Groups[0].Err)
			}
			return r.Groups[0]
		}
		if g := describe(); g.Unread != 1 || g.Partitions != 1 || g.Lag != 0 || g.Members != 0 {
			t.Errorf("a group that nobody knows: got %+v", g)
		}
		if err := commitFor(admin, group, topic, 1); err != nil {
			t.Fatal(err)
		}
		if g := describe(); g.Unread != 0 || g.Lag != 4 || g.Older[0] != 2 || g.Older[1] != 1 || g.Lost != 0 {
			t.Errorf("one of five is done: got %+v, want 4 to wait, 2 older than a minute and 1 than five", g)
		}
		if err := admin.DeleteRecords(topic, map[int32]int64{0: 3}); err != nil {
			t.Fatal(err)
		}
		if g := describe(); g.Lost != 2 || g.Lag != 4 || g.Older[0] != 0 {
			t.Errorf("the first three are removed: got %+v, want 2 lost", g)
		}
		if err := commitFor(admin, group, topic, 5); err != nil {
			t.Fatal(err)
		}
		if g := describe(); g.Lost+g.Lag+g.Older[0]+g.Older[1] != 0 {
			t.Errorf("all is done: got %+v", g)
		}
	})
}
