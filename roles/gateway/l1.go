package gateway

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/lru"
)

// l1 is this gateway's heap tier. The three caches have budgets of their own,
// so that a flood of unknown ids evicts no page (PITFALL 12).
type l1 struct {
	pages   *lru.Cache[pageKey, *page]
	docs    *lru.Cache[catalog.Key, *entry]
	absents *lru.Cache[catalog.Key, *entry]
	index   *index
	budget  atomic.Int64
}

// Shares of the budget, in percent; negative entries have the rest.
const (
	pagesShare = 70
	docsShare  = 25
)

func newL1(bytes int64) (*l1, error) {
	c := &l1{index: newIndex()}
	c.budget.Store(bytes)
	var err error
	if c.pages, err = lru.New(lru.Config[pageKey, *page]{Bytes: bytes / 100 * pagesShare, Hash: pageKey.hash,
		OnEvict: func(_ pageKey, p *page, _ lru.Reason) { c.left(p) }}); err != nil {
		return nil, fmt.Errorf("the page cache: %w", err)
	}
	drop := func(_ catalog.Key, e *entry, _ lru.Reason) { c.index.release(e.flag) }
	if c.docs, err = lru.New(lru.Config[catalog.Key, *entry]{Bytes: bytes / 100 * docsShare, Hash: hashKey, OnEvict: drop}); err != nil {
		return nil, fmt.Errorf("the document cache: %w", err)
	}
	if c.absents, err = lru.New(lru.Config[catalog.Key, *entry]{Bytes: bytes / 100 * (100 - pagesShare - docsShare), Hash: hashKey, OnEvict: drop}); err != nil {
		return nil, fmt.Errorf("the cache of negative entries: %w", err)
	}
	return c, nil
}

// get returns the copy of a document, whatever its state, nil if there is none.
// A negative entry counts when it is the newer of the two.
func (c *l1) get(k catalog.Key) *entry {
	e, ok := c.docs.Get(k)
	if ok && e.flag.state.Load() == live {
		return e
	}
	if n, found := c.absents.Get(k); found && (n.flag.state.Load() == live || !ok) {
		return n
	}
	if !ok {
		return nil
	}
	return e
}

// put stores a document that was admitted; it takes over the caller's
// reference. Live documents stay until the hard limit, absent ones until their
// soft TTL.
func (c *l1) put(e *entry, hard time.Duration) {
	soft := time.Unix(0, e.flag.soft.Load())
	ok := false
	if e.doc.State == catalog.Live {
		ok = c.docs.Put(e.doc.Key, e, e.bytes(), soft.Add(hard))
	} else {
		ok = c.absents.Put(e.doc.Key, e, e.bytes(), soft)
	}
	if !ok {
		c.index.release(e.flag)
	}
}

// putPage stores a page unless one of its documents is not the current copy any
// more: an invalidation would pass it by.
func (c *l1) putPage(p *page, expires time.Time) bool {
	for i, f := range p.deps {
		if !c.index.retain(f) {
			c.releaseAll(p.deps[:i])
			return false
		}
	}
	c.index.link(p)
	if !c.pages.Put(p.key, p, p.cost(), expires) {
		c.left(p)
		return false
	}
	return true
}

// left gives back what a page held that is not in L1 any more.
func (c *l1) left(p *page) {
	c.index.unlink(p)
	c.releaseAll(p.deps)
}

func (c *l1) releaseAll(flags []*flag) {
	for _, f := range flags {
		c.index.release(f)
	}
}

// purge makes every copy of a document and every page built from it unusable,
// the stale ones included (PITFALL 34), and reports whether there was one.
func (c *l1) purge(k catalog.Key) bool {
	found := c.index.purge(k) // first: it needs the references that the other two give back
	a, b := c.docs.Remove(k), c.absents.Remove(k)
	return found || a || b
}

// halfFull reports whether half of the budget for pages or documents is used.
func (c *l1) halfFull() bool {
	budget := c.budget.Load()
	return c.pages.Bytes() >= budget/200*pagesShare || c.docs.Bytes() >= budget/200*docsShare
}

// checkResize returns why resize could not do with so many bytes.
func (c *l1) checkResize(bytes int64) error {
	return errors.Join(c.pages.CheckResize(bytes/100*pagesShare), c.docs.CheckResize(bytes/100*docsShare),
		c.absents.CheckResize(bytes/100*(100-pagesShare-docsShare)))
}

// resize changes the budget to one that checkResize has let pass.
func (c *l1) resize(bytes int64) error {
	c.budget.Store(bytes)
	return errors.Join(c.pages.Resize(bytes/100*pagesShare), c.docs.Resize(bytes/100*docsShare),
		c.absents.Resize(bytes/100*(100-pagesShare-docsShare)))
}

func (c *l1) bytes() int64 { return c.pages.Bytes() + c.docs.Bytes() + c.absents.Bytes() }
