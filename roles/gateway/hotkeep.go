package gateway

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/catalog"
)

// keeper holds this gateway's own copies of hot products: it loads what becomes
// hot, loads anew what changes, and drops what cools. Its queue and workers are
// its own, so that no burst of ordinary refreshes delays a hot product.
//
// It has no way of its own to a document or into L1: every copy comes by
// Role.load, past the floor and with flags, so a change or a deletion ends it
// like any other and one that overtakes the load is not missed (PITFALL 5, 6).
type keeper struct {
	role    *Role
	hot     *hot
	signal  chan struct{} // capacity 1: something is new
	waiting atomic.Int64

	mu      sync.Mutex
	running bool
	touched map[int64]struct{} // hot products to be loaded anew; collected by run
	cooled  map[int64]struct{} // products that left the set, even if for a moment; likewise
	// users are the hot products with a page that shows a related document, and
	// shown the related documents of each of them, at most maxShown.
	users map[catalog.Key]map[int64]struct{}
	shown map[int64][]catalog.Key
}

const (
	hotWorkers = 4
	hotTick    = 50 * time.Millisecond // of retries and second drops
	// maxShown related documents of one hot product, in all its pages, are
	// watched; a page that shows another one is loaded anew by its next request.
	maxShown = 64
	// maxForms of one hot product are loaded anew at once when it changes; the
	// others by their next request.
	maxForms = 64
)

func newKeeper(r *Role, h *hot) *keeper {
	return &keeper{role: r, hot: h, signal: make(chan struct{}, 1),
		touched: map[int64]struct{}{}, cooled: map[int64]struct{}{}, users: map[catalog.Key]map[int64]struct{}{}, shown: map[int64][]catalog.Key{}}
}

func (k *keeper) wake() {
	select {
	case k.signal <- struct{}{}:
	default:
	}
}

// changed has the hot products that show a document loaded anew and reports
// whether there are any. The document is loaded with them.
func (k *keeper) changed(key catalog.Key) bool {
	set := k.hot.set.Load()
	if len(set.keys) == 0 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.running {
		return false
	}
	found := false
	if key.Kind == accesslog.Kind {
		if _, found = set.keys[key.ID]; found {
			k.touched[key.ID] = struct{}{}
		}
	}
	for id := range k.users[key] {
		if _, hot := set.keys[id]; hot {
			k.touched[id] = struct{}{}
			found = true
		}
	}
	if found {
		k.wake()
	}
	return found
}

// stored is told of each page that has come into L1.
func (k *keeper) stored(p *page) {
	if !k.hot.has(p.key) {
		return
	}
	k.note(p)
	// A change that came before the note was not told to changed.
	if slices.ContainsFunc(p.deps, func(f *flag) bool { return f.state.Load() != live }) {
		k.mu.Lock()
		k.touched[p.key.id] = struct{}{}
		k.mu.Unlock()
		k.wake()
	}
}

// note takes down which related documents a page of a hot product shows.
func (k *keeper) note(p *page) {
	id := p.key.id
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range p.deps[1:] {
		if shown := k.shown[id]; len(shown) < maxShown && !slices.Contains(shown, f.key) {
			k.shown[id] = append(shown, f.key)
			if k.users[f.key] == nil {
				k.users[f.key] = map[int64]struct{}{}
			}
			k.users[f.key][id] = struct{}{}
		}
	}
}

// forget ends what was noted of a product.
func (k *keeper) forget(id int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.shown[id] {
		if delete(k.users[key], id); len(k.users[key]) == 0 {
			delete(k.users, key)
		}
	}
	delete(k.shown, id)
}

// left tells that the set is a new one, without these products.
func (k *keeper) left(cooled []int64) {
	k.mu.Lock()
	for _, id := range cooled {
		k.cooled[id] = struct{}{}
	}
	k.mu.Unlock()
	k.wake()
}

// collect takes what was told.
func (k *keeper) collect() (touched, cooled map[int64]struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	touched, cooled = k.touched, k.cooled
	k.touched, k.cooled = map[int64]struct{}{}, map[int64]struct{}{}
	return touched, cooled
}

func (k *keeper) setRunning(is bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running = is
}

// run works until ctx ends and returns when all its loads have.
func (k *keeper) run(ctx context.Context) {
	k.setRunning(true)
	defer k.setRunning(false)
	var loads sync.WaitGroup
	defer loads.Wait()
	type end struct {
		id   int64
		task *task
		ok   bool
	}
	ended := make(chan end, hotWorkers)
	// Every load under way when a product cools has ended within that: bring may
	// begin its last one after two limits, and a load goes on without its caller.
	s := newSchedule(3*k.role.cfg.LoadTimeout + time.Second)
	timer := time.NewTimer(hotTick)
	defer timer.Stop()
	for running := 0; ; {
		k.step(s, time.Now())
		for running < hotWorkers {
			id, ok := s.next()
			if !ok {
				break
			}
			running++
			t := s.tasks[id]
			loads.Go(func() { ended <- end{id, t, k.bring(ctx, id)} })
		}
		k.waiting.Store(int64(s.queued()))
		if !s.idle() {
			timer.Reset(hotTick)
		}
		select {
		case <-ctx.Done():
			return
		case <-k.signal:
		case <-timer.C:
		case e := <-ended:
			running--
			s.finish(e.id, e.task, e.ok, time.Now())
		}
	}
}

// step takes over what is new.
func (k *keeper) step(s *schedule, now time.Time) {
	// The set after the rest: it is as new as what was told, or newer.
	touched, cooled := k.collect()
	set := k.hot.set.Load()
	s.follow(set)
	for id := range cooled {
		if _, again := set.keys[id]; again {
			s.touch(id) // what changed while it was cold was not told
			continue
		}
		s.cools(id, now)
		k.forget(id)
		k.cool(id)
	}
	for id := range touched {
		s.touch(id)
	}
	for _, id := range s.tick(now) {
		k.forget(id)
		k.cool(id)
	}
}

// cool drops the pages and the document of a product that is not hot any more,
// unless it is this gateway's own: requests go to the owner again. Related
// documents stay, other products show them too.
func (k *keeper) cool(id int64) {
	if !k.hot.foreign(id) {
		return
	}
	r, root := k.role, catalog.Key{Kind: accesslog.Kind, ID: id}
	for _, p := range r.l1.index.pages(root, 0) {
		if r.l1.pages.Remove(p.key) {
			r.metrics.hotDropped.Inc()
		}
	}
	r.l1.docs.Remove(root)
}

// bring loads a hot product in all forms that requests use or that are held
// here, and reports whether all of it could be had.
func (k *keeper) bring(ctx context.Context, id int64) bool {
	r := k.role
	ctx, cancel := context.WithTimeout(ctx, 2*r.cfg.LoadTimeout)
	defer cancel()
	held := r.l1.index.pages(catalog.Key{Kind: accesslog.Kind, ID: id}, maxForms)
	for _, p := range held { // before the loads: a change from now on is told, an earlier one they find
		k.note(p)
	}
	brought, ok := r.bringForms(ctx, id)
	for _, p := range held {
		if !slices.Contains(brought, p.key) {
			_, had := r.bringForm(ctx, p.key)
			ok = ok && had
		}
	}
	if ok {
		r.metrics.hotLoads.Inc()
	} else {
		r.metrics.hotLoadsFailed.Inc()
	}
	return ok
}
