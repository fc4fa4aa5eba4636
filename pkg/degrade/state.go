package degrade

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// State is which switches are in effect, as one process knows. The zero value
// knows of none. Its methods may be called from any goroutine.
type State struct {
	effect atomic.Pointer[effect] // nil: none

	mu      sync.Mutex
	known   map[string]known // by node
	changed chan struct{}    // closed at the next change; nil: nobody waits
	heard   chan struct{}    // closed at the first Replace; nil: nobody has asked
}

// effect is the switches in effect. Immutable.
type effect struct {
	every    Modes
	kinds    map[string]Modes
	switches []Switch
}

// known is a switch and when this process saw it first, by its monotonic clock.
type known struct {
	Switch
	seen time.Time
}

// ends is when a switch ends here: at the time it says, by this process's clock,
// and after its length in any case, so that a clock that is behind, or is set
// back, does not prolong it.
func (k known) ends(now time.Time) time.Duration {
	return min(time.UnixMilli(k.Until).Sub(now), k.Length()-now.Sub(k.seen))
}

// Of returns the modes in effect for a kind: one atomic load while there is no
// switch.
func (s *State) Of(kind string) Modes {
	e := s.effect.Load()
	if e == nil {
		return 0
	}
	return e.every | e.kinds[kind]
}

// Switches lists what is in effect, by kind and mode. It must not be changed.
func (s *State) Switches() []Switch {
	if e := s.effect.Load(); e != nil {
		return e.switches
	}
	return nil
}

// Changed returns a channel that is closed when what is in effect changes. Who
// waits for a change takes it before looking at the state.
func (s *State) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// Heard returns a channel that is closed when the process has first heard which
// switches there are, be it none.
func (s *State) Heard() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard == nil {
		s.heard = make(chan struct{})
		if s.known != nil {
			close(s.heard)
		}
	}
	return s.heard
}

// Error says that a switch forbids something.
type Error struct {
	Kind   string // what was asked for
	Switch Switch // of those that forbid it, the one that ends last
}

func (e *Error) Error() string {
	return fmt.Sprintf("%v is in effect for the kind %s until %s, set by %s", e.Switch.Mode, e.Kind, time.UnixMilli(e.Switch.Until).UTC().Format(time.RFC3339), e.Switch.By)
}

// maxRetry bounds RetryAfter: the switch may be ended by hand at any time.
const maxRetry = 30 * time.Second

// RetryAfter is when it makes sense to ask again: 1 to 30 s.
func (e *Error) RetryAfter() time.Duration {
	return max(time.Second, min(maxRetry, time.Until(time.UnixMilli(e.Switch.Until))))
}

// Forbids returns the error of an action that one of the modes forbids, nil when
// none of them is in effect for the kind: one atomic load while there is no
// switch.
func (s *State) Forbids(kind string, modes Modes) *Error {
	e := s.effect.Load()
	if e == nil || !(e.every | e.kinds[kind]).Has(modes) {
		return nil
	}
	out := &Error{Kind: kind}
	for _, sw := range e.switches {
		if modes.Has(sw.Mode) && (sw.Kind == kind || sw.Kind == Every) && sw.Until > out.Switch.Until {
			out.Switch = sw
		}
	}
	return out
}

// Replace makes these the switches that are known and reports whether that
// changes what is in effect. One that was known before keeps its age.
func (s *State) Replace(switches []Switch, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[string]known, len(switches))
	for _, sw := range switches {
		k, had := s.known[sw.node()]
		if !had || k.Switch != sw {
			k = known{sw, now}
		}
		next[sw.node()] = k
	}
	if s.known == nil && s.heard != nil {
		defer close(s.heard)
	}
	s.known = next
	return s.settle(now)
}

// Tick ends what has expired and reports whether anything did.
func (s *State) Tick(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settle(now)
}

// settle works out what is in effect. It wants mu held.
func (s *State) settle(now time.Time) bool {
	e := &effect{kinds: map[string]Modes{}}
	for _, name := range slices.Sorted(maps.Keys(s.known)) {
		k := s.known[name]
		if k.ends(now) <= 0 {
			continue
		}
		e.switches = append(e.switches, k.Switch)
		if k.Kind == Every {
			e.every |= k.Mode
		} else {
			e.kinds[k.Kind] |= k.Mode
		}
	}
	if slices.Equal(e.switches, s.Switches()) {
		return false
	}
	if len(e.switches) == 0 {
		e = nil
	}
	s.effect.Store(e) // before the channel is closed: who is woken sees it
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	return true
}

const (
	// tick is how often a process that knows of a switch looks at its clock, which
	// may be set while a timer runs; the end of a switch has a timer of its own.
	tick = time.Second
	// sweepAfter its end a node is deleted by whoever sees it: so late that a
	// process whose clock is ahead does not end for all what the others still
	// want.
	sweepAfter = time.Hour
)

// Run follows the switches in ZooKeeper until ctx ends. fn is called, from this
// goroutine, after each change of what is in effect; nil: nobody asks. While
// ZooKeeper is away the last known switches stand until they end.
func (s *State) Run(ctx context.Context, c *Client, fn func()) {
	nodes := make(chan map[string][]byte, 1)
	c.zk.WatchChildren(ctx, dir, func(now map[string][]byte) {
		select {
		case <-nodes: // nobody has taken the one before
		default:
		}
		nodes <- now
	})
	var sweeps sync.WaitGroup
	defer sweeps.Wait()
	var sweeping atomic.Bool
	in := reader{log: c.log}
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for ctx.Err() == nil {
		before, changed := s.Switches(), false
		select {
		case <-ctx.Done():
			return
		case now := <-nodes:
			changed = s.Replace(in.read(now), time.Now())
		case <-timer.C:
			changed = s.Tick(time.Now())
		}
		if changed {
			tell(c.log, before, s.Switches())
			if fn != nil {
				fn()
			}
		}
		next, old := s.ahead(time.Now())
		timer.Reset(next)
		if len(old) > 0 && !sweeping.Swap(true) {
			sweeps.Go(func() {
				defer sweeping.Store(false)
				for _, name := range old {
					if err := c.sweep(ctx, name, expired); err != nil && ctx.Err() == nil {
						c.log.Debug("an expired degrade switch was not deleted", "node", dir+"/"+name, "error", err)
					}
				}
			})
		}
	}
}

// expired reports whether a switch ended so long ago that it may be deleted.
func expired(s Switch) bool { return time.Since(time.UnixMilli(s.Until)) > sweepAfter }

// ahead returns when to look again and the nodes that expired long ago.
func (s *State) ahead(now time.Time) (next time.Duration, old []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) == 0 {
		return time.Hour, nil
	}
	next = tick
	for name, k := range s.known {
		if left := k.ends(now); left > 0 {
			next = min(next, left)
		}
		if expired(k.Switch) {
			old = append(old, name)
		}
	}
	return next, old
}

// tell logs what has begun and what has ended.
func tell(log *slog.Logger, before, after []Switch) {
	for _, s := range after {
		if !slices.Contains(before, s) {
			log.Warn("degraded", "kind", s.Kind, "mode", s.Mode.String(), "by", s.By, "until", time.UnixMilli(s.Until).UTC())
		}
	}
	for _, s := range before {
		if !slices.ContainsFunc(after, func(a Switch) bool { return a.node() == s.node() }) {
			how := "cleared"
			if time.Now().UnixMilli() >= s.Until {
				how = "expired"
			}
			log.Warn("no longer degraded", "kind", s.Kind, "mode", s.Mode.String(), "by", s.By, "how", how)
		}
	}
}
