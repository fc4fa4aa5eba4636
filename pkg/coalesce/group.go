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

// Do returns the result of the load of k that is running, or starts fn as that
// load. shared is true when another caller had started it.
//
// fn gets a context with the values of the first caller's ctx, without its
// cancellation, and with the deadline of Config.Timeout. Errors: ctx's own when
// it ends first; ErrOverloaded; context.DeadlineExceeded (wrapped) when the
// load was not done in time; *PanicError; ErrExited; else fn's.
func (g *Group[K, V]) Do(ctx context.Context, k K, fn func(ctx context.Context) (V, error)) (v V, shared bool, err error) {
	if err := ctx.Err(); err != nil {
		return v, false, fmt.Errorf("wait for a load: %w", err)
	}
	g.mu.Lock()
	c, running := g.calls[k]
	switch {
	case g.waiters >= g.cfg.MaxWaiters,
		running && c.waiters >= g.cfg.MaxPerKey,
		!running && g.loads >= g.cfg.MaxLoads:
		g.mu.Unlock()
		return v, running, ErrOverloaded
	case !running:
		c = &call[V]{done: make(chan struct{})}
		g.calls[k] = c
		g.loads++
		g.start(ctx, k, c, fn)
	}
	g.waiters++
	c.waiters++
	g.mu.Unlock()

	defer func() {
		g.mu.Lock()
		g.waiters--
		c.waiters--
		g.mu.Unlock()
	}()
	select {
	case <-c.done:
	case <-ctx.Done():
		select {
		case <-c.done: // both are true: the result is worth more than the error
		default:
			return v, running, fmt.Errorf("wait for a load: %w", ctx.Err())
		}
	}
	return c.v, running, c.err
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

// start runs fn for c. Exactly one of the load and its deadline finishes the
// call; a load that ends after its deadline only gives its place back.
func (g *Group[K, V]) start(ctx context.Context, k K, c *call[V], fn func(ctx context.Context) (V, error)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.Timeout)
	stop := context.AfterFunc(ctx, func() {
		var zero V
		g.mu.Lock()
		defer g.mu.Unlock()
		g.finish(k, c, zero, fmt.Errorf("the load took longer than %v: %w", g.cfg.Timeout, context.DeadlineExceeded))
	})
	go func() {
		var v V
		err := ErrExited
		defer func() { // runs after a return, a panic and a Goexit alike
			if r := recover(); r != nil {
				err = &PanicError{Value: r, Stack: debug.Stack()}
			}
			stop() // before cancel, which would run the function above
			cancel()
			g.mu.Lock()
			defer g.mu.Unlock()
			g.loads--
			g.finish(k, c, v, err)
		}()
		v, err = fn(ctx)
	}()
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
