package gateway

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	embeddedkafka "eshop/pkg/embedded/kafka"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

var allModes = []AccessLog{{Mode: AccessCounts}, {Mode: AccessFull}, {Mode: AccessSampled, Sample: 10}}

// What was asked is in the log when the process has stopped.
func TestAccessLogIsExact(t *testing.T) {
	onBrokers(t, sharedBrokers, func(t *testing.T, b *brokers) {
		for _, log := range allModes {
			t.Run(log.Mode, func(t *testing.T) {
				topic := lab.Name(t)
				b.topic(t, topic)
				r := runLog(t, b, topic, log, accessRecords)
				r.moves(60 * time.Second)
				r.askFor(300*time.Millisecond, 400)
				r.ask(4000) // and stop at once: the end is flushed
				if lost := r.settled(topic); len(lost) != 0 {
					t.Errorf("lost %v", lost)
				}
			})
		}
	})
}

// 12, PITFALLS 13 and 14: the brokers go away and come back. Pages are as ever,
// the buffer keeps its bound, and the log goes on by itself.
func TestPitfall13Outage(t *testing.T) {
	onBrokers(t, pausedBrokers, func(t *testing.T, b *brokers) {
		for _, log := range allModes {
			t.Run(log.Mode, func(t *testing.T) {
				topic := lab.Name(t)
				b.topic(t, topic)
				r := runLog(t, b, topic, log, room)
				r.moves(60 * time.Second)
				b.away()
				r.askFor(3*time.Second, 40)
				acked := r.acked()
				if log.Mode == AccessFull { // beyond what the producer has room for
					r.ask(5 * room)
				}
				if n := r.access.books.pending.Load(); n > room {
					t.Errorf("%d records are buffered, more than the bound of %d", n, room)
				}
				if log.Mode == AccessCounts && r.access.books.pending.Load() > 4*underway {
					t.Errorf("%d records are with the producer, want at most %d for each of 4 partitions", r.access.books.pending.Load(), underway)
				}
				if n := r.acked(); n != acked {
					t.Errorf("%d hits were acknowledged while the brokers were away", n-acked)
				}
				b.back()
				r.moves(90 * time.Second)
				r.askFor(200*time.Millisecond, 400)
				lab.Until(t, 90*time.Second, func(context.Context) error {
					if n := r.access.books.held.Load(); n > 0 {
						return fmt.Errorf("%d hits are still to be sent", n)
					}
					return nil
				})
				lost := r.settled(topic)
				if log.Mode == AccessFull {
					if n := lost[kafka.DropFull] + lost[kafka.DropPartitionFull]; n == 0 || n != r.access.books.gone.Load() {
						t.Errorf("lost %v, want what found the producer full", lost)
					}
				} else if lost[lostOld] == 0 && len(lost) != 0 || len(lost) > 1 {
					t.Errorf("lost %v, want nothing but what became too old", lost)
				}
				if took := time.Duration(r.slowest.Load()); took > 5*time.Second {
					t.Errorf("a request took %v", took)
				}
			})
		}
	})
}

// The process stops while the brokers are away: soon, and with the rest counted.
func TestStopDuringAnOutage(t *testing.T) {
	for _, log := range allModes {
		t.Run(log.Mode, func(t *testing.T) {
			s, err := embeddedkafka.Start(t.Context(), embeddedkafka.Config{}, embeddedkafka.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			b := &brokers{Config: kafka.Config{Brokers: []string{s.Addr()}}}
			topic := lab.Name(t)
			b.topic(t, topic)
			r := runLog(t, b, topic, log, room)
			r.moves(30 * time.Second)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			r.ask(1000)
			r.stop()
			lost, sampled := losses(t, r.access.books), int64(counter(t, r.access.books.sampled))
			if got := r.acked() + r.access.books.gone.Load() + sampled; r.access.books.held.Load() != 0 || sampled == 0 && got != r.asked.Load() {
				t.Errorf("%d requests: %d acknowledged, lost %v, %d sampled, %d held", r.asked.Load(), r.acked(), lost, sampled, r.access.books.held.Load())
			}
			if lost[kafka.DropShutdown] == 0 {
				t.Errorf("lost %v, want some at the end", lost)
			}
		})
	}
}

// A topic that is missing is none of the pages' business; when somebody creates
// it, the log begins, with what is not too old.
func TestMissingTopic(t *testing.T) {
	b := sharedBrokers(t)
	topic := lab.Name(t)
	r := runLog(t, b, topic, AccessLog{}, room)
	r.ask(400)
	lab.Until(t, 20*time.Second, func(context.Context) error { // swept, so that they are held back
		if n := r.access.books.held.Load(); n != 400 {
			return fmt.Errorf("%d hits held", n)
		}
		return nil
	})
	b.topic(t, topic)
	r.moves(60 * time.Second)
	lost := r.settled(topic)
	delete(lost, lostOld) // a slow machine
	if len(lost) != 0 {
		t.Errorf("lost %v", lost)
	}
}

// 6, PITFALL 14: a producer that hangs, or that reaches nobody, holds up no request.
func TestPitfall14BlockedProducer(t *testing.T) {
	t.Run("hangs", func(t *testing.T) {
		const n = 5000
		g, f := newLogRig(t, AccessLog{}, 1)
		inside, release := make(chan struct{}, 1), make(chan struct{})
		f.refuse = func(kafka.Record) string {
			select {
			case inside <- struct{}{}:
			default:
			}
			<-release
			return ""
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- g.access.run(ctx) }()
		g.get(t, "/product/7")
		<-inside
		for range n { // hits and misses alike
			g.get(t, "/product/7")
			g.get(t, "/product/8")
		}
		cancel()
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := logged(t, f.records()); got[7] != 1+n || got[8] != n {
			t.Errorf("logged %v", got)
		}
	})
	for _, log := range allModes {
		t.Run("reaches nobody, "+log.Mode, func(t *testing.T) {
			link := lab.NewLink(t, "")
			link.Blackhole()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l.Close() // refuses
			r := runLog(t, &brokers{Config: kafka.Config{Brokers: []string{l.Addr().String(), link.Addr()}}}, "t", log, room)
			r.ask(5 * room)
			if n := r.access.books.pending.Load(); n > room {
				t.Errorf("%d records are buffered, more than the bound of %d", n, room)
			}
			r.stop()
			b := r.access.books
			if log.Mode == AccessCounts && b.gone.Load() != r.asked.Load() || b.held.Load() != 0 {
				t.Errorf("%d requests, lost %v, %d held", r.asked.Load(), losses(t, b), b.held.Load())
			}
			t.Logf("lost %v, slowest %v", losses(t, b), time.Duration(r.slowest.Load()))
		})
	}
}

// The role as a whole: its topic is missing at first, it is ready all the same;
// when it stops, the last requests are in the log.
func TestAccessLogOfARole(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.put(product(1, 10, "5599.0"), shop(11, "Shop three"))
		b := &brokers{Config: w.kafka}
		g := w.gateway("gw-1")
		topic := g.cfg.TopicAccess
		b.topic(t, topic)
		const n = 40
		for i := range n {
			if p := fetch(t, g, []string{"/product/7", "/product/404404"}[i%2]); p.code != []int{200, 404}[i%2] {
				t.Fatalf("answer %d", p.code)
			}
		}
		w.until("all is in the log", func() (bool, string) {
			return int64(counter(t, g.access.books.hits)) == n, fmt.Sprint(g.access.status())
		})
		hits, _, _ := (&logRun{t: t, brokers: b}).inLog(topic, int(counter(t, g.access.books.records)))
		if hits[7] != n/2 || hits[404404] != n/2 || len(hits) != 2 {
			t.Errorf("logged %v, want %d of each", hits, n/2)
		}
		if _, has := g.status().(map[string]any)["accessLog"]; !has {
			t.Error("the status does not tell of the access log")
		}
	})
}
