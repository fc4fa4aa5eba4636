package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"eshop/pkg/catalog"
	"eshop/pkg/tracing"
)

// Client pulls documents from one origin. It is safe for concurrent use.
type Client struct {
	cfg     Config
	cat     *catalog.Catalog
	root    string // base URL without a slash at its end
	limits  atomic.Pointer[limits]
	guard   *guard
	metrics *metrics
	log     *slog.Logger
	windows map[string]*window // by kind; the map never changes
	held    func(kind string) error
	inside  atomic.Int64 // pulls that wait for a result

	// life ends with Close. Requests run on it instead of on their callers'
	// contexts.
	life context.Context
	end  context.CancelFunc

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup // every goroutine of the client; added to under mu
}

// New checks the configuration and makes a client; it does no I/O. The error
// lists every problem.
func New(cfg Config, cat *catalog.Catalog, deps Deps) (*Client, error) {
	base, err := cfg.complete()
	if cat == nil {
		err = errors.Join(err, errors.New("origin: it needs a catalogue"))
	}
	if err != nil {
		return nil, err
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		cfg:     cfg,
		cat:     cat,
		root:    base.String(),
		guard:   newGuard(cfg, deps.Log),
		log:     deps.Log,
		windows: map[string]*window{},
		held:    deps.Held,
	}
	c.limits.Store(newLimits(cfg.Timeout, cfg.Concurrency))
	c.life, c.end = context.WithCancel(context.Background())
	for _, name := range cat.KindNames() {
		c.windows[name] = &window{}
	}
	if c.metrics, err = newMetrics(deps.Registry, c); err != nil {
		return nil, err
	}
	return c, nil
}

// Pull reads one document. A document the origin does not know is a Result
// with the state Absent, not an error. When ctx ends Pull returns at once; a
// request that was sent goes on until its deadline, for whoever shares it.
//
// Errors wrap ErrOverloaded, ErrOpen, ErrHeld, ErrBadAnswer, ErrClosed, *StatusError,
// ctx's error or the transport's.
func (c *Client) Pull(ctx context.Context, key catalog.Key) (Result, error) {
	kind, err := c.kind(key)
	if err != nil {
		return Result{}, err
	}
	ctx, span := tracing.Start(ctx, tracing.Internal, "pull")
	defer span.End()
	out := c.pull(ctx, kind, key.ID)
	c.metrics.pulled(kind.Name, out)
	if span.On() {
		span.Set(tracing.Document(key), tracing.Outcome(outcome(out)))
		if span.Fail(out.Err); out.Err == nil {
			span.Set(tracing.Version(out.Version))
		}
	}
	return out.Result, out.Err
}

func (c *Client) pull(ctx context.Context, kind *catalog.Kind, id int64) ResultOrErr {
	fail := func(err error) ResultOrErr {
		return ResultOrErr{Err: fmt.Errorf("pull %s %d: %w", kind.Name, id, err)}
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	defer c.inside.Add(-1)
	if c.inside.Add(1) > int64(c.limits.Load().concurrency+c.cfg.QueueLimit) {
		return fail(ErrOverloaded)
	}
	b := c.join(ctx, kind, id)
	select {
	case <-b.done:
		return b.results[id]
	case <-ctx.Done():
		c.leave(kind, b)
		return fail(ctx.Err())
	}
}

func (c *Client) kind(key catalog.Key) (*catalog.Kind, error) {
	kind := c.cat.Kind(key.Kind)
	if kind == nil {
		return nil, fmt.Errorf("pull %v: the kind is not configured", key)
	}
	if key.ID <= 0 {
		return nil, fmt.Errorf("pull %v: %w", key, catalog.ErrBadID)
	}
	return kind, nil
}

// spawn runs fn on a goroutine that Close waits for, false once Close began.
func (c *Client) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.work.Go(fn)
	}
	return !c.closed
}

// Close ends all requests and returns when the client's goroutines are gone.
// Pulls under way fail with ErrClosed. It may be called again.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.work.Wait()
	c.limits.Load().http.CloseIdleConnections()
}
