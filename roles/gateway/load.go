package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coalesce"
	"eshop/pkg/docapi"
)

// answer is the outcome of a load: a page, or the knowledge that there is none.
type answer struct {
	page  *page   // nil: the root document does not exist
	deps  []*flag // the root document's, also when it does not exist, and those of the related ones
	sure  []*flag // those of them that were current when they were read
	layer layer   // the farthest level that was asked
	// stale: built from a copy that could not be checked; partial: a related
	// document could not be had. Such a page is not kept (5).
	stale, partial bool
	stored         bool // in L1
	missing        bool // a related document that the request named does not exist
}

// load brings a page into L1 and returns it; one load for each key at a time
// (invariant 7). It serves misses, refreshes and revalidations alike: documents
// that turn out to be unchanged renew the page that is there.
func (r *Role) load(ctx context.Context, key pageKey) (*answer, error) {
	for round := 1; ; round++ {
		a, shared, err := r.loadOnce(ctx, key)
		// Who joins a load at its very end may have heard of a change, or of a
		// deletion, that came after the load had looked for one.
		switch {
		case err != nil || !shared || !r.dead(a) && (a.stale || !a.overtaken()):
			return a, err
		case round < rounds:
		case r.dead(a) || a.page == nil:
			return nil, fmt.Errorf("load the page %s: %w", r.router.target(key), errChanging)
		default:
			marked := *a // others have the same answer
			marked.stale = true
			return &marked, nil
		}
	}
}

func (r *Role) loadOnce(ctx context.Context, key pageKey) (a *answer, shared bool, err error) {
	a, shared, err = r.loads.Do(ctx, key, func(ctx context.Context) (*answer, error) { return r.buildCurrent(ctx, key) })
	if shared {
		r.metrics.coalesced.Inc()
	}
	if errors.Is(err, coalesce.ErrOverloaded) {
		r.metrics.overloaded.Inc()
	}
	var panicked *coalesce.PanicError
	if errors.As(err, &panicked) && !shared {
		r.log.Error("a page load panicked", "page", r.router.target(key), "panic", panicked.Value, "stack", string(panicked.Stack))
	}
	return a, shared, err
}

func (a *answer) add(f found) {
	a.layer, a.stale = max(a.layer, f.layer), a.stale || f.stale
	a.deps = append(a.deps, f.flag)
	if !f.stale {
		a.sure = append(a.sure, f.flag)
	}
}

// overtaken reports whether one of the documents has changed since it was read.
func (a *answer) overtaken() bool {
	return slices.ContainsFunc(a.sure, func(f *flag) bool { return f.state.Load() != live })
}

// dead reports whether one of the documents must not be served any more. A copy
// that L1 has given up since it was read hears of no change, but the floor does;
// the change may be a deletion.
func (r *Role) dead(a *answer) bool {
	return slices.ContainsFunc(a.deps, func(f *flag) bool {
		return f.dead() || !f.absent && !r.floor.Admits(f.key, f.stamp) && !r.l1.index.holds(f)
	})
}

// buildCurrent builds until no change has overtaken the page: a request that
// came after the change may wait for this very load (invariant 3). One that
// changes too fast for that is returned as stale, a deleted one never.
func (r *Role) buildCurrent(ctx context.Context, key pageKey) (*answer, error) {
	for round := 1; ; round++ {
		a, err := r.build(ctx, key)
		if err != nil {
			return nil, err
		}
		switch {
		case !r.dead(a) && !a.overtaken():
			return a, nil
		case round < rounds:
		case r.dead(a) || a.page == nil:
			return nil, fmt.Errorf("build the page %s: %w", r.router.target(key), errChanging)
		default:
			a.stale = true
			return a, nil
		}
	}
}

// build reads the documents of a page and renders it.
func (r *Role) build(ctx context.Context, key pageKey) (*answer, error) {
	pt := &r.cat.Pages()[key.page]
	root, related, err := r.pageDocuments(ctx, pt, key)
	if err != nil {
		return nil, fmt.Errorf("build the page %s: %w", r.router.target(key), err)
	}
	a := &answer{}
	a.add(root)
	if !root.isLive() {
		_, a.stored = r.l1.absents.Get(root.doc.Key)
		return a, nil
	}
	docs := []catalog.Document{root.doc}
	bodies := make([][]byte, len(pt.Related))
	for i := range related {
		f := &related[i]
		switch {
		case f.err != nil:
			a.partial = true
			// Not louder: under a switch, or in a flood, it is most pages. A metric counts them.
			r.log.Debug("a page is served without a part that could not be loaded", "page", r.router.target(key), "part", pt.Related[i], "err", f.err)
			continue
		case f.entry == nil: // the root names none
			continue
		}
		a.add(*f)
		if f.isLive() {
			bodies[i] = f.doc.Body
			docs = append(docs, f.doc)
		} else {
			a.missing = a.missing || key.rel[i] != 0
		}
	}
	if old, ok := r.l1.pages.Get(key); ok && !a.partial && !a.stale && slices.Equal(old.deps, a.deps) &&
		r.look(old, time.Now().UnixNano()) <= stale {
		a.page, a.stored = old, true
		return a, nil
	}
	if a.page, err = r.render(key, a.deps, docs, bodies); err != nil {
		return nil, fmt.Errorf("build the page %s: %w", r.router.target(key), err)
	}
	// A page that a request named missing documents for is not kept: there are as
	// many of those as a client cares to make up (PITFALL 12).
	if !a.partial && !a.stale && !a.missing {
		a.stored = r.l1.putPage(a.page, time.Now().Add(a.page.ttl(time.Now().UnixNano())+r.cfg.HardTTL))
	}
	if a.stored {
		r.hot.keep.stored(a.page)
	}
	return a, nil
}

// render makes a page of its documents: the root first, and the bodies of the
// related ones by their place in the page type.
func (r *Role) render(key pageKey, deps []*flag, docs []catalog.Document, bodies [][]byte) (*page, error) {
	pt := &r.cat.Pages()[key.page]
	var v *view
	if !key.json {
		v = r.views.current(key.page)
	}
	if p := r.twin(key, deps, v); p != nil {
		return p, nil
	}
	if key.json {
		return r.newPage(key, pt.MergedJSON(docs[0].Body, bodies), deps, nil)
	}
	body, err := v.render(pt, docs)
	if err != nil {
		return nil, err
	}
	return r.newPage(key, body, deps, v)
}

// pageDocuments reads the root and what belongs to it, in one round trip when
// the request named all related documents.
func (r *Role) pageDocuments(ctx context.Context, pt *catalog.PageType, key pageKey) (root found, related []found, err error) {
	related = make([]found, len(pt.Related))
	keys := []catalog.Key{{Kind: pt.Root, ID: key.id}}
	at := []int{-1} // which related document each key is
	for i, kind := range pt.Related {
		if key.rel[i] != 0 {
			keys, at = append(keys, catalog.Key{Kind: kind, ID: key.rel[i]}), append(at, i)
		}
	}
	for n, f := range r.documents(ctx, keys) {
		if n == 0 {
			root = f
		} else {
			related[at[n]] = f
		}
	}
	if root.err != nil {
		return root, nil, root.err
	}
	if !root.isLive() || len(at) == len(pt.Related)+1 {
		return root, related, nil
	}
	fields := make([]string, len(pt.Related))
	for i, kind := range pt.Related {
		fields[i] = r.cat.Kind(kind).Field
	}
	values, err := catalog.TopLevel(root.doc.Body, fields)
	if err != nil {
		return root, nil, fmt.Errorf("read the related ids of %v: %w", root.doc.Key, err)
	}
	keys, at = keys[:0], at[:0]
	for i, kind := range pt.Related {
		if id, ok := catalog.RawID(values[i]); ok && key.rel[i] == 0 {
			keys, at = append(keys, catalog.Key{Kind: kind, ID: id}), append(at, i)
		}
	}
	if len(keys) > 0 {
		for n, f := range r.documents(ctx, keys) {
			related[at[n]] = f
		}
	}
	return root, related, nil
}

// retryAfter is how long a client should wait after a load that failed.
func retryAfter(err error) time.Duration {
	var u *docapi.Unavailable
	after := time.Second
	if errors.As(err, &u) && u.RetryAfter > 0 {
		after = u.RetryAfter
	}
	return after + rand.N(after/2+time.Second) // those who failed together come back one by one
}
