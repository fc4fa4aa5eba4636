package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/catalog"
	"eshop/pkg/hotlist"
	"eshop/pkg/ring"
)

// hotSet says which products are hot, as far as this gateway knows. Immutable.
type hotSet struct {
	// generation counts the changes of who is in the set, from 0, the empty set of the start.
	generation uint64
	keys       map[int64]hotlist.Key
	lists      []hotlist.Hot // what it was made of
}

// hot is what a gateway does about hot products: it has a copy of its own of
// each, made before the first request for it, and gives that up when the product
// cools and another gateway owns it. While ZooKeeper is away the set stays as it
// is.
type hot struct {
	role  *Role
	pages []uint8                // the page types whose root can be hot
	roots [catalog.MaxPages]bool // the same by page type
	set   atomic.Pointer[hotSet]
	keep  *keeper
}

func newHot(r *Role) *hot {
	h := &hot{role: r}
	for i, pt := range r.cat.Pages() {
		if pt.Root == accesslog.Kind { // only those are counted
			h.pages, h.roots[i] = append(h.pages, uint8(i)), true
		}
	}
	h.set.Store(&hotSet{})
	h.keep = newKeeper(r, h)
	return h
}

// has reports whether the product of a page is hot.
func (h *hot) has(key pageKey) bool {
	if !h.roots[key.page] {
		return false
	}
	_, ok := h.set.Load().keys[key.id]
	return ok
}

// shows is has for a page in L1. The page remembers the answer and the
// generation it is of, in one word, so a hit costs two loads; the set is looked
// up once after each change of it. A slower request may write an older pair
// over a newer one: the next request looks again then.
func (h *hot) shows(p *page) bool {
	set := h.set.Load()
	if seen := p.heat.Load(); seen>>1 == set.generation {
		return seen&1 != 0
	}
	seen := set.generation << 1
	is := false
	if h.roots[p.key.page] {
		if _, is = set.keys[p.key.id]; is {
			seen |= 1
		}
	}
	p.heat.Store(seen)
	return is
}

// take makes a view the present one. One goroutine calls it.
func (h *hot) take(v *hotlist.View) {
	old := h.set.Load()
	next := &hotSet{generation: old.generation, keys: v.Hot, lists: v.Lists}
	var cooled []int64
	for id := range old.keys {
		if _, still := next.keys[id]; !still {
			cooled = append(cooled, id)
		}
	}
	if len(cooled) > 0 || len(next.keys) > len(old.keys) {
		next.generation++
	}
	h.set.Store(next)
	h.keep.left(cooled)
}

// run follows the lists until ctx ends.
func (h *hot) run(ctx context.Context) {
	client := hotlist.New(hotlist.Deps{Session: h.role.zk, Log: h.role.log})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { client.Watch(ctx, h.take) })
	wg.Go(func() { client.WatchRule(ctx, func(rule hotlist.Rule) { h.role.setHotFloor(rule.Floor) }) })
	select { // a gateway that joins warms up first: what is hot is among it
	case <-h.role.warm.done:
	case <-ctx.Done():
		return
	}
	h.keep.run(ctx)
}

// foreign reports whether another gateway owns a product.
func (h *hot) foreign(id int64) bool {
	rg := h.role.peers.Ring()
	if rg == nil {
		return false
	}
	m, ok := rg.Owner(ring.Hash(accesslog.Kind, id))
	return ok && m.ID != h.role.cfg.ID
}

// oldest is the age of the list that was published longest ago, by the clock of
// its publisher; false without any list.
func (s *hotSet) oldest(now time.Time) (age time.Duration, ok bool) {
	for _, l := range s.lists {
		age = max(age, now.Sub(time.UnixMilli(l.Published)))
	}
	return age, len(s.lists) > 0
}
