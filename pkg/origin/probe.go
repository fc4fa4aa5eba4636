package origin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"eshop/pkg/catalog"
)

// Probe asks for one document at once, past bulkhead, breaker and batches, so
// that what it finds is the origin's doing. A 404 is a Result with the state
// Absent; errors are those of Pull. It is for a look at the origin, not for pages.
func (c *Client) Probe(ctx context.Context, key catalog.Key) (Result, time.Duration, error) {
	kind, err := c.kind(key)
	if err != nil {
		return Result{}, 0, err
	}
	began := time.Now()
	body, err := c.get(ctx, c.limits.Load(), kind.OriginPath(key.ID), c.cfg.MaxBody)
	took := time.Since(began)
	var r Result
	switch {
	case errors.Is(err, errNotFound):
		return Result{State: catalog.Absent}, took, nil
	case err == nil:
		r, err = live(kind, key.ID, body)
	}
	if err != nil {
		return Result{}, took, fmt.Errorf("probe %v: %w", key, err)
	}
	return r, took, nil
}

// ProbeBatch asks for several documents by the batch form of their kind, as Probe
// does for one, and returns those that the answer holds.
func (c *Client) ProbeBatch(ctx context.Context, name string, ids []int64) (map[int64]Result, error) {
	kind := c.cat.Kind(name)
	if kind == nil || kind.BatchURL == "" {
		return nil, fmt.Errorf("probe the batch form of %q: no kind of that name has one", name)
	}
	body, err := c.get(ctx, c.limits.Load(), kind.OriginBatchPath(ids), c.cfg.MaxBody)
	var found map[int64]Result
	if err == nil {
		found, err = split(kind, ids, body)
	}
	if err != nil {
		return nil, fmt.Errorf("probe the batch form of %s: %w", name, err)
	}
	return found, nil
}
