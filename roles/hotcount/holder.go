package hotcount

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/window"
)

// Slack is how much further back than a window a partition is read when it is
// assigned: for records that came late, and for clocks that differ.
const Slack = 5 * time.Second

// minShare is the least memory of a window, however many partitions there are.
const minShare = 1 << 20

// shared is what the partitions of a process have in common.
type shared struct {
	log     *slog.Logger
	metrics *metrics
	delays  *delays
	rule    atomic.Pointer[hotlist.Rule] // never nil
	view    atomic.Pointer[hotlist.View] // nil until ZooKeeper has told
}

// holder gives each assigned partition a counter and keeps the counter for a
// while when the partition is taken away: most rebalances give it back.
type holder struct {
	*shared
	memory    int64
	slack     time.Duration
	rejoin    func()
	publisher func(partition int32, partitions int) *publisher

	mu     sync.Mutex
	begins map[int32]begin
	kept   map[int32]*counter // of partitions that are not held
	held   map[int32]*partition
}

// begin is what the group was told about a partition.
type begin struct {
	asked time.Time
	span  time.Duration
	next  int64 // of the kept counter, -1 without
}

func newHolder(s *shared, memory int64) *holder {
	return &holder{shared: s, memory: memory, slack: Slack, begins: map[int32]begin{}, kept: map[int32]*counter{}, held: map[int32]*partition{}}
}

// Start implements kafka.Holder. Reading begins so far back that the window is
// whole once it has reached the end, or behind what the kept counter has counted.
func (h *holder) Start(id int32) (from time.Time, next int64) {
	b := begin{asked: time.Now(), next: -1}
	b.span, _ = sliced(time.Duration(h.rule.Load().Window))
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.kept[id]; c != nil {
		if c.span == b.span {
			b.next = c.next
		} else {
			delete(h.kept, id)
		}
	}
	h.begins[id] = b
	return b.asked.Add(-b.span - h.slack), b.next
}

// Hold implements kafka.Holder.
func (h *holder) Hold(ctx context.Context, p *kafka.Assigned) { h.hold(ctx, p) }

func (h *holder) hold(ctx context.Context, src source) {
	p := h.open(src)
	if p == nil {
		drain(src)
		return
	}
	whole := false
	defer func() { h.close(p, whole) }()
	p.run(ctx)
	whole = true
}

// open makes the partition's state; nil when the records that will be read are
// not those its counter needs.
func (h *holder) open(src source) *partition {
	h.mu.Lock()
	defer h.mu.Unlock()
	id, bytes := src.ID(), max(minShare, h.memory/int64(max(1, src.Partitions())))
	b, c := h.begins[id], h.kept[id]
	delete(h.kept, id)
	log := h.log.With("partition", id)
	if b.next < 0 || src.Start() != b.next {
		// Read from a time: either nothing was kept, or what was kept ends before it.
		var err error
		if c, err = newCounter(b.span, bytes, src.Start()); err != nil {
			log.Error("the partition is not counted", "err", err)
			return nil
		}
	} else if c == nil || c.next != b.next || c.bytes > bytes {
		// What is needed was thrown away since, or takes more than its share of the
		// memory now that the topic has more partitions: begin anew without it.
		log.Info("the partition's window is rebuilt", "from", b.asked.Add(-b.span))
		h.rejoin()
		return nil
	}
	p := &partition{shared: h.shared, src: src, c: c, pub: h.publisher(id, src.Partitions()), detector: window.NewDetector(), asked: b.asked}
	p.next.Store(c.next)
	p.end.Store(src.End())
	h.held[id] = p
	log.Info("partition assigned", "start", src.Start(), "target", src.Target(), "kept", b.next >= 0 && src.Start() == b.next)
	return p
}

// close keeps the counter of a partition that was taken away, unless counting
// ended in a panic: it may have left a record half counted.
func (h *holder) close(p *partition, whole bool) {
	id := p.src.ID()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, id)
	if !whole {
		return
	}
	p.c.released = time.Now()
	h.kept[id] = p.c
	h.log.Info("partition given up", "partition", id, "next", p.c.next)
}

// drain reads until the partition is taken away, and counts nothing.
func drain(src source) {
	buf := make([]kafka.Record, batchRecords)
	for ok := true; ok; {
		_, ok = src.Read(nil, buf)
	}
}

// forget drops the counters that have been kept for longer than their span: to
// rebuild them costs no more than to go on.
func (h *holder) forget(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, c := range h.kept {
		if now.Sub(c.released) > c.span {
			delete(h.kept, id)
		}
	}
}

// holds returns the partitions that are held now.
func (h *holder) holds() map[int32]*partition {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.held)
}

// keptBytes is the memory of the counters of partitions that are not held.
func (h *holder) keptBytes() (sum int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.kept {
		sum += c.win.Bytes()
	}
	return sum
}
