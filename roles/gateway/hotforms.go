package gateway

import (
	"context"
	"slices"

	"eshop/pkg/catalog"
)

// bringForms loads the pages of a product in the two forms that requests use:
// "/product/7", and with the related ids named that the product itself names,
// "/product?productId=7&shopId=3", as the replaced system's addresses have it.
// The second one costs no reading and no rendering (see twin). JSON is made of
// the documents when it is asked for.
func (r *Role) bringForms(ctx context.Context, id int64) (brought []pageKey, ok bool) {
	ok = true
	for _, at := range r.hot.pages {
		key := pageKey{id: id, page: at}
		brought = append(brought, key)
		a, had := r.bringForm(ctx, key)
		if had && a.page != nil {
			if own, named := r.ownForm(key, a.deps); named {
				brought = append(brought, own)
				_, had = r.bringForm(ctx, own)
			}
		}
		ok = ok && had
	}
	return brought, ok
}

// bringForm loads one page and reports whether it was had as it should be. One
// that is not kept because L1 gave up a document of it meanwhile was not.
func (r *Role) bringForm(ctx context.Context, key pageKey) (*answer, bool) {
	a, err := r.load(ctx, key)
	if err != nil || a.stale || a.partial || !a.stored && slices.ContainsFunc(a.deps, func(f *flag) bool { return !r.l1.index.holds(f) }) {
		r.log.Debug("a page cannot be had ahead of requests", "page", r.router.target(key), "err", err)
		return nil, false
	}
	return a, true
}

// ownForm is the key of the page under which the related ids are named that the
// root document names itself. False if it names none, or one that does not
// exist: such a page is not kept.
func (r *Role) ownForm(key pageKey, deps []*flag) (pageKey, bool) {
	pt := &r.cat.Pages()[key.page]
	for _, f := range deps[1:] {
		if e, ok := r.l1.absents.Get(f.key); ok && e.flag == f {
			return key, false
		}
		key.rel[slices.Index(pt.Related, f.key.Kind)] = f.key.ID
	}
	return key, len(deps) > 1
}

// twin returns a page for key that shares the bytes of the same page under its
// other key, nil if L1 has none. A page is a function of its documents, the
// template and the form, and equal flags stand for equal documents.
func (r *Role) twin(key pageKey, deps []*flag, v *view) *page {
	other, named := key, false
	for i := range other.rel {
		named = named || other.rel[i] != 0
		other.rel[i] = 0
	}
	if !named {
		if other, named = r.ownForm(key, deps); !named {
			return nil
		}
	}
	p, ok := r.l1.pages.Get(other)
	if !ok || p.view != v || !slices.Equal(p.deps, deps) {
		return nil
	}
	return &page{key: key, plain: p.plain, gzip: p.gzip, deps: p.deps, view: v}
}

// pages returns the pages of a root document that are in L1, at most limit of
// them, the newest first; 0: all.
func (x *index) pages(root catalog.Key, limit int) []*page {
	s := x.shard(root)
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*page
	if l := s.m[root]; l != nil {
		for p := l.pages; p != nil && (limit == 0 || len(found) < limit); p = p.older {
			found = append(found, p)
		}
	}
	return found
}

// link adds a page to those of its root document, unlink takes it out. The
// list is threaded through the pages themselves.
func (x *index) link(p *page) {
	root := p.deps[0]
	s := x.shard(root.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.older = root.of.pages; p.older != nil {
		p.older.younger = p
	}
	root.of.pages = p
}

func (x *index) unlink(p *page) {
	root := p.deps[0]
	s := x.shard(root.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.younger != nil {
		p.younger.older = p.older
	} else {
		root.of.pages = p.older
	}
	if p.older != nil {
		p.older.younger = p.younger
	}
	p.younger, p.older = nil, nil
}
