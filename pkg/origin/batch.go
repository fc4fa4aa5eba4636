package origin

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/tracing"
)

// window collapses the concurrent pulls of one kind.
//
// A pull that finds nothing of its kind under way is sent at once, so a lone
// cold key pays no tax. Others gather for BatchWindow, or until BatchMax
// documents are together, and leave as one request.
type window struct {
	mu      sync.Mutex
	busy    int     // bundles that left and have no result yet
	pending *bundle // the one that gathers, nil if none does
	offTill time.Time
}

// bundle is the documents of one request. While it is pending it grows under
// window.mu; results are written once, before done is closed.
type bundle struct {
	ids     []int64
	wanted  int // callers that still wait, guarded by window.mu
	left    bool
	done    chan struct{}
	results map[int64]ResultOrErr
	// turn ends the wait for a place in the bulkhead when nobody wants the
	// bundle any more; it does not end a request that was sent. It carries what the
	// request is known by, and may be replaced under window.mu while it is pending.
	turn    context.Context
	forsake context.CancelFunc
}

func (c *Client) window(kind *catalog.Kind) *window { return c.windows[kind.Name] }

// usable reports whether the kind has a batch form that may be used now. It
// wants mu held.
func (w *window) usable(cfg *Config, kind *catalog.Kind) bool {
	return kind.BatchURL != "" && cfg.BatchWindow > 0 && cfg.BatchMax > 1 &&
		(w.offTill.IsZero() || time.Now().After(w.offTill))
}

func (c *Client) batchable(kind *catalog.Kind) bool {
	w := c.window(kind)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.usable(&c.cfg, kind)
}

func (w *window) off(until time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offTill = until
}

// join puts id into a bundle that was not sent yet. Joining one that was sent
// would hand out what the origin said before the caller asked. The request is known
// by what its first caller is, or the first that is traced.
func (c *Client) join(ctx context.Context, kind *catalog.Kind, id int64) *bundle {
	w := c.window(kind)
	w.mu.Lock()
	defer w.mu.Unlock()
	if b := w.pending; b != nil {
		b.wanted++
		if !tracing.Sampled(b.turn) && tracing.Sampled(ctx) {
			b.turn = tracing.Carry(b.turn, ctx)
		}
		if !slices.Contains(b.ids, id) {
			b.ids = append(b.ids, id)
		}
		if len(b.ids) >= c.cfg.BatchMax {
			c.send(kind, w, b)
		}
		return b
	}
	b := &bundle{ids: []int64{id}, wanted: 1, done: make(chan struct{})}
	b.turn, b.forsake = context.WithCancel(tracing.Carry(c.life, ctx))
	if w.busy == 0 || !w.usable(&c.cfg, kind) {
		c.send(kind, w, b)
		return b
	}
	w.pending = b
	if !c.spawn(func() { c.gather(kind, w, b) }) {
		c.send(kind, w, b) // fails it
	}
	return b
}

// gather sends b when its window is over.
func (c *Client) gather(kind *catalog.Kind, w *window, b *bundle) {
	timer := time.NewTimer(c.cfg.BatchWindow)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.done: // it was full before, and is back already
	case <-c.life.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c.send(kind, w, b)
}

// send lets b leave the window; a second call does nothing. It wants w.mu held.
func (c *Client) send(kind *catalog.Kind, w *window, b *bundle) {
	if b.left {
		return
	}
	b.left = true
	if w.pending == b {
		w.pending = nil
	}
	if b.wanted == 0 { // all went away while it gathered
		b.forsake()
	}
	w.busy++
	sent := c.spawn(func() {
		results := c.load(b.turn, kind, b.ids)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.busy--
		b.finish(results)
	})
	if !sent {
		w.busy--
		results := make(map[int64]ResultOrErr, len(b.ids))
		for _, id := range b.ids {
			results[id] = ResultOrErr{Err: fmt.Errorf("pull %s %d: %w", kind.Name, id, ErrClosed)}
		}
		b.finish(results)
	}
}

func (b *bundle) finish(results map[int64]ResultOrErr) {
	b.results = results
	close(b.done)
	b.forsake()
}

// leave is called by a caller that stops waiting. The last one takes the
// bundle out of the queue for the bulkhead; one that still gathers may yet be
// joined, so send decides about it.
func (c *Client) leave(kind *catalog.Kind, b *bundle) {
	w := c.window(kind)
	w.mu.Lock()
	defer w.mu.Unlock()
	if b.wanted--; b.wanted == 0 && b.left {
		b.forsake()
	}
}
