package doctor_test

import (
	"context"
	"testing"
	"time"

	"eshop/pkg/kafka"
	"eshop/pkg/zookeeper"
)

// put writes a node and removes it at the end of the test.
func (w *world) put(t *testing.T, path string, data []byte) {
	t.Helper()
	w.session(t, func(ctx context.Context, s *zookeeper.Session) error { return s.Put(ctx, path, data) })
	t.Cleanup(func() {
		w.session(t, func(ctx context.Context, s *zookeeper.Session) error { return s.Delete(ctx, path, -1) })
	})
}

// lag has the group of the cache role do one of four old changes and stop.
func (w *world) lag(t *testing.T, age time.Duration) {
	t.Helper()
	w.topic(t, &w.cfg.TopicChange, 1, 3, nil)
	w.cfg.GroupCache = w.cfg.TopicChange
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	producer, err := kafka.NewProducer(kafka.ProducerConfig{Config: w.cfg.Kafka}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	send := func(n int) {
		w.run(t, ctx, producer.Run, func() {
			for range n {
				if err := producer.Send(ctx, kafka.Record{Topic: w.cfg.TopicChange, Value: []byte("{}"), Time: time.Now().Add(-age)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	send(1)
	done := make(chan struct{})
	group, err := kafka.NewGroup(kafka.GroupConfig{Config: w.cfg.Kafka, Group: w.cfg.GroupCache, Topic: w.cfg.TopicChange, DeadTopic: w.cfg.TopicDead},
		func(kafka.Record) (string, error) { return "all", nil },
		func(context.Context, kafka.Record) error { close(done); return nil }, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, ctx, group.Run, func() {
		select {
		case <-done:
		case <-ctx.Done():
			t.Error("the group did not get the first record in time")
		}
	})
	if producer, err = kafka.NewProducer(kafka.ProducerConfig{Config: w.cfg.Kafka}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	send(3)
}

// run keeps a client running for as long as work takes.
func (w *world) run(t *testing.T, ctx context.Context, client func(context.Context) error, work func()) {
	t.Helper()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- client(running) }()
	work()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
