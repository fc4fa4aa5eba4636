package gateway

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/catalog"
)

// How hard a warm join presses Redis and the cache role: batches of warmBatch
// products, warmParallel at a time, and warmRate products a second at most.
const (
	warmBatch    = 128
	warmParallel = 2
	warmRate     = 10_000
	// warmTries of one batch; what cannot be had then is left to requests.
	warmTries = 3
	warmPause = 200 * time.Millisecond
)

// warmPages loads products and renders their pages, in the given order, until
// ctx ends or half of the budget for pages or documents is used: the other half
// is for what requests bring.
func (r *Role) warmPages(ctx context.Context, ids []int64) error {
	each := int64(len(r.hot.pages))
	r.warm.of.Store(int64(len(ids)) * each)
	if each == 0 {
		return nil
	}
	pace := time.NewTicker(time.Second * warmBatch / warmRate)
	defer pace.Stop()
	places := make(chan struct{}, warmParallel)
	var batches sync.WaitGroup
	for batch := range slices.Chunk(ids, warmBatch) {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil || r.l1.halfFull() {
			break
		}
		batches.Go(func() {
			defer func() { <-places }()
			r.warmProducts(ctx, batch)
		})
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
	batches.Wait()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("load what this gateway will be asked for: %w", context.Cause(ctx))
	case r.l1.halfFull():
		r.log.Info("half of the cache is used, the rest of the ranking is left to requests")
		r.warm.of.Store(r.warm.pages.Load())
	}
	return nil
}

// warmProducts loads the documents of a batch together, then renders.
func (r *Role) warmProducts(ctx context.Context, ids []int64) {
	roots := make([]catalog.Key, len(ids))
	for i, id := range ids {
		roots[i] = catalog.Key{Kind: accesslog.Kind, ID: id}
	}
	docs := r.warmDocuments(ctx, roots)
	r.warmDocuments(ctx, r.relatedOf(docs))
	for i, id := range ids {
		if ctx.Err() != nil || r.l1.halfFull() {
			return
		}
		if _, had := r.warmForms(ctx, id, docs[i]); !had {
			r.warm.failed.Add(int64(len(r.hot.pages)))
		}
		r.warm.pages.Add(int64(len(r.hot.pages)))
	}
}

// warmForms renders a product whose document was had.
func (r *Role) warmForms(ctx context.Context, id int64, doc found) ([]pageKey, bool) {
	if doc.err != nil {
		return nil, false
	}
	return r.bringForms(ctx, id)
}

// warmDocuments is documents that tries again what fails.
func (r *Role) warmDocuments(ctx context.Context, keys []catalog.Key) []found {
	out := make([]found, len(keys))
	open := all(len(keys))
	for try := 1; len(open) > 0; try++ {
		reading, cancel := context.WithTimeout(ctx, r.cfg.LoadTimeout)
		got := r.documents(reading, pick(keys, open), new(reach))
		cancel()
		var failed []int
		for n, i := range open {
			if out[i] = got[n]; out[i].err != nil {
				failed = append(failed, i)
			}
		}
		if open = failed; len(open) == 0 || try == warmTries {
			break
		}
		select {
		case <-time.After(warmPause):
		case <-ctx.Done():
			return out
		}
	}
	return out
}

// relatedOf lists the documents that the pages of products show beside them.
func (r *Role) relatedOf(docs []found) []catalog.Key {
	seen := map[catalog.Key]bool{}
	var keys []catalog.Key
	for _, at := range r.hot.pages {
		pt := &r.cat.Pages()[at]
		fields := make([]string, len(pt.Related))
		for i, kind := range pt.Related {
			fields[i] = r.cat.Kind(kind).Field
		}
		for _, d := range docs {
			if !d.isLive() {
				continue
			}
			values, err := catalog.TopLevel(d.doc.Body, fields)
			if err != nil {
				continue // said when the page is rendered
			}
			for i, kind := range pt.Related {
				id, ok := catalog.RawID(values[i])
				if key := (catalog.Key{Kind: kind, ID: id}); ok && !seen[key] {
					seen[key] = true
					keys = append(keys, key)
				}
			}
		}
	}
	return keys
}
