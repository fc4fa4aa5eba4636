package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	embedded "eshop/pkg/embedded/kafka"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// traffic runs all three clients over one topic: numbered records are sent one
// by one, each applied by the group and seen by the reader.
type traffic struct {
	t       *testing.T
	p       *kafka.Producer
	g       *kafka.Group
	r       *kafka.Reader
	seen    *sink
	topic   string
	mu      sync.Mutex
	applied map[string]int
	next    int
}

func newTraffic(t *testing.T, c cluster, partitions int32) *traffic {
	tr := &traffic{t: t, seen: &sink{}, topic: c.topic(t, partitions), applied: make(map[string]int)}
	tr.p = c.producer(t, kafka.ProducerConfig{MaxRecords: 100_000})
	tr.g, _ = c.group(t, kafka.GroupConfig{Group: tr.topic, Topic: tr.topic, SessionTimeout: 6 * time.Second}, byValue, func(_ context.Context, r kafka.Record) error {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.applied[string(r.Value)]++
		return nil
	})
	tr.r, _ = c.reader(t, kafka.ReaderConfig{Topic: tr.topic, Replay: -1}, tr.seen)
	return tr
}

// offer queues n more records.
func (tr *traffic) offer(n int) {
	tr.t.Helper()
	for range n {
		if !tr.p.Offer(kafka.Record{Topic: tr.topic, Value: fmt.Appendf(nil, "k%d:%d", tr.next%7, tr.next)}) {
			tr.t.Errorf("offer: %v", tr.p.Dropped())
		}
		tr.next++
	}
}

// arrived waits until everything offered is applied and read, and checks that the log has each record once (38).
func (tr *traffic) arrived(limit time.Duration) {
	tr.t.Helper()
	began := time.Now()
	until(tr.t, limit, fmt.Sprintf("all %d are applied and read", tr.next), func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return len(tr.applied) == tr.next && tr.seen.count() >= tr.next
	})
	tr.t.Logf("%d records arrived, the last after %v", tr.next, time.Since(began).Round(time.Millisecond))
	got := tr.seen.values()
	slices.Sort(got)
	if n := len(slices.Compact(got)); n != tr.next || len(tr.seen.values()) != n {
		tr.t.Errorf("read: got %d records, %d different ones, want %d of both", tr.seen.count(), n, tr.next)
	}
	if d := tr.p.Dropped(); len(d) > 0 {
		tr.t.Errorf("dropped: got %v, want none", d)
	}
	if gaps := tr.seen.allGaps(); len(gaps) > 0 {
		tr.t.Errorf("gaps: got %v, want none", gaps)
	}
}

// The embedded server goes away and comes back on its address with its data;
// every client goes on, the producer with what it was given meanwhile (13, 38).
func TestOutageOfTheEmbeddedServer13And38(t *testing.T) {
	noLeaks(t)
	cfg := embedded.Config{DataDir: t.TempDir()}
	s := startEmbedded(t, cfg)
	cfg.Addr = s.Addr()
	tr := newTraffic(t, cluster{brokers: []string{s.Addr()}}, 3)
	tr.offer(50)
	tr.arrived(30 * time.Second)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		tr.offer(50)
		until(t, 30*time.Second, "the outage shows", func() bool { return tr.p.Status().LastError != "" })
		s = startEmbedded(t, cfg)
		tr.offer(50)
		tr.arrived(60 * time.Second)
	}
}

// One broker is killed in the middle of the traffic, comes back, and then two are (13, 38).
func TestOutageOfRealBrokers13And38(t *testing.T) {
	brokers := lab.KafkaNew(t)
	noLeaks(t)
	tr := newTraffic(t, cluster{brokers: brokers.Addrs()}, 6)
	tr.offer(200)
	tr.arrived(60 * time.Second)

	stop := make(chan struct{})
	flowing := make(chan struct{})
	go func() {
		defer close(flowing)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				tr.offer(5)
			}
		}
	}()
	until(t, 10*time.Second, "it flows", func() bool { return tr.p.Status().Acked > 300 })
	brokers.Nodes()[0].Kill()
	acked := tr.p.Status().Acked
	until(t, 60*time.Second, "it flows without one broker", func() bool { return tr.p.Status().Acked > acked+300 })
	close(stop)
	<-flowing
	tr.arrived(60 * time.Second)

	// Two of three: the last one has no quorum and may take no write.
	brokers.Nodes()[0].Restart()
	brokers.WaitBrokers(3, 60*time.Second)
	brokers.Nodes()[1].Kill()
	brokers.Nodes()[2].Kill()
	tr.offer(100)
	until(t, 30*time.Second, "the outage shows", func() bool { return tr.p.Status().LastError != "" })
	brokers.Nodes()[1].Restart()
	brokers.Nodes()[2].Restart()
	tr.offer(100)
	tr.arrived(90 * time.Second)
}

// A paused broker keeps its connections and answers nothing. Records for the
// partitions of the others go on meanwhile, although those for its own fill their share (24).
func TestPausedBrokerDoesNotStopTheOthers24(t *testing.T) {
	brokers := lab.KafkaNew(t)
	noLeaks(t)
	c := cluster{brokers: brokers.Addrs()}
	topic := lab.Name(t)
	// Replication 1: nobody takes over the paused broker's partitions.
	if _, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: topic, Partitions: 3, Replication: 1, Config: map[string]string{"min.insync.replicas": "1"}}}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	const paused = 1 // the node with broker id 2
	var dead, alive []int32
	admin := c.admin(t)
	until(t, 30*time.Second, "every partition has a leader, one of them the broker that will be paused", func() bool { // not every broker knows a new topic at once
		described, err := admin.DescribeTopics([]string{topic})
		if err != nil {
			t.Fatal(err)
		}
		dead, alive = nil, nil
		for _, p := range described[0].Partitions {
			switch {
			case p.Leader == paused+1:
				dead = append(dead, p.ID)
			case p.Leader > 0:
				alive = append(alive, p.ID)
			}
		}
		return len(dead) > 0 && len(dead)+len(alive) == 3
	})
	p := c.producer(t, kafka.ProducerConfig{ManualPartition: true, MaxRecords: 400})
	for id := range int32(3) {
		send(t, p, kafka.Record{Topic: topic, Partition: id, Value: []byte("warm")})
	}
	brokers.Nodes()[paused].Pause()
	refused := 0
	for range 1000 {
		if !p.Offer(kafka.Record{Topic: topic, Partition: dead[0], Value: []byte("x")}) {
			refused++
		}
	}
	if got := p.Dropped(); got[kafka.DropPartitionFull] != 800 || refused != 800 {
		t.Errorf("dropped: got %v, want 800 beyond the partition's share of 200", got)
	}
	var slowest time.Duration
	for i := range 200 {
		began := time.Now()
		send(t, p, kafka.Record{Topic: topic, Partition: alive[i%len(alive)], Value: []byte("y")})
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("slowest send to a living broker beside a paused one: %v", slowest)
	if slowest > 3*time.Second {
		t.Errorf("slowest send: got %v, want no wait for the paused broker", slowest)
	}
	brokers.Nodes()[paused].Resume()
	until(t, 60*time.Second, "all accepted are written", func() bool { return p.Status().Acked == 3+200+200 })
}

// A link that swallows everything is noticed by the age of the last answer, and the reader resumes without a gap.
func TestReaderBehindABlackHole(t *testing.T) {
	brokers := lab.KafkaNew(t, lab.Linked())
	noLeaks(t)
	c := cluster{brokers: brokers.Addrs()}
	tr := newTraffic(t, c, 3)
	tr.offer(30)
	tr.arrived(60 * time.Second)
	for _, l := range brokers.Links() {
		l.Blackhole()
	}
	began := time.Now()
	until(t, 30*time.Second, "the age of the last answer grows", func() bool {
		for _, s := range tr.r.Status() {
			if s.LastAnswer.After(began.Add(time.Second)) || time.Since(s.LastAnswer) < 2*time.Second {
				return false
			}
		}
		return true
	})
	tr.offer(30)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	pinged := time.Now()
	if err := kafka.Ping(ctx, c.config()); err == nil || time.Since(pinged) > 2*time.Second {
		t.Errorf("ping into a black hole: got %v after %v, want an error when its context ends", err, time.Since(pinged))
	}
	for _, l := range brokers.Links() {
		l.Heal()
	}
	tr.arrived(90 * time.Second)
}
