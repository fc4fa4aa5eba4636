package all

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"eshop/pkg/kafka"
	"eshop/pkg/lifecycle"
)

// needsTopics is the ready condition that Kafka has every topic.
const needsTopics = "topics"

// Times of topicMaker: one attempt, and the shortest and longest wait after a
// failed one.
const (
	topicsLimit    = 30 * time.Second
	topicsMinPause = 250 * time.Millisecond
	topicsMaxPause = 10 * time.Second
	// topicsHeadStart is how long the roles are held back for the first attempt: on
	// embedded servers it takes milliseconds, and without it they would begin with
	// warnings that there are no topics.
	topicsHeadStart = time.Second
)

// topicMaker creates the missing topics, however long Kafka is away. The roles
// start beside it, a second later at most: without topics they wait, as they do without brokers.
type topicMaker struct {
	kafka  kafka.Config
	topics []kafka.Topic
	ready  *lifecycle.Ready
	log    *slog.Logger
}

// run tries until the topics are there, then waits for the end of ctx.
func (m *topicMaker) run(ctx context.Context, started func()) error {
	started = sync.OnceFunc(started)
	defer time.AfterFunc(topicsHeadStart, started).Stop()
	for pause := topicsMinPause; ; pause = min(2*pause, topicsMaxPause) {
		err := m.try(ctx)
		started()
		if err == nil {
			m.ready.Set(needsTopics, true, "")
			<-ctx.Done()
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		m.ready.Set(needsTopics, false, err.Error())
		m.log.Warn("the topics are not there yet", "error", err, "again_after", pause)
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil
		}
	}
}

func (m *topicMaker) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, topicsLimit)
	defer cancel()
	_, err := kafka.EnsureTopics(ctx, m.kafka, m.topics, kafka.Deps{Log: m.log})
	return err
}
