package kafka_test

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	embedded "eshop/pkg/embedded/kafka"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// ledger offers numbered records and keeps what became of each.
type ledger struct {
	t       *testing.T
	p       *kafka.Producer
	topic   string
	mu      sync.Mutex
	offered map[string]bool     // by number; true: accepted
	told    map[string][]string // by number, the reasons
	acked   map[string]int      // by number
}

func newLedger(t *testing.T, c cluster, topic string, cfg kafka.ProducerConfig) (*ledger, func()) {
	t.Helper()
	l := &ledger{t: t, topic: topic, offered: make(map[string]bool), told: make(map[string][]string), acked: make(map[string]int)}
	cfg.Config = c.config()
	cfg.OnDrop = func(r kafka.Record, reason string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if r.Topic != topic {
			t.Errorf("told of a drop for topic %q, want %q", r.Topic, topic)
		}
		n, _, _ := strings.Cut(string(r.Value), ":")
		l.told[n] = append(l.told[n], reason)
	}
	cfg.OnAck = func(r kafka.Record) {
		l.mu.Lock()
		defer l.mu.Unlock()
		n, _, _ := strings.Cut(string(r.Value), ":")
		l.acked[n]++
	}
	p, err := kafka.NewProducer(cfg, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	l.p = p
	return l, running(t, p.Run)
}

// offer hands over n records of about the given size; it may be called by several goroutines.
func (l *ledger) offer(n, size int) {
	for range n {
		l.mu.Lock()
		number := fmt.Sprint(len(l.offered))
		l.offered[number] = false
		l.mu.Unlock()
		ok := l.p.Offer(kafka.Record{Topic: l.topic, Key: []byte(number), Value: []byte(number + ":" + strings.Repeat("x", size))})
		l.mu.Lock()
		l.offered[number] = ok
		l.mu.Unlock()
	}
}

// settled checks, after the end of Run, that every record was acknowledged or
// told of as dropped, once, and that the counters say the same.
func (l *ledger) settled(want ...string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	byReason := make(map[string]uint64)
	dropped := 0
	for number, accepted := range l.offered {
		reasons := l.told[number]
		if len(reasons)+l.acked[number] != 1 {
			l.t.Errorf("record %s: told of %d acknowledgements and the drops %v, want one of both", number, l.acked[number], reasons)
		}
		for _, r := range reasons {
			late := r == kafka.DropShutdown || r == kafka.DropRejected
			if accepted != late {
				l.t.Errorf("record %s: accepted %v and dropped as %q", number, accepted, r)
			}
			byReason[r]++
			dropped++
		}
	}
	if got := l.p.Dropped(); !maps.Equal(got, byReason) {
		l.t.Errorf("drops counted: got %v, told of %v", got, byReason)
	}
	if acked := int(l.p.Status().Acked); acked+dropped != len(l.offered) {
		l.t.Errorf("offered %d: got %d acknowledged and %d dropped", len(l.offered), acked, dropped)
	}
	for _, reason := range want {
		if byReason[reason] == 0 {
			l.t.Errorf("no record was dropped as %q, the test wants some; got %v", reason, byReason)
		}
	}
	l.t.Logf("offered %d, acknowledged %d, dropped %v", len(l.offered), l.p.Status().Acked, byReason)
}

// written compares the log with the ledger: what was not dropped is there once;
// what was dropped is not, unless it was under way when Run ended.
func (l *ledger) written(log []string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	times := make(map[string]int)
	for _, v := range log {
		n, _, _ := strings.Cut(v, ":")
		times[n]++
	}
	for number := range l.offered {
		reasons := l.told[number]
		switch {
		case len(reasons) == 0 && times[number] != 1:
			l.t.Errorf("record %s was not dropped: got it %d times in the log, want once", number, times[number])
		case len(reasons) == 1 && reasons[0] != kafka.DropShutdown && times[number] != 0:
			l.t.Errorf("record %s was dropped as %q: got it %d times in the log, want none", number, reasons[0], times[number])
		}
	}
}

// Several goroutines overfill a small queue with records of which some are too
// large for the producer and some for the topic (14, 23).
func TestProducerTellsOfEachDropOnce14And23(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := lab.Name(t)
		if _, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: topic, Partitions: 4, Replication: 3, Config: map[string]string{"max.message.bytes": "3000"}}}, kafka.Deps{}); err != nil {
			t.Fatal(err)
		}
		out := &sink{}
		c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: -1}, out)
		l, stop := newLedger(t, c, topic, kafka.ProducerConfig{MaxRecords: 120, MaxRecordBytes: 8000, FlushTimeout: 20 * time.Second})
		l.offer(200, 10) // before the layout is known: only the whole queue bounds them
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 60 {
					size := 10
					if i%20 == w {
						size = 5000
					}
					l.offer(1, size)
					if i%10 == 0 {
						<-time.After(time.Millisecond) // let the queue shrink
					}
					if i%30 == w {
						l.offer(1, 9000)
					}
				}
			})
		}
		wg.Wait()
		until(t, 30*time.Second, "the queue is empty", func() bool { return l.p.Status().Records == 0 })
		l.offer(1, 5000)
		until(t, 30*time.Second, "the queue is empty", func() bool { return l.p.Status().Records == 0 })
		stop()
		l.offer(3, 10)
		l.settled(kafka.DropFull, kafka.DropTooLarge, kafka.DropRejected, kafka.DropClosed)
		acked := int(l.p.Status().Acked)
		until(t, 30*time.Second, "what was acknowledged is read", func() bool { return out.count() >= acked })
		l.written(out.values())
	})
}

// The brokers are paused under load, twice: the bound holds, what is beyond it
// is told of, and it goes on by itself; the second time Run ends meanwhile (13, 14).
func TestProducerTellsOfDropsUnderPausedBrokers13And14(t *testing.T) {
	brokers := lab.KafkaNew(t)
	noLeaks(t)
	c := cluster{brokers: brokers.Addrs()}
	topic := c.topic(t, 6)
	l, stop := newLedger(t, c, topic, kafka.ProducerConfig{MaxRecords: 600, FlushTimeout: 300 * time.Millisecond})
	l.offer(300, 50)
	until(t, 30*time.Second, "they are written", func() bool { return l.p.Status().Acked == 300 })
	pause := func() {
		for _, n := range brokers.Nodes() {
			n.Pause()
		}
	}
	resume := func() {
		for _, n := range brokers.Nodes() {
			n.Resume()
		}
	}
	pause()
	l.offer(2000, 50)
	if held := l.p.Status().Records; held > 600 {
		t.Errorf("held while the brokers are paused: got %d, want 600 at most", held)
	}
	until(t, 30*time.Second, "the outage shows", func() bool { return l.p.Status().LastError != "" })
	resume()
	until(t, 60*time.Second, "what was held is written", func() bool { return l.p.Status().Records == 0 })
	l.offer(100, 50)
	until(t, 30*time.Second, "it goes on", func() bool { return l.p.Status().Records == 0 })
	pause()
	l.offer(1000, 50)
	stop()
	l.settled(kafka.DropFull, kafka.DropShutdown)
	resume()
	out := &sink{}
	r, _ := c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: -1}, out)
	acked := int(l.p.Status().Acked)
	until(t, 60*time.Second, "what was acknowledged is read", func() bool { return r.CaughtUp() && out.count() >= acked })
	l.written(out.values())
}

// The broker dies for good: everything that was accepted is told of at the end.
func TestProducerTellsOfDropsAtTheEndWithADeadBroker14(t *testing.T) {
	noLeaks(t)
	s := startEmbedded(t, embedded.Config{})
	c := cluster{brokers: []string{s.Addr()}}
	l, stop := newLedger(t, c, c.topic(t, 3), kafka.ProducerConfig{MaxRecords: 90, ManualPartition: true, FlushTimeout: 50 * time.Millisecond})
	l.offer(40, 10)
	until(t, 30*time.Second, "they are written", func() bool { return l.p.Status().Acked == 40 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l.offer(300, 10)
	until(t, 30*time.Second, "the outage shows", func() bool { return l.p.Status().LastError != "" })
	stop()
	l.offer(2, 10)
	l.settled(kafka.DropPartitionFull, kafka.DropShutdown, kafka.DropClosed)
}

func TestProducerLearnsPartitionsThatAreAskedFor(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 5)
		later := topic + "-later"
		p, err := kafka.NewProducer(kafka.ProducerConfig{Config: c.config()}, kafka.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Partitions(topic); got != 0 {
			t.Errorf("before Run: got %d partitions, want 0", got)
		}
		stop := running(t, p.Run)
		until(t, 30*time.Second, "it knows the topic", func() bool { return p.Partitions(topic) == 5 })
		// Asked for beside a running producer, no record was ever offered.
		if _, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: later, Partitions: 3, Replication: 3}}, kafka.Deps{}); err != nil {
			t.Fatal(err)
		}
		until(t, 30*time.Second, "it knows the other one", func() bool { return p.Partitions(later) == 3 })
		if s := p.Status(); s.Records != 0 || s.LastError != "" {
			t.Errorf("status: got %+v, want no trouble", s)
		}
		stop()
		if got := p.Partitions(topic); got != 5 {
			t.Errorf("after Run: got %d partitions, want the last known 5", got)
		}
	})
}
