package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/tracing"
)

// batchOff is how long a kind's batch form is left alone after it proved unusable.
const batchOff = 30 * time.Second

// load asks for documents of one kind, at most BatchMax. Those that a batch
// leaves open are asked for alone. turn ends the wait for a place in the
// bulkhead. The result has an entry for every id.
func (c *Client) load(turn context.Context, kind *catalog.Kind, ids []int64) map[int64]ResultOrErr {
	out := make(map[int64]ResultOrErr, len(ids))
	open := c.batch(turn, kind, ids, out)
	if len(open) == 1 { // the usual case needs no goroutines
		out[open[0]] = c.one(turn, kind, open[0])
		return out
	}
	var mu sync.Mutex
	c.inParallel(len(open), func(i int) {
		r := c.one(turn, kind, open[i])
		mu.Lock()
		defer mu.Unlock()
		out[open[i]] = r
	})
	return out
}

// batch asks for several documents by one request and adds to out what is
// settled by it. It returns the ids that have to be asked for alone: those the
// answer lacks, because a batch form may leave out what it is too busy to find;
// and all of them when the batch form is refused or its answer is no JSON
// array; it is then left alone for a while. An origin in trouble is not asked
// again: that settles all ids as failed.
func (c *Client) batch(turn context.Context, kind *catalog.Kind, ids []int64, out map[int64]ResultOrErr) (open []int64) {
	if len(ids) < 2 || !c.batchable(kind) {
		return ids
	}
	body, err := c.request(turn, kind, "batch", kind.OriginBatchPath(ids), c.cfg.MaxBody*int64(min(len(ids), 8)))
	var found map[int64]Result
	if err == nil {
		found, err = split(kind, ids, body)
	}
	switch {
	case err == nil:
	case refused(err):
		c.log.WarnContext(turn, "The batch form of a kind is unusable; its documents are asked for one by one for a while.",
			"kind", kind.Name, "for", batchOff, "error", err)
		c.window(kind).off(time.Now().Add(batchOff))
	default:
		for _, id := range ids {
			out[id] = ResultOrErr{Err: fmt.Errorf("pull %s %d in a batch of %d: %w", kind.Name, id, len(ids), err)}
		}
		return nil
	}
	for _, id := range ids {
		if r, ok := found[id]; ok {
			out[id] = ResultOrErr{Result: r}
		} else {
			open = append(open, id)
		}
	}
	return open
}

// one asks for a single document.
func (c *Client) one(turn context.Context, kind *catalog.Kind, id int64) (out ResultOrErr) {
	body, err := c.request(turn, kind, "single", kind.OriginPath(id), c.cfg.MaxBody)
	switch {
	case errors.Is(err, errNotFound):
		return ResultOrErr{Result: Result{State: catalog.Absent}}
	case err == nil:
		out.Result, err = live(kind, id, body)
	}
	if err != nil {
		out.Err = fmt.Errorf("pull %s %d: %w", kind.Name, id, err)
	}
	return out
}

// refused reports whether a batch failed in a way that single requests may not:
// the form is not there, the answer is too large or malformed.
func refused(err error) bool {
	var status *StatusError
	switch {
	case errors.Is(err, errNotFound), errors.Is(err, ErrBadAnswer):
		return true
	case errors.As(err, &status):
		return status.Status < 500 && status.Status != http.StatusTooManyRequests || status.Status == http.StatusNotImplemented
	}
	return false
}

// inParallel calls do for 0…n-1 and returns when all calls have. A quarter of
// the bulkhead is the most that one caller takes.
func (c *Client) inParallel(n int, do func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, max(1, c.limits.Load().concurrency/4)) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// request sends one request through the guard. A panic below it fails this
// request, not the process.
func (c *Client) request(turn context.Context, kind *catalog.Kind, form, path string, limit int64) ([]byte, error) {
	may := func() error {
		if c.held == nil {
			return nil
		}
		if err := c.held(kind.Name); err != nil {
			return fmt.Errorf("%w: %w", ErrHeld, err)
		}
		return nil
	}
	l := c.limits.Load()
	body, err := c.guard.do(turn, l, may, func() (body []byte, err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("ask the origin for %s: panic: %v", path, r)
			}
		}()
		start := time.Now()
		// Not a caller's context: the request is shared, and the breaker must see its end.
		body, err = c.get(tracing.Carry(c.life, turn), l, path, limit)
		c.metrics.sent(kind.Name, form, time.Since(start))
		return body, err
	})
	if err != nil && c.life.Err() != nil {
		return nil, ErrClosed
	}
	return body, err
}
