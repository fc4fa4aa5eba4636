package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/kafka"
)

// Postponed records wait for their channel and for nothing else: more of them
// than there are handlers hold up no other key, none is committed, none counts as
// a failure, and all are tried at once when the channel is closed, in their order.
func TestGroupPostponed(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		ready := make(chan struct{})
		var open atomic.Bool
		var mu sync.Mutex
		var order []string
		tries := map[string]int{}
		handle := func(_ context.Context, r kafka.Record) error {
			v := string(r.Value)
			mu.Lock()
			defer mu.Unlock()
			tries[v]++
			if !strings.HasPrefix(v, "good:") && !open.Load() {
				return fmt.Errorf("apply %s: %w", v, kafka.Postpone(ready, errors.New("an operator wants it so")))
			}
			if strings.HasPrefix(v, "wait0:") {
				order = append(order, v)
			}
			return nil
		}
		cfg := kafka.GroupConfig{Group: topic, Topic: topic, Parallel: 2, Backoff: kafka.Backoff{Min: time.Hour, Max: time.Hour}, CommitInterval: 10 * time.Millisecond}
		g, _ := c.group(t, cfg, byValue, handle)
		p := c.producer(t, kafka.ProducerConfig{})
		send(t, p, kafka.Record{Topic: topic, Value: []byte("good:first")})
		for i := range 20 {
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Appendf(nil, "wait%d:%d", i%10, i)})
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Appendf(nil, "good:%d", i)})
		}
		until(t, 30*time.Second, "the good ones are applied and ten keys wait", func() bool { s := g.Status(); return s.Applied == 21 && s.Retrying == 10 })
		if s := g.Status(); s.Claims[0].Marked != 1 || s.Retried != 0 {
			t.Errorf("commits may go up to %d, %d failures, want 1 and none", s.Claims[0].Marked, s.Retried)
		}
		mu.Lock()
		for v, n := range tries {
			if n != 1 {
				t.Errorf("%s was tried %d times before its channel was closed, want once", v, n)
			}
		}
		mu.Unlock()
		open.Store(true)
		close(ready)
		until(t, 30*time.Second, "the rest is applied", func() bool { return g.Status().Applied == 41 })
		mu.Lock()
		defer mu.Unlock()
		if got := fmt.Sprint(order); got != "[wait0:0 wait0:10]" {
			t.Errorf("applied in the order %s", got)
		}
	})
}

// Postponed records do not hold up the member's end, and are read again.
func TestGroupStopsWithPostponed(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		never := make(chan struct{})
		handle := func(context.Context, kafka.Record) error { return kafka.Postpone(never, errors.New("not now")) }
		g, stop := c.group(t, kafka.GroupConfig{Group: topic, Topic: topic}, byValue, handle)
		send(t, c.producer(t, kafka.ProducerConfig{}), kafka.Record{Topic: topic, Value: []byte("a:1")})
		until(t, 30*time.Second, "it waits", func() bool { return g.Status().Retrying == 1 })
		stop()
		var seen atomic.Int32
		c.group(t, kafka.GroupConfig{Group: topic, Topic: topic}, byValue, func(context.Context, kafka.Record) error { seen.Add(1); return nil })
		until(t, 30*time.Second, "the next member has it", func() bool { return seen.Load() == 1 })
	})
}
