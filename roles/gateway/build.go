package gateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/tracing"
)

// buildTraced is buildCurrent with a span.
func (r *Role) buildTraced(ctx context.Context, keys []pageKey, done func(i int, a *answer, err error)) {
	ctx, span := tracing.Start(ctx, tracing.Internal, "load page")
	if !span.On() {
		r.buildCurrent(ctx, keys, done)
		return
	}
	defer span.End()
	span.Set(r.documentsOf(keys))
	r.buildCurrent(ctx, keys, func(i int, a *answer, err error) {
		if span.Fail(err); err == nil && len(keys) == 1 {
			root := a.deps[0].stamp
			span.Set(tracing.Layer(a.layer.String()), tracing.Stamp(root), tracing.Version(root.Version), tracing.Outcome(a.outcome()))
		}
		done(i, a, err)
	})
}

// outcome says in a word what a load has brought.
func (a *answer) outcome() string {
	switch {
	case a.page == nil:
		return "absent"
	case a.stale:
		return "stale"
	case a.partial:
		return "partial"
	case a.stored:
		return "stored"
	}
	return "not stored"
}

// buildCurrent builds pages until no change has overtaken them, and tells of each
// when it is done: a request that came after the change may wait for this very
// load (invariant 3). One that changes too fast for that is returned as stale, a
// deleted one never.
//
// Several pages are built in two goes, so that those which L1 and Redis have are
// not as late as the slowest that the origin is asked for.
func (r *Role) buildCurrent(ctx context.Context, keys []pageKey, done func(i int, a *answer, err error)) {
	open, reach := all(len(keys)), reach{near: len(keys) > 1}
	if reach.near {
		open = r.buildRound(ctx, keys, open, &reach, false, done)
		reach.near = false
	}
	for round := 1; len(open) > 0; round++ {
		open = r.buildRound(ctx, keys, open, &reach, round == rounds, done)
		reach.skip = nil // what has changed since is to be read anew
	}
}

// buildRound builds the open pages once and returns those that are left for the
// next round; after the last one there are none.
func (r *Role) buildRound(ctx context.Context, keys []pageKey, open []int, reach *reach, last bool, done func(int, *answer, error)) (again []int) {
	for n, p := range r.pageDocuments(ctx, pick(keys, open), reach) {
		i := open[n]
		if reach.near && p.isFar() {
			again = append(again, i)
			continue
		}
		a, err := r.build(ctx, keys[i], p)
		switch {
		case err != nil:
			done(i, nil, fmt.Errorf("build the page %s: %w", r.router.target(keys[i]), err))
		case !r.dead(a) && !a.overtaken():
			done(i, a, nil)
		case !last:
			again = append(again, i)
		case r.dead(a) || a.page == nil:
			done(i, nil, fmt.Errorf("build the page %s: %w", r.router.target(keys[i]), errChanging))
		default:
			a.stale = true
			done(i, a, nil)
		}
	}
	return again
}

// build renders a page of the documents that were read for it.
func (r *Role) build(ctx context.Context, key pageKey, p *parts) (*answer, error) {
	pt := &r.cat.Pages()[key.page]
	if p.err != nil {
		return nil, p.err
	}
	root, related := p.root, p.related
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
			r.log.DebugContext(ctx, "a page is served without a part that could not be loaded", "page", r.router.target(key), "part", pt.Related[i], "err", f.err)
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
	var err error
	if a.page, err = r.render(key, a.deps, docs, bodies); err != nil {
		return nil, err
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

// parts are the documents of a page.
type parts struct {
	root    found
	related []found // by their place in the page type; one without an entry is not named
	err     error   // the page cannot be built
}

// isFar reports whether a document of the page is farther away than it was looked for.
func (p *parts) isFar() bool {
	return p.root.err == errFar || slices.ContainsFunc(p.related, func(f found) bool { return f.err == errFar })
}

// reading gathers which documents are wanted, and for what.
type reading struct {
	keys []catalog.Key
	at   map[catalog.Key]int // where each is among keys; nil with one page, which names none twice
	into []place
}

type place struct {
	at int
	to *found
}

func newReading(pages int) *reading {
	if pages > 1 {
		return &reading{at: make(map[catalog.Key]int, 2*pages)}
	}
	return &reading{}
}

func (d *reading) want(k catalog.Key, to *found) {
	at, ok := d.at[k]
	if !ok {
		at = len(d.keys)
		d.keys = append(d.keys, k)
		if d.at != nil {
			d.at[k] = at
		}
	}
	d.into = append(d.into, place{at, to})
}

// read reads what is wanted, each document once.
func (r *Role) read(ctx context.Context, d *reading, reach *reach) {
	if len(d.keys) == 0 {
		return
	}
	docs := r.documents(ctx, d.keys, reach)
	for _, p := range d.into {
		*p.to = docs[p.at]
	}
}

// pageDocuments reads the roots of pages and what belongs to them, in one round
// trip for all pages whose request named all related documents.
func (r *Role) pageDocuments(ctx context.Context, keys []pageKey, reach *reach) []*parts {
	out := make([]*parts, len(keys))
	named := newReading(len(keys))
	for n, key := range keys {
		pt := &r.cat.Pages()[key.page]
		p := &parts{related: make([]found, len(pt.Related))}
		out[n] = p
		named.want(catalog.Key{Kind: pt.Root, ID: key.id}, &p.root)
		for i, kind := range pt.Related {
			if key.rel[i] != 0 {
				named.want(catalog.Key{Kind: kind, ID: key.rel[i]}, &p.related[i])
			}
		}
	}
	r.read(ctx, named, reach)
	own := newReading(len(keys))
	for n, key := range keys {
		p, pt := out[n], &r.cat.Pages()[key.page]
		if p.err = p.root.err; p.err == nil && p.root.isLive() {
			p.err = r.wantOwn(key, pt, p, own)
		}
	}
	r.read(ctx, own, reach)
	return out
}

// wantOwn adds the related documents that the root names and the request does not.
func (r *Role) wantOwn(key pageKey, pt *catalog.PageType, p *parts, own *reading) error {
	if !slices.Contains(key.rel[:len(pt.Related)], 0) {
		return nil
	}
	fields := make([]string, len(pt.Related))
	for i, kind := range pt.Related {
		fields[i] = r.cat.Kind(kind).Field
	}
	values, err := catalog.TopLevel(p.root.doc.Body, fields)
	if err != nil {
		return fmt.Errorf("read the related ids of %v: %w", p.root.doc.Key, err)
	}
	for i, kind := range pt.Related {
		if id, ok := catalog.RawID(values[i]); ok && key.rel[i] == 0 {
			own.want(catalog.Key{Kind: kind, ID: id}, &p.related[i])
		}
	}
	return nil
}
