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
	return h.sweep(func(id, n int64) { into[id] += n })
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
	sweep := func() { h.sweep(func(int64, int64) {}) }
	p, other, hot := &page{key: pageKey{id: 1}}, &page{key: pageKey{id: 2}}, &page{key: pageKey{id: 4}}
	hot.heat.Store(1)
	// The hit that reaches the share asks, the others do not; without a page too. What is hot never asks.
	for _, c := range []struct {
		name string
		hit  func()
		at   int
	}{
		{"a page", func() { h.page(p) }, 8},
		{"a product without one", func() { h.miss(3) }, 8},
		{"a hot page", func() { h.page(hot) }, 0},
	} {
		for i := 1; i <= 20; i++ {
			c.hit()
			if got := asked(); got != (i == c.at) {
				t.Errorf("hit %d on %s: asked %v", i, c.name, got)
			}
		}
		sweep()
	}
	// Two in one go do not wait for each other.
	for range 8 {
		h.page(p)
		h.page(other)
	}
	if !asked() || asked() {
		t.Error("two pages at their share did not ask once")
	}
}

// The rhythm of the log: sweeps every 20 ms or, when asked, early; what may be
// about to become hot is sent then, the rest once in a slice.
func TestFlushRhythm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at the start of a slice
		g, f := newLogRig(t, AccessLog{}, 1)
		g.setHotFloor(400) // a share of 50, near from 100 on
		g.access.hot = func(id int64) bool { return id == 9 }
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
		hit := func(id, n int64) { // in one go: no sweep comes between
			h := g.access.hits
			s := &h.shards[0]
			s.mu.Lock()
			s.counts[id] += n
			now := s.counts[id]
			s.mu.Unlock()
			if share := h.share.Load(); now >= share && now-n < share {
				h.wake()
			}
		}
		const ms = time.Millisecond
		hit(1, 30)
		logs(99*ms, 0)
		logs(ms, 30) // the slice is over
		hit(1, 40)
		logs(20*ms, 30) // with those before it is still far
		hit(1, 31)
		logs(19*ms, 30) // near; waits for the sweep
		logs(ms, 101)
		hit(1, 8)
		logs(20*ms, 109) // each sweep tells of it now, while it is heating
		hit(1, 50)
		logs(earlyEvery-1, 109)
		logs(1, 159) // or an early one, if it has a share
		logs(3*ms, 159)
		hit(1, 50)
		logs(0, 209)
		hit(2, 50)
		hit(9, 300) // is hot: asks for nothing
		logs(20*ms, 209)
		hit(1, 591)
		logs(0, 1150)
		hit(1, 60) // beyond twice the floor it had told enough
		logs(14*ms, 1150)
		logs(ms, 1210)
		hit(6, 7)
		cancel() // the end does not wait
		if err := <-done; err != nil {
			t.Error(err)
		}
		logs(0, 1217)
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
