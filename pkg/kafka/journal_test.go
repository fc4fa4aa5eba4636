package kafka_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"eshop/pkg/kafka"
)

// journal is a holder that writes down what it reads and knows where it was.
// Several readers may share one: it then stands for a state they hand on, and
// every record must be in it once.
type journal struct {
	t      *testing.T
	from   time.Time // the answer of Start
	commit bool
	slow   func(p *kafka.Assigned, batch []kafka.Record) // called before a batch is entered, nil: not

	mu      sync.Mutex
	next    map[int32]int64 // missing: no memory
	read    map[int32][]kafka.Record
	asked   map[int32]int
	begun   map[int32][]int64 // Start of each hold
	targets map[int32][]int64
	holding map[int32]bool
	parts   int
	ticks   int
}

func newJournal(t *testing.T, from time.Time) *journal {
	return &journal{
		t: t, from: from, next: make(map[int32]int64), read: make(map[int32][]kafka.Record), asked: make(map[int32]int),
		begun: make(map[int32][]int64), targets: make(map[int32][]int64), holding: make(map[int32]bool),
	}
}

func (j *journal) Start(partition int32) (time.Time, int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.holding[partition] {
		j.t.Errorf("partition %d: Start is asked while it is held", partition)
	}
	j.asked[partition]++
	if next, ok := j.next[partition]; ok {
		return j.from, next
	}
	return j.from, -1
}

func (j *journal) Hold(ctx context.Context, p *kafka.Assigned) {
	j.mu.Lock()
	if j.holding[p.ID()] {
		j.t.Errorf("partition %d: held twice at once", p.ID())
	}
	j.holding[p.ID()] = true
	j.begun[p.ID()] = append(j.begun[p.ID()], p.Start())
	j.targets[p.ID()] = append(j.targets[p.ID()], p.Target())
	j.parts = p.Partitions()
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.holding[p.ID()] = false
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	buf := make([]kafka.Record, 64)
	next := p.Start()
	for {
		n, ok := p.Read(tick.C, buf)
		if !ok {
			if n, ok := p.Read(nil, buf); n != 0 || ok {
				j.t.Errorf("partition %d: a read after the end gave %d records and %v", p.ID(), n, ok)
			}
			return
		}
		if j.slow != nil && n > 0 {
			j.slow(p, buf[:n])
		}
		j.mu.Lock()
		if n == 0 {
			j.ticks++
		}
		for _, r := range buf[:n] {
			if r.Partition != p.ID() || r.Offset < next {
				j.t.Errorf("partition %d, next %d: got a record of partition %d, offset %d", p.ID(), next, r.Partition, r.Offset)
			}
			next = r.Offset + 1
			j.read[p.ID()] = append(j.read[p.ID()], r)
			j.next[p.ID()] = next
		}
		if end := p.End(); end < next {
			j.t.Errorf("partition %d: the end %d lies before the next offset %d", p.ID(), end, next)
		}
		j.mu.Unlock()
		if j.commit && n > 0 {
			p.Commit(next)
		}
	}
}

// count is how many records are in the journal.
func (j *journal) count() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.read {
		n += len(r)
	}
	return n
}

func (j *journal) values() (out []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(j.read)) {
		for _, r := range j.read[id] {
			out = append(out, string(r.Value))
		}
	}
	return out
}

// unbroken checks that what was read of each partition is one run of offsets, each once.
func (j *journal) unbroken() {
	j.t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, records := range j.read {
		for i, r := range records {
			if want := records[0].Offset + int64(i); r.Offset != want {
				j.t.Errorf("partition %d, record %d: got offset %d, want %d; holds began at %v", id, i, r.Offset, want, j.begun[id])
				return
			}
		}
	}
}

func (c cluster) groupReader(t *testing.T, cfg kafka.GroupReaderConfig, h kafka.Holder) (*kafka.GroupReader, func()) {
	t.Helper()
	cfg.Config = c.config()
	r, err := kafka.NewGroupReader(cfg, h, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return r, running(t, r.Run)
}

// assigned polls until the readers hold these numbers of partitions.
func assigned(t *testing.T, limit time.Duration, readers []*kafka.GroupReader, want ...int) {
	t.Helper()
	until(t, limit, fmt.Sprintf("the members hold %v partitions", want), func() bool {
		for i, r := range readers {
			if len(r.Status().Assigned) != want[i] {
				return false
			}
		}
		return true
	})
}
