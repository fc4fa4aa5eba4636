package coalesce

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Defaults of Config.
const (
	DefaultTimeout    = 5 * time.Second
	DefaultMaxWaiters = 10_000
)

// Config bounds a Group. Zero values mean the defaults.
type Config struct {
	// Timeout is the deadline of a load, counted from its start. At the
	// deadline its callers get an error and its key is free again, whether or
	// not the load has noticed.
	Timeout time.Duration
	// MaxWaiters is the highest number of callers inside Do, over all keys.
	MaxWaiters int
	// MaxPerKey is the same for one key (default: MaxWaiters).
	MaxPerKey int
	// MaxLoads is the highest number of running loads, those that are past
	// their deadline or abandoned by their callers among them (default: MaxWaiters).
	MaxLoads int
}

// Group coalesces loads by key. The value of a load is shared between its
// callers and must not be changed by them. A Group is safe for concurrent use
// and needs no closing: its goroutines are its running loads.
type Group[K comparable, V any] struct {
	mu      sync.Mutex
	cfg     Config // Timeout is not changed
	calls   map[K]*call[V]
	waiters int
	loads   int
}

// call is one load. v and err are written once, before done is closed.
type call[V any] struct {
	done    chan struct{}
	waiters int  // guarded by Group.mu
	over    bool // guarded by Group.mu
	v       V
	err     error
}

// New returns an empty Group.
func New[K comparable, V any](cfg Config) *Group[K, V] {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxWaiters <= 0 {
		cfg.MaxWaiters = DefaultMaxWaiters
	}
	if cfg.MaxPerKey <= 0 {
		cfg.MaxPerKey = cfg.MaxWaiters
	}
	if cfg.MaxLoads <= 0 {
		cfg.MaxLoads = cfg.MaxWaiters
	}
	return &Group[K, V]{cfg: cfg, calls: make(map[K]*call[V])}
}

// Result is what DoMany returns for one key.
type Result[V any] struct {
	Value  V
	Shared bool // another caller had started the load
	Err    error
}

// Do returns the result of the load of k that is running, or starts fn as that
// load. shared is true when another caller had started it.
//
// fn gets a context with the values of the first caller's ctx, without its
// cancellation, and with the deadline of Config.Timeout. Errors: ctx's own when
// it ends first; ErrOverloaded; context.DeadlineExceeded (wrapped) when the
// load was not done in time; *PanicError; ErrExited; else fn's.
func (g *Group[K, V]) Do(ctx context.Context, k K, fn func(ctx context.Context) (V, error)) (v V, shared bool, err error) {
	r := g.DoMany(ctx, []K{k}, func(ctx context.Context, _ []K, done func(int, V, error)) {
		v, err := fn(ctx)
		done(0, v, err)
	})[0]
	return r.Value, r.Shared, r.Err
}

// DoMany is Do for several keys, with a result for each in their order. Those for
// which no load is running are loaded by one call of fn, which is not made when
// there are none. It gets them in their order and tells of each, by its place
// among them, as soon as it is done: whoever waits for that key alone does not
// wait for the others. The bounds hold for each key as if it were asked for alone.
func (g *Group[K, V]) DoMany(ctx context.Context, keys []K, fn func(ctx context.Context, keys []K, done func(i int, v V, err error))) []Result[V] {
	out := make([]Result[V], len(keys))
	if err := ctx.Err(); err != nil {
		for i := range out {
			out[i].Err = fmt.Errorf("wait for a load: %w", err)
		}
		return out
	}
	calls := make([]*call[V], len(keys)) // nil: refused
	g.mu.Lock()
	var begun load[K, V]
	for i, k := range keys {
		c, running := g.calls[k]
		out[i].Shared = running
		switch {
		case g.waiters >= g.cfg.MaxWaiters,
			running && c.waiters >= g.cfg.MaxPerKey,
			!running && g.loads >= g.cfg.MaxLoads:
			out[i].Err = ErrOverloaded
			continue
		case !running:
			c = &call[V]{done: make(chan struct{})}
			g.calls[k] = c
			g.loads++
			begun.keys, begun.calls = append(begun.keys, k), append(begun.calls, c)
		}
		g.waiters++
		c.waiters++
		calls[i] = c
	}
	if len(begun.keys) > 0 {
		g.start(ctx, begun, fn)
	}
	g.mu.Unlock()

	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, c := range calls {
			if c != nil {
				g.waiters--
				c.waiters--
			}
		}
	}()
	for i, c := range calls {
		if c == nil {
			continue
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			select {
			case <-c.done: // both are true: the result is worth more than the error
			default:
				out[i].Err = fmt.Errorf("wait for a load: %w", ctx.Err())
				continue
			}
		}
		out[i].Value, out[i].Err = c.v, c.err
	}
	return out
}

// SetMaxWaiters changes MaxWaiters, and MaxLoads to the same, for callers to come.
func (g *Group[K, V]) SetMaxWaiters(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cfg.MaxWaiters, g.cfg.MaxLoads = n, n
}

// Forget lets the next caller of k start a load of its own instead of joining
// the running one, whose callers get its result all the same. It is for a
// change that a running load may have missed.
func (g *Group[K, V]) Forget(k K) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, k)
}

// Waiting returns the number of callers inside Do.
func (g *Group[K, V]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiters
}

// Loads returns the number of running loads.
func (g *Group[K, V]) Loads() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.loads
}

// load is what one call of a function loads.
type load[K comparable, V any] struct {
	keys  []K
	calls []*call[V] // of keys, by place; nil: fn is done with it. Guarded by Group.mu
}

// start runs fn for the calls of a load. Each is finished by exactly one of fn and
// its deadline; a load that ends after its deadline only gives its place back.
func (g *Group[K, V]) start(ctx context.Context, l load[K, V], fn func(ctx context.Context, keys []K, done func(int, V, error))) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.Timeout)
	late := fmt.Errorf("the load took longer than %v: %w", g.cfg.Timeout, context.DeadlineExceeded)
	stop := context.AfterFunc(ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.finishAll(l, late)
	})
	go func() {
		err := ErrExited
		defer func() { // runs after a return, a panic and a Goexit alike
			if r := recover(); r != nil {
				err = &PanicError{Value: r, Stack: debug.Stack()}
			}
			if ctx.Err() != nil { // only the deadline ends it: fn may be here before the function above
				err = late
			}
			stop() // before cancel, which would run that function
			cancel()
			g.mu.Lock()
			defer g.mu.Unlock()
			g.loads -= g.finishAll(l, err)
		}()
		fn(ctx, l.keys, func(i int, v V, err error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			if c := l.calls[i]; c != nil {
				g.finish(l.keys[i], c, v, err)
				l.calls[i] = nil
				g.loads--
			}
		})
	}()
}

// finishAll fails what fn is not done with and says how much that is. It wants
// g.mu held.
func (g *Group[K, V]) finishAll(l load[K, V], err error) (left int) {
	var zero V
	for i, c := range l.calls {
		if c != nil {
			g.finish(l.keys[i], c, zero, err)
			left++
		}
	}
	return left
}

// finish hands the result to c's callers, unless it has one. It wants g.mu held.
func (g *Group[K, V]) finish(k K, c *call[V], v V, err error) {
	if c.over {
		return
	}
	c.over, c.v, c.err = true, v, err
	if g.calls[k] == c { // not forgotten, nor followed by another load
		delete(g.calls, k)
	}
	close(c.done)
}
