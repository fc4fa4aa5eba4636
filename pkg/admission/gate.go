package admission

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config of a Gate. Zero values mean the defaults given, but for Slots and Queue.
type Config struct {
	// Name of the dependency, in errors and metrics.
	Name string
	// Slots is the highest number of calls at once (at least 1), Queue that of
	// callers that wait for a slot (0: who finds no slot is refused).
	Slots, Queue int
	// Interval is how long the queue may be anything but empty before the gate is
	// pressed, and the longest anybody waits (100 ms). It should be a few times
	// what a call takes.
	Interval time.Duration
	// Target is the longest wait while the gate is pressed (a fifth of Interval).
	Target time.Duration
}

// Gate lets so many calls at once through and has a bounded number of others wait.
//
// In calm the first to come is the first to be served. A queue that has not been
// empty for an Interval is not a burst but overload: from then on the newest is
// served first and nobody waits longer than Target, because the clients of the
// oldest have most likely given up, and serving in order would make everybody
// late. This is the controlled delay and adaptive LIFO of Ben Maurer, "Fail at
// Scale", ACM Queue 13 (8), 2015, after Nichols and Jacobson, "Controlling Queue
// Delay" (CoDel), ACM Queue 10 (5), 2012.
//
// Whoever could not be done in time is refused when it comes: its place in the
// queue and the usual length of a call say so. Every step is O(1), but for the
// runtime's timers.
//
// A Gate is safe for concurrent use, has no goroutine and needs no closing.
type Gate struct {
	cfg Config

	mu      sync.Mutex
	running int // below Slots only while the queue is empty
	queue   queue
	since   time.Time     // when the queue was last empty, while it is not
	usual   time.Duration // moving average of what a call takes
	refused [reasons]uint64
	left    uint64 // callers whose context ended while they waited

	waits prometheus.Histogram
}

// NewGate returns an open gate.
func NewGate(cfg Config) *Gate {
	cfg.Slots, cfg.Queue = max(1, cfg.Slots), max(0, cfg.Queue)
	cfg.Interval = cmp.Or(cfg.Interval, 100*time.Millisecond)
	cfg.Target = cmp.Or(cfg.Target, cfg.Interval/5)
	return &Gate{cfg: cfg, waits: newWaits(cfg.Name)}
}

// Pass is a slot. Leave gives it back, exactly once.
type Pass struct {
	gate *Gate
	at   time.Time
}

// Enter takes a slot, or waits for one. Errors: *Refused, and ctx's when it ends
// during the wait. ctx's deadline is that of the whole call, not of the wait.
func (g *Gate) Enter(ctx context.Context) (Pass, error) {
	if err := ctx.Err(); err != nil {
		return Pass{}, fmt.Errorf("wait for a call to %s: %w", g.cfg.Name, err)
	}
	now := time.Now()
	g.mu.Lock()
	if g.running < g.cfg.Slots {
		g.running++
		g.mu.Unlock()
		g.waits.Observe(0)
		return Pass{g, now}, nil
	}
	w, patience, late, refused := g.enqueue(ctx, now)
	g.mu.Unlock()
	if refused != nil {
		return Pass{}, refused
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-w.outcome:
		return g.outcome(w, now, r)
	case <-timer.C:
	case <-ctx.Done():
	}
	g.mu.Lock()
	if !g.queue.remove(w) { // its turn came at the same moment
		g.mu.Unlock()
		r := <-w.outcome
		if r == nil && ctx.Err() != nil {
			g.leave(nil)
			return Pass{}, fmt.Errorf("wait for a call to %s: %w", g.cfg.Name, ctx.Err())
		}
		return g.outcome(w, now, r)
	}
	defer g.mu.Unlock()
	if ctx.Err() != nil {
		g.left++
		return Pass{}, fmt.Errorf("wait for a call to %s: %w", g.cfg.Name, ctx.Err())
	}
	why := Pressed
	if late {
		why = Late
	}
	return Pass{}, g.refuse(why, time.Now())
}

// enqueue puts a caller into the queue and says how long it should wait at most,
// and whether that is because it would be late then; or it refuses it. It wants
// g.mu held.
func (g *Gate) enqueue(ctx context.Context, now time.Time) (w *waiter, patience time.Duration, late bool, refused *Refused) {
	pressed := g.pressed(now)
	patience, ahead := g.cfg.Interval, g.queue.len
	if pressed {
		patience, ahead = g.cfg.Target, 0
	}
	turn := g.usual * time.Duration(ahead+1) / time.Duration(g.cfg.Slots)
	if deadline, ok := ctx.Deadline(); ok {
		left := deadline.Sub(now) - g.usual
		if turn > left {
			return nil, 0, false, g.refuse(Late, now)
		}
		if late = left < patience; late {
			patience = left
		}
	}
	switch {
	case pressed && g.queue.len >= g.cfg.Queue && g.queue.len > 0:
		old := g.queue.oldest
		g.queue.remove(old)
		old.outcome <- g.refuse(Pressed, now)
	case g.queue.len >= g.cfg.Queue, !pressed && turn > patience:
		return nil, 0, false, g.refuse(Full, now)
	}
	if g.queue.len == 0 && !pressed {
		g.since = now
	}
	w = &waiter{outcome: make(chan *Refused, 1)}
	g.queue.push(w)
	return w, patience, late, nil
}

// pressed wants g.mu held.
func (g *Gate) pressed(now time.Time) bool {
	return g.queue.len > 0 && now.Sub(g.since) > g.cfg.Interval
}

// refuse wants g.mu held.
func (g *Gate) refuse(why Reason, now time.Time) *Refused {
	g.refused[why]++
	stood := time.Duration(0)
	if g.queue.len > 0 {
		stood = now.Sub(g.since)
	}
	return &Refused{Gate: g.cfg.Name, Reason: why, RetryAfter: Spread(stood)}
}

func (g *Gate) outcome(w *waiter, since time.Time, r *Refused) (Pass, error) {
	if r != nil {
		return Pass{}, r
	}
	g.waits.Observe(w.granted.Sub(since).Seconds())
	return Pass{g, w.granted}, nil
}

// Leave ends the call: the slot goes to whoever is next.
func (p Pass) Leave() { p.gate.leave(&p.at) }

// leave gives a slot back; at is when it was taken, nil if nothing was done with it.
func (g *Gate) leave(at *time.Time) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if at != nil {
		if took := now.Sub(*at); g.usual == 0 {
			g.usual = took
		} else {
			g.usual += (took - g.usual) / 8
		}
	}
	g.running--
	g.grant(now)
}

// grant gives free slots to those whose turn it is. It wants g.mu held.
func (g *Gate) grant(now time.Time) {
	for g.running < g.cfg.Slots {
		next := g.queue.oldest
		if g.pressed(now) {
			next = g.queue.newest
		}
		if next == nil {
			return
		}
		g.queue.remove(next)
		g.running++
		next.granted = now
		next.outcome <- nil
	}
}

// SetSlots changes how many calls there may be at once (at least 1). Those under way above that go on.
func (g *Gate) SetSlots(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cfg.Slots = max(1, n)
	g.grant(time.Now())
}

// State is what a gate looks like at one moment.
type State struct {
	Running int           `json:"running"`
	Slots   int           `json:"slots"`
	Waiting int           `json:"waiting"`
	Queue   int           `json:"queue"`
	Pressed bool          `json:"pressed"`
	Usual   time.Duration `json:"usualNanoseconds"`
	// Refused counts by reason, Left those whose context ended while they waited.
	Refused map[string]uint64 `json:"refused"`
	Left    uint64            `json:"left"`
}

// State returns it.
func (g *Gate) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := State{Running: g.running, Slots: g.cfg.Slots, Waiting: g.queue.len, Queue: g.cfg.Queue, Pressed: g.pressed(time.Now()),
		Usual: g.usual, Refused: make(map[string]uint64, reasons), Left: g.left}
	for _, r := range Reasons() {
		s.Refused[r.String()] = g.refused[r]
	}
	return s
}
