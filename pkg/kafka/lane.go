package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// task is one record on its way through its lane.
type task struct {
	claim  *claim
	rec    Record
	key    string
	keyErr error
	size   int64
	entry  *entry
	gone   atomic.Bool // its claim has ended before it was begun, or between two attempts
}

// lane is the queue of one key. A goroutine works through it while it is not
// empty; lanes are bounded by the records in flight. A lane that waits between
// two attempts holds no slot, so failing keys cannot stop the others.
type lane struct {
	queue []*task
	head  *task // being worked on
	wake  chan struct{}
}

// dispatch puts the task at the end of its lane. Records without a readable key
// get a lane each: their order means nothing.
func (g *Group) dispatch(t *task) {
	key := "k" + t.key
	if t.keyErr != nil {
		key = fmt.Sprintf("d%d/%d", t.rec.Partition, t.rec.Offset)
	}
	g.mu.Lock()
	l := g.lanes[key]
	if l != nil {
		l.queue = append(l.queue, t)
		g.mu.Unlock()
		return
	}
	l = &lane{head: t, wake: make(chan struct{}, 1)}
	g.lanes[key] = l
	g.mu.Unlock()
	go g.work(key, l)
}

func (g *Group) work(key string, l *lane) {
	t := l.head
	for t != nil {
		done := g.apply(l, t)
		if done {
			t.claim.applied(t.entry)
			g.metrics.lag.Observe(time.Since(t.rec.Time).Seconds())
		}
		// The next task is fetched before this one counts as finished: when a
		// claim has ended, no lane still holds one of its tasks.
		g.mu.Lock()
		var next *task
		if len(l.queue) > 0 {
			next = l.queue[0]
			l.queue[0] = nil
			l.queue = l.queue[1:]
			l.head = next
		} else {
			delete(g.lanes, key)
		}
		g.mu.Unlock()
		g.release(t)
		t = next
	}
}

func (g *Group) release(t *task) {
	g.bytes.Release(t.size)
	g.count.Release(1)
	g.metrics.inFlight.Dec()
	t.claim.tasks.Done()
}

// forget lets go of the tasks of an ended claim that have not begun, and wakes
// the lanes whose head waits for its next attempt.
func (g *Group) forget(c *claim) {
	var dropped []*task
	g.mu.Lock()
	for _, l := range g.lanes {
		kept := l.queue[:0]
		for _, t := range l.queue {
			if t.claim == c {
				dropped = append(dropped, t)
			} else {
				kept = append(kept, t)
			}
		}
		clear(l.queue[len(kept):])
		l.queue = kept
		if l.head.claim == c {
			l.head.gone.Store(true)
			select {
			case l.wake <- struct{}{}:
			default:
			}
		}
	}
	g.mu.Unlock()
	for _, t := range dropped {
		g.release(t)
	}
}

// apply tries until the record is applied or dead-lettered (true) or its claim ends (false).
func (g *Group) apply(l *lane, t *task) bool {
	for attempt := 0; ; attempt++ {
		if t.gone.Load() || g.slots.Acquire(t.claim.ctx, 1) != nil {
			return false
		}
		if t.gone.Load() {
			g.slots.Release(1)
			return false
		}
		err := g.attempt(t)
		g.slots.Release(1)
		if err == nil {
			return true
		}
		if t.claim.ctx.Err() != nil {
			return false
		}
		var wait postponement
		if errors.As(err, &wait) {
			if attempt = -1; !rest(g, l, t, wait.ready) { // what fails afterwards fails for the first time
				return false
			}
			continue
		}
		g.metrics.retried.Inc()
		g.count1(&g.state.retried)
		if attempt == 0 || attempt%20 == 0 {
			g.log.Warn("a kafka record could not be applied and is tried again", "group", g.cfg.Group, "partition", t.rec.Partition, "offset", t.rec.Offset, "attempt", attempt+1, "error", err)
		}
		timer := time.NewTimer(g.cfg.Backoff.delay(attempt))
		again := rest(g, l, t, timer.C)
		timer.Stop()
		if !again {
			return false
		}
	}
}

// rest waits for the time of the next attempt. False means that the claim ended.
func rest[T any](g *Group, l *lane, t *task, ready <-chan T) bool {
	g.addRetrying(1)
	defer g.addRetrying(-1)
	for {
		select {
		case <-ready:
			return true
		case <-t.claim.ctx.Done():
			return false
		case <-l.wake:
			if t.gone.Load() {
				return false
			}
		}
	}
}

// attempt runs the handler once, and the dead letter where it is called for.
func (g *Group) attempt(t *task) error {
	err := t.keyErr
	if err == nil {
		err = g.guarded(t)
		if err == nil {
			g.metrics.applied.Inc()
			g.count1(&g.state.applied)
			return nil
		}
		var no rejection
		if !errors.As(err, &no) {
			return err
		}
		err = no.reason
	}
	return g.bury(t.claim.ctx, t.rec, err)
}

// guarded turns a panic of the handler into an error.
func (g *Group) guarded(t *task) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return g.handle(t.claim.ctx, t.rec)
}

// bury sends the record to the dead-letter topic. Only when the broker has it does the record count as done.
func (g *Group) bury(ctx context.Context, r Record, reason error) error {
	text := "no reason given"
	if reason != nil {
		text = reason.Error()
	}
	g.log.Warn("a kafka record is rejected", "group", g.cfg.Group, "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "reason", text)
	if g.dead != nil {
		d := DeadLetter{Reason: text, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: string(r.Key), Value: string(r.Value), Time: r.Time}
		if !utf8.Valid(r.Key) || !utf8.Valid(r.Value) {
			d.Encoding, d.Key, d.Value = "base64", base64.StdEncoding.EncodeToString(r.Key), base64.StdEncoding.EncodeToString(r.Value)
		}
		err := g.dead.Send(ctx, Record{Topic: g.cfg.DeadTopic, Key: r.Key, Value: d.marshal()})
		if errors.Is(err, ErrTooLarge) {
			const keep = 16 << 10
			d.Truncated = true
			d.Reason, d.Key, d.Value = cut(d.Reason, keep), cut(d.Key, keep), cut(d.Value, keep)
			err = g.dead.Send(ctx, Record{Topic: g.cfg.DeadTopic, Value: d.marshal()})
		}
		if err != nil {
			return fmt.Errorf("send the record to dead-letter topic %s: %w", g.cfg.DeadTopic, err)
		}
	}
	g.metrics.dead.Inc()
	g.count1(&g.state.dead)
	return nil
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
