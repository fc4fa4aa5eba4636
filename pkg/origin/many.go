package origin

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"eshop/pkg/catalog"
)

// PullMany reads many documents, of any kinds: in batches where the kind has a
// batch form, a few requests at a time. The results stand in the order of keys,
// each with its own error; the error of the call is ctx's or ErrClosed. It
// counts as one pull against QueueLimit.
func (c *Client) PullMany(ctx context.Context, keys []catalog.Key) ([]ResultOrErr, error) {
	fail := func(err error) ([]ResultOrErr, error) {
		return nil, fmt.Errorf("pull %d documents: %w", len(keys), err)
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	defer c.inside.Add(-1)
	if c.inside.Add(1) > int64(c.limits.Load().concurrency+c.cfg.QueueLimit) {
		return fail(ErrOverloaded)
	}
	keys = slices.Clone(keys) // the work may outlive the call
	done := make(chan []ResultOrErr, 1)
	if !c.spawn(func() { done <- c.many(ctx, keys) }) {
		return fail(ErrClosed)
	}
	select {
	case out := <-done:
		return out, nil
	case <-ctx.Done():
		return fail(ctx.Err())
	}
}

// chunk is some ids of one kind, and what became of them.
type chunk struct {
	kind *catalog.Kind
	ids  []int64
	out  map[int64]ResultOrErr
	open []int64
}

func (c *Client) many(ctx context.Context, keys []catalog.Key) []ResultOrErr {
	results := make(map[catalog.Key]ResultOrErr, len(keys))
	var mu sync.Mutex
	chunks := c.chunks(keys, results)
	c.inParallel(len(chunks), func(i int) {
		ch := chunks[i]
		ch.open = c.batch(ctx, ch.kind, ch.ids, ch.out)
	})
	// Singles in a second round, so that both rounds keep to inParallel's share.
	type single struct {
		kind *catalog.Kind
		id   int64
	}
	var singles []single
	for _, ch := range chunks {
		for id, r := range ch.out {
			results[catalog.Key{Kind: ch.kind.Name, ID: id}] = r
		}
		for _, id := range ch.open {
			singles = append(singles, single{ch.kind, id})
		}
	}
	c.inParallel(len(singles), func(i int) {
		r := c.one(ctx, singles[i].kind, singles[i].id)
		mu.Lock()
		defer mu.Unlock()
		results[catalog.Key{Kind: singles[i].kind.Name, ID: singles[i].id}] = r
	})
	out := make([]ResultOrErr, len(keys))
	for i, k := range keys {
		out[i] = results[k]
		if c.cat.Kind(k.Kind) != nil {
			c.metrics.pulled(k.Kind, out[i])
		}
	}
	return out
}

// chunks sorts the keys into chunks of at most BatchMax distinct ids of a kind;
// keys that cannot be asked for get their error in results.
func (c *Client) chunks(keys []catalog.Key, results map[catalog.Key]ResultOrErr) []*chunk {
	var all []*chunk
	growing := map[string]*chunk{}
	seen := make(map[catalog.Key]bool, len(keys))
	for _, k := range keys {
		if seen[k] {
			continue
		}
		seen[k] = true
		kind, err := c.kind(k)
		if err != nil {
			results[k] = ResultOrErr{Err: err}
			continue
		}
		ch := growing[k.Kind]
		if ch == nil || len(ch.ids) >= c.cfg.BatchMax {
			ch = &chunk{kind: kind, out: map[int64]ResultOrErr{}}
			growing[k.Kind] = ch
			all = append(all, ch)
		}
		ch.ids = append(ch.ids, k.ID)
	}
	return all
}
