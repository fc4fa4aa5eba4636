package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// claim is one partition while this process holds it. Its window lists the
// records read and not yet committed, in order; the offset moves over the done
// ones at its head only, so an unapplied record holds back the commit of all
// that came after it.
type claim struct {
	g         *Group
	session   sarama.ConsumerGroupSession
	partition int32
	ctx       context.Context // ends when handlers have to stop

	mu       sync.Mutex
	window   []*entry
	room     chan struct{} // closed when the window shrinks; nil when nobody waits
	next     int64         // offset after the newest record read; -1 before the first
	marked   int64         // offset handed to sarama for commit; -1 while none
	markedAt time.Time
	readAt   time.Time
	high     func() int64
	blocked  bool // waiting for room, so not reading is no stall
	tasks    sync.WaitGroup
}

type entry struct {
	offset int64
	done   bool
}

func (c *claim) id() int32 { return c.partition }

func (c *claim) progress() claimObservation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return claimObservation{next: c.next, blocked: c.blocked, marked: c.marked}
}

// ConsumeClaim implements sarama.ConsumerGroupHandler: it reads one partition
// until it is taken away and returns when no handler of it runs any more.
func (g *Group) ConsumeClaim(s sarama.ConsumerGroupSession, in sarama.ConsumerGroupClaim) error {
	// Not a child of the session's context: handlers get a little time to finish first.
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	defer cancel()
	c := &claim{g: g, session: s, partition: in.Partition(), ctx: ctx, next: -1, marked: -1, high: in.HighWaterMarkOffset, readAt: time.Now()}
	if start := in.InitialOffset(); start >= 0 {
		c.next = start
	}
	g.holds(c)
	c.read(s.Context(), in.Messages())
	g.drain(c, cancel)
	return nil
}

// read passes records on until the claim ends.
func (c *claim) read(ctx context.Context, messages <-chan *sarama.ConsumerMessage) {
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			r := Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Time: m.Timestamp, Headers: headersOf(m.Headers)}
			if !c.accept(ctx, r) {
				return
			}
		}
	}
}

// accept enters the record into the window, waits for room in the process-wide
// bounds and hands it to its lane. False means that the claim ended first.
func (c *claim) accept(ctx context.Context, r Record) bool {
	g := c.g
	size := min(int64(r.bytes()+recordOverhead), g.cfg.MaxInFlightBytes)
	c.setBlocked(true)
	defer c.setBlocked(false)
	if !c.windowRoom(ctx) || g.count.Acquire(ctx, 1) != nil {
		return false
	}
	if g.bytes.Acquire(ctx, size) != nil {
		g.count.Release(1)
		return false
	}
	c.mu.Lock()
	if c.next >= 0 && r.Offset > c.next {
		g.metrics.skipped.Add(float64(r.Offset - c.next))
	}
	e := &entry{offset: r.Offset}
	c.window = append(c.window, e)
	c.next = r.Offset + 1
	c.readAt = time.Now()
	c.tasks.Add(1)
	c.mu.Unlock()
	g.metrics.inFlight.Inc()
	t := &task{claim: c, rec: r, size: size, entry: e}
	t.key, t.keyErr = g.keyOf(r)
	g.dispatch(t)
	return true
}

func (c *claim) setBlocked(on bool) {
	c.mu.Lock()
	c.blocked = on
	c.mu.Unlock()
}

func (c *claim) windowRoom(ctx context.Context) bool {
	for {
		c.mu.Lock()
		if len(c.window) < c.g.cfg.MaxWindow {
			c.mu.Unlock()
			return true
		}
		if c.room == nil {
			c.room = make(chan struct{})
		}
		room := c.room
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return false
		case <-room:
		}
	}
}

// applied marks the record done and moves the offset over the done head of the
// window. It is called before the task counts as finished, so a claim that
// ends has marked everything its handlers applied.
func (c *claim) applied(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.done = true
	n := 0
	for n < len(c.window) && c.window[n].done {
		n++
	}
	if n == 0 {
		return
	}
	c.marked = c.window[n-1].offset + 1
	c.markedAt = time.Now()
	c.session.MarkOffset(c.g.cfg.Topic, c.partition, c.marked, "")
	clear(c.window[:n])
	c.window = c.window[n:]
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
}

// drain ends a claim: queued records are let go at once, running handlers get
// Drain to finish and are cancelled after it; it returns when none runs.
func (g *Group) drain(c *claim, cancel context.CancelFunc) {
	g.forget(c)
	ended := make(chan struct{})
	go func() {
		c.tasks.Wait()
		close(ended)
	}()
	grace := time.NewTimer(g.cfg.Drain)
	defer grace.Stop()
	select {
	case <-ended:
		return
	case <-grace.C:
	}
	cancel()
	late := time.NewTimer(10 * time.Second)
	defer late.Stop()
	select {
	case <-ended:
		return
	case <-late.C:
		g.log.Error("a kafka handler does not return although its partition was taken away", "group", g.cfg.Group, "partition", c.partition)
	}
	<-ended
}
