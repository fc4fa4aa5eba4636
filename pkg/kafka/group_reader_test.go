package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/kafka"
)

// Where reading begins: by time, by the holder's memory, and whatever the group has committed.
func TestGroupReaderBeginsWhereTheHolderSays(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		p := c.producer(t, kafka.ProducerConfig{})
		base := time.Now().Add(-time.Hour).Truncate(time.Second)
		for i := range 20 { // one a second; the log begins at offset 3, as after retention
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Append(nil, i), Time: base.Add(time.Duration(i) * time.Second)})
		}
		admin := c.admin(t)
		if err := admin.DeleteRecords(topic, map[int32]int64{0: 3}); err != nil {
			t.Fatal(err)
		}
		const none = -1
		for _, tc := range []struct {
			name      string
			from      time.Time
			next      int64
			committed int64 // before
			want      int64
			skipped   uint64
			truncated uint64
		}{
			{name: "in the middle of the log", from: base.Add(12 * time.Second), next: none, committed: none, want: 12},
			{name: "between two records", from: base.Add(11500 * time.Millisecond), next: none, committed: none, want: 12},
			{name: "at the very beginning", next: none, committed: none, want: 3},
			{name: "before the retained range", from: base, next: none, committed: none, want: 3},
			{name: "beyond the end", from: base.Add(time.Hour), next: none, committed: none, want: 20},
			{name: "next later than the time", from: base.Add(5 * time.Second), next: 9, committed: none, want: 9},
			{name: "next earlier than the time", from: base.Add(9 * time.Second), next: 5, committed: none, want: 9},
			{name: "next at the end", from: base.Add(9 * time.Second), next: 20, committed: none, want: 20},
			{name: "next of another log", from: base.Add(9 * time.Second), next: 21, committed: none, want: 9, truncated: 1},
			{name: "next below the retained range", from: base, next: 1, committed: none, want: 3, skipped: 2},
			{name: "back from what is committed", from: base.Add(5 * time.Second), next: none, committed: 15, want: 5},
			{name: "forward from what is committed", from: base.Add(15 * time.Second), next: none, committed: 5, want: 15},
			{name: "to what is committed", from: base.Add(15 * time.Second), next: none, committed: 15, want: 15},
			{name: "committed below the retained range", from: base.Add(15 * time.Second), next: none, committed: 1, want: 15},
			{name: "committed beyond the end", from: base.Add(15 * time.Second), next: none, committed: 500, want: 15},
		} {
			t.Run(tc.name, func(t *testing.T) {
				group := topic + strings.ReplaceAll(tc.name, " ", "-")
				if tc.committed != none {
					until(t, 30*time.Second, "the offset is committed", func() bool { return commitFor(admin, group, topic, tc.committed) == nil })
				}
				j := newJournal(t, tc.from)
				if tc.next != none {
					j.next[0] = tc.next
				}
				r, stop := c.groupReader(t, kafka.GroupReaderConfig{Group: group, Topic: topic}, j)
				want := 20 - int(tc.want)
				until(t, 30*time.Second, "it is read to the end", func() bool {
					s := r.Status()
					return len(s.Assigned) == 1 && s.Assigned[0].Next == 20 && j.count() == want
				})
				s := r.Status()
				a := s.Assigned[0]
				a.LastRead = time.Time{}
				if d := cmp.Diff(kafka.AssignedStatus{Start: tc.want, Target: 20, Next: 20, End: 20}, a); d != "" {
					t.Errorf("status (-want +got):\n%s", d)
				}
				if s.Skipped != tc.skipped || s.Truncated != tc.truncated || s.Records != uint64(want) || s.Partitions != 1 {
					t.Errorf("status: got %+v, want %d skipped, %d truncated, %d records", s, tc.skipped, tc.truncated, want)
				}
				stop()
				for i, v := range j.values() {
					if want := fmt.Sprint(int(tc.want) + i); v != want {
						t.Errorf("record %d: got %s, want %s", i, v, want)
					}
				}
			})
		}
	})
}

// Commits are what lag tools see. A new member begins where its holder says all the same.
func TestGroupReaderCommitsForLagTools(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		p := c.producer(t, kafka.ProducerConfig{})
		for i := range 10 {
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Append(nil, i)})
		}
		admin := c.admin(t)
		committed := func() int64 {
			resp, err := admin.ListConsumerGroupOffsets(topic, map[string][]int32{topic: {0}})
			if err != nil {
				return -2
			}
			return resp.GetBlock(topic, 0).Offset
		}
		j := newJournal(t, time.Time{})
		j.commit = true
		_, stop := c.groupReader(t, kafka.GroupReaderConfig{Group: topic, Topic: topic, CommitInterval: 20 * time.Millisecond}, j)
		until(t, 30*time.Second, "all is committed", func() bool { return committed() == 10 })
		send(t, p, kafka.Record{Topic: topic, Value: []byte("10")})
		until(t, 30*time.Second, "it is read", func() bool { return j.count() == 11 })
		stop()
		if got := committed(); got != 11 {
			t.Errorf("committed after the end: got %d, want 11", got)
		}
		again := newJournal(t, time.Time{})
		c.groupReader(t, kafka.GroupReaderConfig{Group: topic, Topic: topic}, again)
		until(t, 30*time.Second, "it begins anew", func() bool { return again.count() == 11 })
		again.unbroken()
	})
}

// Members come and go while records flow. They hand on where they were: every record is read once, in order (25).
func TestGroupReaderRebalanceLosesAndDoublesNothing25(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 6)
		p := c.producer(t, kafka.ProducerConfig{MaxRecords: 100_000})
		j := newJournal(t, time.Now().Add(-time.Minute))
		cfg := kafka.GroupReaderConfig{Group: topic, Topic: topic}
		first, _ := c.groupReader(t, cfg, j)
		assigned(t, 30*time.Second, []*kafka.GroupReader{first}, 6)
		flow := newFlow(p, topic)
		for range 2 {
			second, stop := c.groupReader(t, cfg, j)
			assigned(t, 30*time.Second, []*kafka.GroupReader{first, second}, 3, 3)
			third, stopThird := c.groupReader(t, cfg, j)
			assigned(t, 30*time.Second, []*kafka.GroupReader{first, second, third}, 2, 2, 2)
			stopThird()
			assigned(t, 30*time.Second, []*kafka.GroupReader{first, second}, 3, 3)
			stop()
			assigned(t, 30*time.Second, []*kafka.GroupReader{first}, 6)
		}
		first.Rejoin()
		sent := flow.end()
		until(t, 30*time.Second, "all is read", func() bool { return j.count() >= sent })
		if got := j.count(); got != sent {
			t.Errorf("read: got %d records, want %d", got, sent)
		}
		j.unbroken()
		if s := first.Status(); s.Skipped != 0 || s.Restarts != 0 {
			t.Errorf("status: got %+v, want nothing skipped, no restart", s)
		}
		t.Logf("%d records, holds began at %v", sent, j.begun)
	})
}

// flow offers records until it is ended.
type flow struct {
	p     *kafka.Producer
	topic string
	stop  chan struct{}
	done  chan int
}

func newFlow(p *kafka.Producer, topic string) *flow {
	f := &flow{p: p, topic: topic, stop: make(chan struct{}), done: make(chan int)}
	go func() {
		sent := 0
		for {
			select {
			case <-f.stop:
				f.done <- sent
				return
			case <-time.After(2 * time.Millisecond):
			}
			for range 5 {
				if f.p.Offer(kafka.Record{Topic: topic, Key: fmt.Append(nil, sent%97), Value: fmt.Append(nil, sent)}) {
					sent++
				}
			}
		}
	}()
	return f
}

// end returns how many records were accepted.
func (f *flow) end() int {
	close(f.stop)
	return <-f.done
}

// Rejoin asks Start again for every partition, also twice in a row and while an assignment is being made.
func TestGroupReaderRejoin(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 3)
		p := c.producer(t, kafka.ProducerConfig{})
		j := newJournal(t, time.Time{})
		r, _ := c.groupReader(t, kafka.GroupReaderConfig{Group: topic, Topic: topic}, j)
		assigned(t, 30*time.Second, []*kafka.GroupReader{r}, 3)
		flow := newFlow(p, topic)
		for range 5 {
			before := r.Status().Sessions
			r.Rejoin()
			r.Rejoin()
			until(t, 30*time.Second, "it is assigned anew", func() bool { s := r.Status(); return s.Sessions > before && len(s.Assigned) == 3 })
		}
		sent := flow.end()
		until(t, 30*time.Second, "all is read", func() bool { return j.count() >= sent })
		if got := j.count(); got != sent {
			t.Errorf("read: got %d records, want %d", got, sent)
		}
		j.unbroken()
		j.mu.Lock()
		defer j.mu.Unlock()
		for id := range int32(3) {
			if j.asked[id] < 6 {
				t.Errorf("partition %d: Start was asked %d times, want 6 at least", id, j.asked[id])
			}
		}
		if j.ticks == 0 {
			t.Error("no tick was seen")
		}
	})
}

// New partitions are assigned, and their records from before that are read.
func TestGroupReaderPicksUpPartitions(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 2)
		j := newJournal(t, time.Now().Add(-time.Minute))
		r, _ := c.groupReader(t, kafka.GroupReaderConfig{Group: topic, Topic: topic}, j)
		assigned(t, 30*time.Second, []*kafka.GroupReader{r}, 2)
		if err := c.admin(t).CreatePartitions(topic, 4, nil, false); err != nil {
			t.Fatal(err)
		}
		p := c.producer(t, kafka.ProducerConfig{ManualPartition: true})
		until(t, 30*time.Second, "the producer knows them", func() bool { return p.Partitions(topic) == 4 })
		for i := range 40 {
			send(t, p, kafka.Record{Topic: topic, Partition: int32(i % 4), Value: fmt.Append(nil, i)})
		}
		until(t, 60*time.Second, "all is read", func() bool { return j.count() == 40 })
		j.unbroken()
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.parts != 4 || r.Status().Partitions != 4 || len(j.begun[3]) == 0 || j.begun[3][0] != 0 {
			t.Errorf("got %d partitions, %d in the status, holds of partition 3 from %v, want 4, 4, 0", j.parts, r.Status().Partitions, j.begun[3])
		}
	})
}

// A holder that gives up, or panics, gets its partitions again.
func TestGroupReaderHolderThatFails15(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		p := c.producer(t, kafka.ProducerConfig{})
		h := &failing{journal: newJournal(t, time.Time{})}
		r, _ := c.groupReader(t, kafka.GroupReaderConfig{Group: topic, Topic: topic}, h)
		send(t, p, kafka.Record{Topic: topic, Value: []byte("a")})
		until(t, 30*time.Second, "it is read at last", func() bool { return h.count() == 1 })
		if got := h.holds.Load(); got != 4 {
			t.Errorf("holds: got %d, want 4", got)
		}
		if s := r.Status(); s.LastError != "" || s.Records != 1 {
			t.Errorf("status: got %+v, want no trouble", s)
		}
	})
}

type failing struct {
	*journal
	holds atomic.Int32
}

func (h *failing) Hold(ctx context.Context, p *kafka.Assigned) {
	switch h.holds.Add(1) {
	case 1, 2:
		return
	case 3:
		panic("boom")
	}
	h.journal.Hold(ctx, p)
}

func TestNewGroupReaderWantsItsParts(t *testing.T) {
	if _, err := kafka.NewGroupReader(kafka.GroupReaderConfig{Config: kafka.Config{Brokers: []string{"a:1"}}}, nil, kafka.Deps{}); err == nil || !strings.Contains(err.Error(), "holder") {
		t.Errorf("got %v, want an error that names what is missing", err)
	}
	if _, err := kafka.NewGroupReader(kafka.GroupReaderConfig{Config: kafka.Config{Brokers: []string{"no-port"}}}, nil, kafka.Deps{}); err == nil || !strings.Contains(err.Error(), "no-port") {
		t.Errorf("got %v, want the bad address", err)
	}
}

// Two readers of one process share their metrics; what is read is counted.
func TestGroupReaderMetrics(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 2)
		p := c.producer(t, kafka.ProducerConfig{})
		registry := prometheus.NewRegistry()
		j := newJournal(t, time.Time{})
		for range 2 {
			r, err := kafka.NewGroupReader(kafka.GroupReaderConfig{Config: c.config(), Group: topic, Topic: topic}, j, kafka.Deps{Registry: registry})
			if err != nil {
				t.Fatal(err)
			}
			running(t, r.Run)
		}
		for i := range 30 {
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Append(nil, i)})
		}
		until(t, 30*time.Second, "all is read", func() bool { return j.count() == 30 })
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range families {
			names = append(names, f.GetName())
			if f.GetName() == "eshop_kafka_group_read_total" && f.GetMetric()[0].GetCounter().GetValue() != 30 {
				t.Errorf("records read: got %v, want 30", f.GetMetric()[0].GetCounter().GetValue())
			}
		}
		for _, want := range []string{"eshop_kafka_group_read_total", "eshop_kafka_group_faults_total", "eshop_kafka_group_restarts_total", "eshop_kafka_group_skipped_offsets_total"} {
			if !slices.Contains(names, want) {
				t.Errorf("metrics: got %v, want %s too", names, want)
			}
		}
	})
}
