package gateway

import (
	"context"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// collect sweeps once.
func collect(h *hits, into map[int64]int64) int64 {
	return h.sweep(time.Now(), func(id, n int64) { into[id] += n })
}

// PITFALL 3: many goroutines hit pages and products without one while pages are
// replaced under them and sweeps go on. Each hit is in exactly one sweep.
func TestPitfall3NoHitIsLostOrDoubled(t *testing.T) {
	const ids, workers, each = 20, 8, 20_000
	h := newHits(func(n int64) { t.Errorf("%d hits had no room", n) })
	h.share.Store(16)
	// What the LRU holds; a replaced page goes on being hit by those who had it.
	var held [ids]atomic.Pointer[page]
	newOne := func(id int) *page { return &page{key: pageKey{id: int64(id)}} }
	for i := range held {
		held[i].Store(newOne(i))
	}
	var truth [ids]atomic.Int64
	var hitters, others sync.WaitGroup
	end := make(chan struct{})
	for w := range workers {
		hitters.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for range each {
				i := min(rnd.IntN(ids), rnd.IntN(ids)) // some are hotter
				p := held[i].Load()
				switch rnd.IntN(4) {
				case 0:
					h.miss(int64(i))
				case 1:
					runtime.Gosched() // the page may be replaced, and swept, meanwhile
					fallthrough
				default:
					h.page(p)
				}
				truth[i].Add(1)
			}
		})
	}
	others.Go(func() {
		for i := 0; ; i = (i + 1) % ids {
			select {
			case <-end:
				return
			default:
				held[i].Store(newOne(i))
				runtime.Gosched()
			}
		}
	})
	got := map[int64]int64{}
	var sum int64
	sweeps := 0
	others.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				sum += collect(h, got)
				sweeps++
				runtime.Gosched()
			}
		}
	})
	hitters.Wait()
	close(end)
	others.Wait()
	sum += collect(h, got)
	want := map[int64]int64{}
	for i := range truth {
		want[int64(i)] = truth[i].Load()
	}
	if !maps.Equal(got, want) || sum != workers*each {
		t.Errorf("after %d sweeps: %d hits, %v; want %d, %v", sweeps, sum, got, workers*each, want)
	}
	if n := collect(h, got); n != 0 {
		t.Errorf("a sweep of nothing found %d hits", n)
	}
	t.Logf("%d sweeps", sweeps)
}

// A page that was evicted while it was on the stack is counted, and keeps no
// other page in memory.
func TestEvictedPageIsCounted(t *testing.T) {
	g := newRig(t, nil)
	for range 3 {
		g.get(t, "/product/7")
	}
	key, _, _ := g.router.parse([]byte("/product/7"))
	asJSON := key
	asJSON.json = true
	g.get(t, "/product/7.json")
	var pages []*page
	for _, k := range []pageKey{key, asJSON} {
		p, ok := g.l1.pages.Get(k)
		if !ok {
			t.Fatal("the page is not held")
		}
		pages = append(pages, p)
		g.l1.pages.Remove(k)
		g.access.hits.page(p) // by a request that had it before
	}
	got := map[int64]int64{}
	if n := collect(g.access.hits, got); n != 6 || got[7] != 6 {
		t.Errorf("swept %d, %v; want 6 hits on product 7", n, got)
	}
	for _, p := range pages {
		if p.hits.next != nil || p.hits.n.Load() != 0 {
			t.Errorf("a swept page has %d hits and refers to %p", p.hits.n.Load(), p.hits.next)
		}
	}
}

func TestEarlyFlush(t *testing.T) {
	h := newHits(nil)
	h.share.Store(8)
	asked := func() bool {
		select {
		case <-h.kick:
			return true
		default:
			return false
		}
	}
	now := time.Now()
	sweep := func() { h.sweep(now, func(int64, int64) {}) }
	p, quiet := &page{key: pageKey{id: 1}}, &page{key: pageKey{id: 2}}
	// The hit that reaches the share asks, the others do not; without a page too.
	for name, hit := range map[string]func(){"a page": func() { h.page(p) }, "a product without one": func() { h.miss(3) }} {
		for i := 1; i <= 20; i++ {
			hit()
			if got := asked(); got != (i == 8) {
				t.Errorf("hit %d on %s: asked %v", i, name, got)
			}
		}
		sweep()
	}
	// Two in one go do not wait for each other.
	for range 8 {
		h.page(p)
		h.page(quiet)
	}
	if !asked() || asked() {
		t.Error("two pages at their share did not ask once")
	}
	sweep()
	// Who has told of enough is left alone for a while.
	kicks := 0
	for range 3 * earlyFlushes {
		for range 8 {
			h.page(p)
		}
		if asked() {
			kicks++
		}
		sweep()
	}
	if kicks != earlyFlushes-2 {
		t.Errorf("%d more early flushes, want %d", kicks, earlyFlushes-2)
	}
	p.hits.quiet.Store(time.Now().Add(-time.Second).UnixNano())
	for range 8 {
		h.page(p)
	}
	if !asked() {
		t.Error("a page is left alone for ever")
	}
}

// The flusher's rhythm, and how an early flush breaks it.
func TestFlushRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, f := newLogRig(t, AccessLog{}, 1)
		g.setHotFloor(400) // a share of 50
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.access.run(ctx) }()
		logs := func(after time.Duration, want int64) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := totalOf(logged(t, f.records())); got != want {
				t.Fatalf("%d hits are logged, want %d", got, want)
			}
		}
		hit := func(id int64, n int) {
			for range n {
				g.access.hits.miss(id)
			}
		}
		hit(1, 1)
		logs(flushEvery-time.Millisecond, 0)
		logs(time.Millisecond, 1)
		logs(5*time.Millisecond, 1) // from here on 15 ms to the next
		hit(1, 49)
		logs(0, 1)
		hit(1, 1)
		logs(0, 51) // at once: the last one is 5 ms ago
		hit(2, 50)
		logs(earlyEvery-1, 51)
		logs(1, 101)
		hit(3, 50)
		hit(4, 50)
		logs(earlyEvery, 201) // one flush for both
		hit(5, 1)
		logs(11*time.Millisecond-1, 201)
		logs(1, 202) // the rhythm has stayed
		if n := len(f.records()); n != 5 {
			t.Errorf("%d records, want 5", n)
		}
		hit(6, 7)
		cancel() // the end does not wait for it
		if err := <-done; err != nil {
			t.Error(err)
		}
		logs(0, 209)
	})
}

// A flood of made-up ids fills its room and no more; what finds none is counted.
func TestMissesAreBounded(t *testing.T) {
	lost := int64(0)
	h := newHits(func(n int64) { lost += n })
	const n = 3 * missKeys
	for id := range int64(n) {
		h.miss(id + 1)
	}
	if lost < n-missKeys {
		t.Errorf("%d lost, want at least %d: there is room for %d", lost, n-missKeys, missKeys)
	}
	for id := range int64(n) {
		h.miss(id + 1) // whoever has a place keeps it
	}
	got := map[int64]int64{}
	swept := collect(h, got)
	if swept+lost != 2*n || len(got) > missKeys {
		t.Errorf("%d swept, %d lost, %d products; want %d hits together on at most %d", swept, lost, len(got), 2*n, missKeys)
	}
	for id, c := range got {
		if c != 2 {
			t.Errorf("product %d: %d hits, want 2", id, c)
		}
	}
	h.miss(1)
	if clear(got); collect(h, got) != 1 || got[1] != 1 {
		t.Errorf("after the flood: %v, want one hit on product 1", got)
	}
}

// Products without a page, a 404 under load for one, have the log flushed early no longer than pages do.
func TestMissesGoQuiet(t *testing.T) {
	h := newHits(func(int64) {})
	h.share.Store(25)
	kicks := 0
	now := time.Now()
	for range 1000 {
		for range 25 {
			h.miss(7)
		}
		select {
		case <-h.kick:
			kicks++
		default:
		}
		h.sweep(now, func(int64, int64) {})
	}
	if kicks < 1 || kicks > earlyFlushes {
		t.Errorf("%d of 1000 sweeps at one moment were asked for early, want 1 to %d", kicks, earlyFlushes)
	}
}
