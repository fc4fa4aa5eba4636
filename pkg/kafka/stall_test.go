package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"

	embedded "eshop/pkg/embedded/kafka"
)

// deaf is a fault inside the client library: the first record stays in it, and
// with it all that comes after, until the fault is lifted.
type deaf struct {
	once   sync.Once
	lifted chan struct{}
}

func (d *deaf) OnConsume(*sarama.ConsumerMessage) { d.once.Do(func() { <-d.lifted }) }

// A member whose reading stands still in silence, while the brokers have
// something for it, is started anew by the watchdog (25).
func TestWatchdogRestartsADeafMember25(t *testing.T) {
	for _, kind := range []string{"group", "group reader"} {
		t.Run(kind, func(t *testing.T) {
			server, err := embedded.Start(t.Context(), embedded.Config{Topics: []embedded.Topic{{Name: "t", Partitions: 1}}}, embedded.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			cfg := Config{Brokers: []string{server.Addr()}}
			p, err := NewProducer(ProducerConfig{Config: cfg}, Deps{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			wg.Go(func() { _ = p.Run(ctx) })
			for i := range 10 {
				if err := p.Send(ctx, Record{Topic: "t", Value: fmt.Append(nil, i)}); err != nil {
					t.Fatal(err)
				}
			}
			fault := &deaf{lifted: make(chan struct{})}
			lift := sync.OnceFunc(func() { close(fault.lifted) })
			defer lift()
			var read atomic.Int64
			var restarts func() uint64
			var run func(context.Context) error
			switch kind {
			case "group":
				g, err := NewGroup(GroupConfig{Config: cfg, Group: "g", Topic: "t", StallTimeout: 500 * time.Millisecond},
					func(Record) (string, error) { return "", nil },
					func(context.Context, Record) error { read.Add(1); return nil }, Deps{})
				if err != nil {
					t.Fatal(err)
				}
				g.conf.Consumer.Interceptors = []sarama.ConsumerInterceptor{fault}
				restarts, run = func() uint64 { return g.Status().Restarts }, g.Run
			default:
				g, err := NewGroupReader(GroupReaderConfig{Config: cfg, Group: "g", Topic: "t", StallTimeout: 500 * time.Millisecond}, adder{&read}, Deps{})
				if err != nil {
					t.Fatal(err)
				}
				g.conf.Consumer.Interceptors = []sarama.ConsumerInterceptor{fault}
				restarts, run = func() uint64 { return g.Status().Restarts }, g.Run
			}
			wg.Go(func() { _ = run(ctx) })
			poll(t, "the watchdog restarts it", func() bool { return restarts() == 1 })
			lift()
			poll(t, "all is read", func() bool { return read.Load() == 10 })
			if got := restarts(); got != 1 {
				t.Errorf("restarts: got %d, want 1", got)
			}
		})
	}
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not within 30 s: %s", what)
		case <-tick.C:
		}
	}
}
