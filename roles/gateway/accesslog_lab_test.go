package gateway

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	embeddedkafka "eshop/pkg/embedded/kafka"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// brokers are a cluster that a test takes away and gives back.
type brokers struct {
	kafka.Config
	away, back func()
}

// onBrokers runs a body on the embedded broker and on three real ones.
func onBrokers(t *testing.T, real func(t *testing.T) *brokers, body func(t *testing.T, b *brokers)) {
	t.Run("embedded", func(t *testing.T) {
		cfg := embeddedkafka.Config{DataDir: t.TempDir()}
		start := func() *embeddedkafka.Server {
			s, err := embeddedkafka.Start(t.Context(), cfg, embeddedkafka.Deps{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		s := start()
		t.Cleanup(func() { s.Close() })
		cfg.Addr = s.Addr()
		body(t, &brokers{Config: kafka.Config{Brokers: []string{s.Addr()}},
			away: func() {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			},
			back: func() { s = start() }})
	})
	t.Run("real", func(t *testing.T) { body(t, real(t)) })
}

func sharedBrokers(t *testing.T) *brokers {
	return &brokers{Config: kafka.Config{Brokers: lab.Kafka(t).Addrs()}}
}

// pausedBrokers are away as a stopped process is: connections stay, nothing is answered.
func pausedBrokers(t *testing.T) *brokers {
	c := lab.KafkaNew(t)
	return &brokers{Config: kafka.Config{Brokers: c.Addrs()},
		away: func() {
			for _, n := range c.Nodes() {
				n.Pause()
			}
		},
		back: func() {
			for _, n := range c.Nodes() {
				n.Resume()
			}
		}}
}

func (b *brokers) topic(t *testing.T, name string) {
	t.Helper()
	if _, err := kafka.EnsureTopics(t.Context(), b.Config, []kafka.Topic{{Name: name, Partitions: 4}}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
}

// room is how many records the producers of tests hold that want them full.
const room = 4000

// logRun is an access log that runs on real clients, with the pages of a rig.
type logRun struct {
	*rig
	t       *testing.T
	brokers *brokers
	stop    func()
	asked   atomic.Int64
	slowest atomic.Int64 // nanoseconds in the handler
}

func runLog(t *testing.T, b *brokers, topic string, log AccessLog, records int64) *logRun {
	t.Helper()
	g := newRig(t, func(c *Config, _ *Deps) { c.AccessLog, c.TopicAccess = log, topic })
	g.access.records = records
	if err := g.access.connect(b.Config, nil); err != nil {
		t.Fatal(err)
	}
	r := &logRun{rig: g, t: t, brokers: b}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.access.run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the access log: %v", err)
			}
		case <-time.After(accessFlush + 20*time.Second):
			t.Error("the access log does not stop")
		}
	})
	t.Cleanup(r.stop)
	return r
}

// ask sends n requests, all of which must be answered as ever.
func (r *logRun) ask(n int) {
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			ctx := &fasthttp.RequestCtx{}
			for i := range n / 4 {
				ctx.Request.Reset()
				ctx.Response.Reset()
				id, want := 7, 200
				if i%3 == 0 {
					id, want = 100+(i*5+w)%50, 404
				}
				ctx.Request.SetRequestURI(fmt.Sprintf("/product/%d", id))
				began := time.Now()
				r.servePublic(ctx)
				for took := int64(time.Since(began)); ; {
					if was := r.slowest.Load(); took <= was || r.slowest.CompareAndSwap(was, took) {
						break
					}
				}
				r.asked.Add(1)
				if got := ctx.Response.StatusCode(); got != want {
					r.t.Errorf("product %d: %d, want %d", id, got, want)
					return
				}
			}
		})
	}
	workers.Wait()
}

// askFor keeps asking for a while.
func (r *logRun) askFor(d time.Duration, n int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < d; <-tick.C {
		r.ask(n)
	}
}

func (r *logRun) acked() int64 { return int64(counter(r.t, r.access.books.hits)) }

// moves waits until Kafka takes records.
func (r *logRun) moves(limit time.Duration) {
	r.t.Helper()
	was := r.acked()
	lab.Until(r.t, limit, func(context.Context) error {
		r.ask(4)
		if n := r.acked(); n == was {
			return fmt.Errorf("%d hits acknowledged, as before", n)
		}
		return nil
	})
}

// inLog reads the whole topic, which has records at least: what only the leader
// has acknowledged is shown to readers a little later. Copies of a counts record,
// which its sequence tells, count once.
func (r *logRun) inLog(topic string, least int) (hits map[int64]int64, records, copies int) {
	r.t.Helper()
	read := &allRecords{}
	reader, err := kafka.NewReader(kafka.ReaderConfig{Config: r.brokers.Config, Topic: topic, Replay: -1}, read, kafka.Deps{})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- reader.Run(ctx) }()
	lab.Until(r.t, 60*time.Second, func(context.Context) error {
		if !reader.CaughtUp() {
			return fmt.Errorf("the topic is not read to its end: %w", reader.LastError())
		}
		if n := read.count(); n < least {
			return fmt.Errorf("%d records, want %d", n, least)
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		r.t.Error(err)
	}
	type number struct {
		partition int32
		sequence  uint64
	}
	seen := map[number]bool{}
	hits = map[int64]int64{}
	for _, rec := range read.records {
		d := decoded(r.t, rec)
		if n := (number{rec.Partition, d.Sequence}); d.Sequence != 0 {
			if seen[n] {
				copies++
				continue
			}
			seen[n] = true
		}
		records++
		for _, c := range d.Counts {
			hits[c.ID] += c.N
		}
	}
	return hits, records, copies
}

type allRecords struct {
	mu      sync.Mutex
	records []kafka.Record
}

func (a *allRecords) Record(r kafka.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records = append(a.records, r)
}

func (a *allRecords) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.records)
}

func (a *allRecords) Gap(int32, int64, int64, string) {}

// settled stops the log and checks the books: what was asked is in the log, lost or unrecorded, and nothing else is.
func (r *logRun) settled(topic string) (lost map[string]int64) {
	r.t.Helper()
	r.stop()
	b := r.access.books
	lost = losses(r.t, b)
	hits, records, copies := r.inLog(topic, int(counter(r.t, b.records)))
	sampled, shed := int64(counter(r.t, b.sampled)), int64(counter(r.t, b.shed))
	r.t.Logf("%d requests: %d hits in %d records, %d copies, lost %v, sampled %d, shed %d; slowest %v",
		r.asked.Load(), totalOf(hits), records, copies, lost, sampled, shed, time.Duration(r.slowest.Load()))
	if b.held.Load() != 0 || b.pending.Load() != 0 || b.bytes.Load() != 0 {
		r.t.Errorf("held after the end: %d hits, %d records of %d bytes", b.held.Load(), b.pending.Load(), b.bytes.Load())
	}
	if got := r.acked(); totalOf(hits) != got || int64(counter(r.t, b.records)) != int64(records) {
		r.t.Errorf("the log has %d hits in %d records; %d hits in %v records are acknowledged", totalOf(hits), records, got, counter(r.t, b.records))
	}
	if sampled+shed == 0 {
		if got := totalOf(hits) + b.gone.Load(); got != r.asked.Load() {
			r.t.Errorf("%d requests, %d hits logged and lost", r.asked.Load(), got)
		}
		return lost
	}
	dropped := uint64(0)
	for n := range maps.Values(r.access.out.(*kafka.Producer).Dropped()) {
		dropped += n
	}
	if got := int64(records) + int64(dropped) + sampled + shed; got != r.asked.Load() {
		r.t.Errorf("%d requests, %d with a record, lost with theirs or without one", r.asked.Load(), got)
	}
	return lost
}
