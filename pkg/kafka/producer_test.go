package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	embedded "eshop/pkg/embedded/kafka"
	"eshop/pkg/kafka"
)

// refused is an address nobody listens on.
func refused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

// With no broker the queue fills to its bound and every further record is
// counted; nothing waits, and the end accounts for the rest (14, 23).
func TestProducerBoundsAndExactDrops14And23(t *testing.T) {
	for _, tc := range []struct {
		name   string
		cfg    kafka.ProducerConfig
		value  int
		offers int
		want   map[string]uint64
		held   int
	}{
		{"records", kafka.ProducerConfig{MaxRecords: 100}, 10, 1000, map[string]uint64{kafka.DropFull: 900, kafka.DropShutdown: 100, kafka.DropClosed: 1}, 100},
		{"bytes", kafka.ProducerConfig{MaxBytes: 10_000}, 936, 50, map[string]uint64{kafka.DropFull: 40, kafka.DropShutdown: 10, kafka.DropClosed: 1}, 10},
		{"too large", kafka.ProducerConfig{MaxRecordBytes: 100}, 101, 7, map[string]uint64{kafka.DropTooLarge: 7, kafka.DropClosed: 1}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			noLeaks(t)
			registry := prometheus.NewRegistry()
			tc.cfg.Config = kafka.Config{Brokers: []string{refused(t)}}
			tc.cfg.FlushTimeout = 50 * time.Millisecond
			p, err := kafka.NewProducer(tc.cfg, kafka.Deps{Registry: registry})
			if err != nil {
				t.Fatal(err)
			}
			stop := running(t, p.Run)
			accepted := 0
			var slowest time.Duration
			for range tc.offers {
				began := time.Now()
				if p.Offer(kafka.Record{Topic: "t", Value: make([]byte, tc.value)}) {
					accepted++
				}
				slowest = max(slowest, time.Since(began))
			}
			if s := p.Status(); s.Records != tc.held || accepted != tc.held {
				t.Errorf("held: got %d, accepted %d, want %d", s.Records, accepted, tc.held)
			}
			if slowest > 100*time.Millisecond {
				t.Errorf("the slowest offer took %v", slowest)
			}
			until(t, 10*time.Second, "the outage shows", func() bool { return tc.held == 0 || p.Status().LastError != "" })
			stop()
			small := kafka.Record{Topic: "t", Value: []byte("x")}
			if p.Offer(small) {
				t.Error("an offer after the end was accepted")
			}
			if err := p.Send(t.Context(), small); !errors.Is(err, kafka.ErrClosed) {
				t.Errorf("send after the end: got %v, want ErrClosed", err)
			}
			if got := fmt.Sprint(p.Dropped()); got != fmt.Sprint(tc.want) {
				t.Errorf("dropped: got %v, want %v", got, tc.want)
			}
			if s := p.Status(); s.Records != 0 || s.Bytes != 0 {
				t.Errorf("held after the end: got %+v", s)
			}
			var sum float64
			families, _ := registry.Gather()
			for _, f := range families {
				if f.GetName() == "eshop_kafka_producer_dropped_total" {
					for _, m := range f.GetMetric() {
						sum += m.GetCounter().GetValue()
					}
				}
			}
			var want uint64
			for _, n := range tc.want {
				want += n
			}
			if sum != float64(want) {
				t.Errorf("drop metric: got %v, want %d", sum, want)
			}
		})
	}
}

func TestProducerSendWaitsForRoomAndObeysItsContext(t *testing.T) {
	noLeaks(t)
	p, err := kafka.NewProducer(kafka.ProducerConfig{Config: kafka.Config{Brokers: []string{refused(t)}}, MaxRecords: 1, FlushTimeout: time.Millisecond}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	running(t, p.Run)
	if !p.Offer(kafka.Record{Topic: "t"}) {
		t.Fatal("the first offer was dropped")
	}
	for _, want := range []string{"wait for room"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := p.Send(ctx, kafka.Record{Topic: "t"})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) {
			t.Errorf("send: got %v, want a deadline with %q", err, want)
		}
	}
	if got := p.Dropped(); len(got) != 0 {
		t.Errorf("dropped: got %v, want none: the caller of Send was told", got)
	}
}

func TestProducerPartitionsByCRC32(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 5)
		out := &sink{}
		c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: -1}, out)
		p := c.producer(t, kafka.ProducerConfig{})
		for i := range 100 {
			p.Offer(kafka.Record{Topic: topic, Key: fmt.Appendf(nil, "%d", i), Value: []byte("v")})
		}
		until(t, 30*time.Second, "all are read", func() bool { return out.count() == 100 })
		for _, r := range out.all() {
			if want := int32(crc32.ChecksumIEEE(r.Key) % 5); r.Partition != want {
				t.Errorf("key %s: got partition %d, want %d", r.Key, r.Partition, want)
			}
		}
	})
}

func TestProducerManualPartitionAndTimes(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 3)
		out := &sink{}
		c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: -1}, out)
		p := c.producer(t, kafka.ProducerConfig{ManualPartition: true})
		base := time.UnixMilli(1_700_000_000_000)
		for i := range 30 { // times go back and forth within a batch
			p.Offer(kafka.Record{Topic: topic, Partition: int32(i % 3), Key: []byte("same"), Value: fmt.Append(nil, i), Time: base.Add(time.Duration(i*(1-2*(i%2))) * time.Second)})
		}
		until(t, 30*time.Second, "all are read", func() bool { return out.count() == 30 })
		for _, r := range out.all() {
			var i int
			_, _ = fmt.Sscan(string(r.Value), &i)
			if want := base.Add(time.Duration(i*(1-2*(i%2))) * time.Second); r.Partition != int32(i%3) || !r.Time.Equal(want) {
				t.Errorf("record %d: got partition %d time %v, want %d %v", i, r.Partition, r.Time, i%3, want)
			}
		}
	})
}

// A topic that does not exist yet is created by the broker, or waited for (14).
func TestProducerUnknownTopic14(t *testing.T) {
	noLeaks(t)
	c := cluster{brokers: []string{startEmbedded(t, embedded.Config{Partitions: 2}).Addr()}}
	p := c.producer(t, kafka.ProducerConfig{})
	send(t, p, kafka.Record{Topic: "made-by-writing", Value: []byte("v")})
	got, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: "made-by-writing", Partitions: 7}}, kafka.Deps{})
	if err != nil || len(got) != 1 || got[0].Created || got[0].Partitions != 2 {
		t.Errorf("got %+v %v, want the topic there with 2 partitions", got, err)
	}
}

// A record that the topic refuses is reported; its neighbours in the batch get through.
func TestProducerRefusedRecordDoesNotHoldUpOthers(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1) + "-small"
		if _, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: topic, Partitions: 1, Replication: 3, Config: map[string]string{"max.message.bytes": "2000"}}}, kafka.Deps{}); err != nil {
			t.Fatal(err)
		}
		p := c.producer(t, kafka.ProducerConfig{Flush: 20 * time.Millisecond})
		for i := range 20 {
			n := 100
			if i == 7 {
				n = 5000
			}
			p.Offer(kafka.Record{Topic: topic, Value: make([]byte, n)})
		}
		err := p.Send(t.Context(), kafka.Record{Topic: topic, Value: make([]byte, 5000)})
		if !errors.Is(err, kafka.ErrTooLarge) {
			t.Errorf("send: got %v, want ErrTooLarge", err)
		}
		until(t, 30*time.Second, "the others are written", func() bool { return p.Status().Acked == 19 })
		if got := p.Dropped()[kafka.DropRejected]; got != 1 {
			t.Errorf("rejected: got %d, want 1", got)
		}
	})
}

// Many goroutines offer and send at once; what is acknowledged is in the log exactly once.
func TestProducerConcurrentUse(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 4)
		out := &sink{}
		c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: -1}, out)
		p := c.producer(t, kafka.ProducerConfig{MaxRecords: 300})
		var wg sync.WaitGroup
		var offered, dropped, sent int
		var mu sync.Mutex
		for w := range 8 {
			wg.Go(func() {
				for i := range 200 {
					r := kafka.Record{Topic: topic, Key: fmt.Append(nil, w), Value: fmt.Appendf(nil, "%d/%d", w, i)}
					if w%2 == 0 {
						if err := p.Send(t.Context(), r); err != nil {
							t.Error(err)
						}
						mu.Lock()
						sent++
						mu.Unlock()
						continue
					}
					ok := p.Offer(r)
					mu.Lock()
					offered++
					if !ok {
						dropped++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		want := sent + offered - dropped
		until(t, 30*time.Second, "all accepted are read", func() bool { return out.count() >= want })
		seen := make(map[string]bool)
		for _, v := range out.values() {
			if seen[v] {
				t.Errorf("record %s is in the log twice", v)
			}
			seen[v] = true
		}
		var counted uint64
		for _, n := range p.Dropped() {
			counted += n
		}
		if len(seen) != want || counted != uint64(dropped) {
			t.Errorf("got %d in the log and %d drops counted, want %d and %d", len(seen), counted, want, dropped)
		}
	})
}
