package kafka_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// telling is a holder in a process of its own: it remembers where it was and
// writes down the begin, the records and the end of what it holds.
type telling struct {
	mu   sync.Mutex
	next map[int32]int64
}

func (h *telling) Start(partition int32) (time.Time, int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if next, ok := h.next[partition]; ok {
		return time.Now().Add(-time.Hour), next
	}
	return time.Now().Add(-time.Hour), -1
}

func (h *telling) Hold(ctx context.Context, p *kafka.Assigned) {
	fmt.Printf("hold %d %d\n", p.ID(), p.Start())
	buf := make([]kafka.Record, 100)
	for {
		n, ok := p.Read(nil, buf)
		if !ok {
			fmt.Printf("end %d\n", p.ID())
			return
		}
		h.mu.Lock()
		for _, r := range buf[:n] {
			fmt.Printf("read %d %d\n", p.ID(), r.Offset)
			h.next[p.ID()] = r.Offset + 1
		}
		h.mu.Unlock()
	}
}

func groupReaderChild(brokers []string, topic string) int {
	r, err := kafka.NewGroupReader(kafka.GroupReaderConfig{
		Config: kafka.Config{Brokers: brokers}, Group: topic, Topic: topic, SessionTimeout: 6 * time.Second,
	}, &telling{next: make(map[int32]int64)}, kafka.Deps{})
	if err == nil {
		err = r.Run(context.Background())
	}
	fmt.Println(err)
	return 1
}

// A member is paused for longer than its session, comes back when its
// partitions are elsewhere, joins again, and is killed at last. Its reads end
// when it comes back; whoever goes on loses and doubles nothing (25, 39).
func TestGroupReaderPausedAndKilledMember25And39(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 4)
		p := c.producer(t, kafka.ProducerConfig{MaxRecords: 100_000})
		j := newJournal(t, time.Now().Add(-time.Hour))
		r, _ := c.groupReader(t, kafka.GroupReaderConfig{Group: topic, Topic: topic, SessionTimeout: 6 * time.Second}, j)
		mine := []*kafka.GroupReader{r}
		assigned(t, 30*time.Second, mine, 4)
		flow := newFlow(p, topic)
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		other := lab.Start(t, lab.Command{Path: exe, Args: []string{"-test.run=^$"}, Env: []string{childRole + "=" + strings.Join([]string{"reader", strings.Join(c.brokers, ","), topic}, " ")}})
		assigned(t, 60*time.Second, mine, 2)
		lines := func(what string) int { return strings.Count(other.Stdout(), what+" ") }
		until(t, 30*time.Second, "the other one reads", func() bool { return lines("hold") >= 2 && lines("read") > 0 })

		other.Pause()
		assigned(t, 60*time.Second, mine, 4)
		held, ended := lines("hold"), lines("end")
		if held != ended+2 {
			t.Errorf("the paused member has begun %d holds and ended %d, want two under way", held, ended)
		}
		other.Resume()
		until(t, 30*time.Second, "the reads of the one that was paused end", func() bool { return lines("end") >= held })
		assigned(t, 60*time.Second, mine, 2)
		until(t, 30*time.Second, "it reads again", func() bool { return lines("hold") >= held+2 })

		other.Kill()
		assigned(t, 60*time.Second, mine, 4)
		sent := flow.end()
		until(t, 30*time.Second, "all is read", func() bool { return j.count() >= sent })
		if got := j.count(); got != sent {
			t.Errorf("read: got %d records, want %d", got, sent)
		}
		j.unbroken()
		told(t, other.Stdout())
		t.Logf("%d records, the other one read %d in %d holds", sent, lines("read"), lines("hold"))
	})
}

// told checks the other process's account: every hold goes on where the one before it was.
func told(t *testing.T, output string) {
	t.Helper()
	next := make(map[int]int64)
	for line := range strings.Lines(output) {
		var what string
		var partition int
		var offset int64
		if n, _ := fmt.Sscan(line, &what, &partition, &offset); n < 3 || !strings.HasSuffix(line, "\n") {
			continue
		}
		if want, ok := next[partition]; ok && offset != want || !ok && offset != 0 {
			t.Errorf("the other process: %q, want offset %d", strings.TrimSpace(line), want)
		}
		next[partition] = offset
		if what == "read" {
			next[partition]++
		}
	}
}

// One broker and then all are paused under load, and a member joins meanwhile. It goes on by itself.
func TestGroupReaderPausedBrokers13And24(t *testing.T) {
	brokers := lab.KafkaNew(t)
	noLeaks(t)
	c := cluster{brokers: brokers.Addrs()}
	topic := c.topic(t, 6)
	p := c.producer(t, kafka.ProducerConfig{MaxRecords: 100_000, MaxBytes: 256 << 20})
	j := newJournal(t, time.Now().Add(-time.Hour))
	cfg := kafka.GroupReaderConfig{Group: topic, Topic: topic, SessionTimeout: 6 * time.Second}
	first, _ := c.groupReader(t, cfg, j)
	assigned(t, 30*time.Second, []*kafka.GroupReader{first}, 6)
	flow := newFlow(p, topic)
	until(t, 30*time.Second, "it flows", func() bool { return j.count() > 500 })
	brokers.Nodes()[0].Pause()
	second, _ := c.groupReader(t, cfg, j)
	seen := j.count()
	until(t, 60*time.Second, "it flows beside a paused broker", func() bool { return j.count() > seen+500 })
	brokers.Nodes()[0].Resume()
	assigned(t, 90*time.Second, []*kafka.GroupReader{first, second}, 3, 3)
	for _, n := range brokers.Nodes() {
		n.Pause()
	}
	until(t, 30*time.Second, "the outage shows", func() bool { return p.Status().LastError != "" })
	for _, n := range brokers.Nodes() {
		n.Resume()
	}
	sent := flow.end()
	until(t, 90*time.Second, "all is read", func() bool { return j.count() >= sent })
	if got := j.count(); got != sent {
		t.Errorf("read: got %d records, want %d", got, sent)
	}
	j.unbroken()
	if d := p.Dropped(); len(d) > 0 {
		t.Errorf("dropped: got %v, want none", d)
	}
	t.Logf("%d records; first %d sessions, second %d", sent, first.Status().Sessions, second.Status().Sessions)
}

// A partition whose only replica is on a dead broker waits for it; the others are read (24).
func TestGroupReaderPartitionWithoutALeader24(t *testing.T) {
	brokers := lab.KafkaNew(t)
	noLeaks(t)
	c := cluster{brokers: brokers.Addrs()}
	topic := lab.Name(t)
	if _, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: topic, Partitions: 3, Replication: 1, Config: map[string]string{"min.insync.replicas": "1"}}}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	p := c.producer(t, kafka.ProducerConfig{ManualPartition: true})
	for i := range 30 {
		send(t, p, kafka.Record{Topic: topic, Partition: int32(i % 3), Value: fmt.Append(nil, i)})
	}
	brokers.Nodes()[0].Kill()
	brokers.WaitBrokers(2, 60*time.Second)
	j := newJournal(t, time.Time{})
	r, _ := c.groupReader(t, kafka.GroupReaderConfig{Group: topic, Topic: topic, SessionTimeout: 6 * time.Second}, j)
	until(t, 60*time.Second, "the others are read", func() bool { return j.count() == 20 })
	if got := len(r.Status().Assigned); got != 2 {
		t.Errorf("partitions that are read: got %d, want 2", got)
	}
	brokers.Nodes()[0].Restart()
	until(t, 60*time.Second, "all is read", func() bool { return j.count() == 30 })
	j.unbroken()
}

// Records that the holder was too slow for are removed by retention: reading
// goes on at what is left, and the gap is counted.
func TestGroupReaderGapOfRetention(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		p := c.producer(t, kafka.ProducerConfig{})
		hold := make(chan struct{})
		var once sync.Once
		held := make(chan struct{})
		j := newJournal(t, time.Time{})
		j.slow = func(*kafka.Assigned, []kafka.Record) {
			once.Do(func() { close(held) })
			<-hold
		}
		r, _ := c.groupReader(t, kafka.GroupReaderConfig{Group: topic, Topic: topic, FetchBytes: 1, Buffer: 1}, j)
		for i := range 20 {
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Append(nil, i)})
		}
		<-held
		if err := c.admin(t).DeleteRecords(topic, map[int32]int64{0: 15}); err != nil {
			t.Fatal(err)
		}
		close(hold)
		until(t, 30*time.Second, "the end is read", func() bool { v := j.values(); return len(v) > 0 && v[len(v)-1] == "19" })
		s := r.Status()
		if got := uint64(j.count()) + s.Skipped; got != 20 || s.Skipped == 0 {
			t.Errorf("got %d records and %d skipped, want 20 together", j.count(), s.Skipped)
		}
		if values := j.values(); values[len(values)-5] != "15" {
			t.Errorf("values: got %v, want what is left of the log at the end", values)
		}
	})
}
