package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/ring"
)

// A hot product has a copy here before the first request for it, in both forms, read once and
// rendered once, although another gateway owns it.
func TestHotIsFetchedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		notOwner(g)
		defer g.keeping(t)()
		g.hot.take(viewOf(7))
		synctest.Wait()
		if g.redis.count() != 2 || g.cache.count() != 0 {
			t.Errorf("Redis was asked %d times, the cache role %d times; want 2, one for each document, and 0", g.redis.count(), g.cache.count())
		}
		wantHit(t, g, plainForm, "5599.0")
		wantHit(t, g, seedForm, "5599.0")
		a, b := g.held(t, plainForm), g.held(t, seedForm)
		if &a.plain.body[0] != &b.plain.body[0] || a.key == b.key {
			t.Error("the page was rendered twice")
		}
		ctx := g.get(t, "/product/7.json")
		if got := header(ctx, "Cache-Status"); !strings.HasPrefix(got, "eshop; fwd=uri-miss; stored;") || !strings.Contains(got, "; hot;") {
			t.Errorf("JSON of a hot product: Cache-Status = %q", got)
		}
		if g.redis.count() != 2 {
			t.Error("the JSON of a hot product read a document")
		}
	})
}

// PITFALL 6: a change of a hot product, or of a document it shows, is shown at once, in all forms
// that are held, without a request, and without a place in the queue of ordinary refreshes.
func TestPitfall6HotIsRefreshedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *Config, _ *Deps) { c.RefreshQueue = 1 })
		notOwner(g)
		defer g.keeping(t)()
		g.hot.take(viewOf(7))
		synctest.Wait()
		g.redis.set(shop(19, "Shop 3"))
		g.change(shop(19, "Shop 3"))
		synctest.Wait()
		for _, target := range []string{plainForm, seedForm} {
			if got := string(g.held(t, target).plain.body); !strings.Contains(got, "Shop 3") {
				t.Errorf("%s does not show the change of the shop: %s", target, got)
			}
		}
		g.redis.set(catalog.Document{Key: catalog.Key{Kind: "shop", ID: 4}, State: catalog.Live, Stamp: catalog.Stamp{Token: 12}, Body: []byte(`{"id":4,"name":"Shop four"}`)})
		others := []string{"/product/7?shopId=4", "/product/7.json"}
		for _, target := range others {
			g.get(t, target)
		}
		k := catalog.Key{Kind: "product", ID: 1}
		for g.refresh.offer(job{doc: &k}) { // a burst of ordinary changes, and nobody works on it
		}
		g.redis.set(product(2, 20, "4999"))
		g.change(product(2, 20, "4999"))
		synctest.Wait()
		for _, target := range append(others, plainForm, seedForm) {
			if got := string(g.held(t, target).plain.body); !strings.Contains(got, "4999") {
				t.Errorf("%s is not the new page: %s", target, got)
			}
		}
		wantHit(t, g, plainForm, "4999")
		wantHit(t, g, seedForm, "4999")
		g.redis.set(shop(21, "Renamed"))
		g.change(shop(21, "Renamed"))
		synctest.Wait()
		for _, target := range []string{plainForm, seedForm, "/product/7.json"} {
			if got := string(g.held(t, target).plain.body); !strings.Contains(got, "Renamed") {
				t.Errorf("%s does not show the renamed shop: %s", target, got)
			}
		}
		wantHit(t, g, plainForm, "4999")
		calls := g.redis.count()
		g.change(shop(21, "Renamed")) // the same message again
		synctest.Wait()
		if g.redis.count() != calls {
			t.Error("a message that tells nothing new had a document read")
		}
	})
}

// lateSource has something happen between the cache role's answer and its arrival.
type lateSource struct {
	source
	meanwhile func(reqs []docapi.Request)
}

func (s lateSource) GetMany(ctx context.Context, reqs []docapi.Request) []docapi.Result {
	out := s.source.GetMany(ctx, reqs)
	s.meanwhile(reqs)
	return out
}

// PITFALL 5: the product is deleted, or changed, while it is fetched ahead; the copy under way is the old one.
func TestPitfall5ChangeDuringFetchAhead(t *testing.T) {
	for _, next := range []catalog.Document{product(2, 20, "4999"), tombstone(20)} {
		for _, at := range []catalog.Key{keyP7, keyS3} { // while the product is read, while its shop is
			for _, from := range []string{"redis", "cache role"} {
				t.Run(fmt.Sprintf("%v while %v is read from the %s", next.State, at, from), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { changeDuringFetchAhead(t, next, at, from == "redis") })
				})
			}
		}
	}
}

func changeDuringFetchAhead(t *testing.T, next catalog.Document, at catalog.Key, redis bool) {
	g := newRig(t, nil)
	notOwner(g)
	var once sync.Once
	change := func(key catalog.Key) {
		if key == at {
			once.Do(func() {
				g.change(next) // Redis has not got it
				g.cache.set(next)
			})
		}
	}
	if redis {
		g.redis.before = func(keys []catalog.Key) { change(keys[0]) }
	} else {
		for k, d := range g.redis.master {
			g.cache.set(d)
			delete(g.redis.master, k)
		}
		g.source = lateSource{g.cache, func(reqs []docapi.Request) { change(reqs[0].Key) }}
	}
	defer g.keeping(t)()
	g.hot.take(viewOf(7))
	synctest.Wait()
	if next.State == catalog.Live {
		wantHit(t, g, plainForm, "4999")
		wantHit(t, g, seedForm, "4999")
		return
	}
	for _, target := range []string{plainForm, seedForm} {
		if code := g.get(t, target).Response.StatusCode(); code != 404 {
			t.Errorf("%s of a deleted product: %d, want 404", target, code)
		}
	}
	g.allDown(true)
	time.Sleep(time.Minute)
	if code := g.get(t, plainForm).Response.StatusCode(); code == 200 {
		t.Error("the deleted product is served later on")
	}
}

// A deleted product that comes back while it is hot is there without a request.
func TestHotComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		notOwner(g)
		defer g.keeping(t)()
		g.redis.set(tombstone(20))
		g.hot.take(viewOf(7))
		synctest.Wait()
		time.Sleep(time.Hour) // no negative entry, nothing
		again := product(3, 40, "10")
		g.redis.set(again)
		g.change(again)
		synctest.Wait()
		wantHit(t, g, plainForm, "10")
	})
}

// What cools goes, unless it is this gateway's own. The shop stays.
func TestCooling(t *testing.T) {
	for _, own := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, nil)
			notOwner(g)
			if own {
				g.peers.ring.Store(ring.New([]ring.Member{{ID: "gw-1", Addr: "x:1"}}, 0))
			}
			g.get(t, "/product/7.json") // before it is hot
			defer g.keeping(t)()
			g.hot.take(viewOf(7))
			synctest.Wait()
			if n := g.l1.pages.Len(); n != 3 {
				t.Fatalf("%d pages, want 3 forms", n)
			}
			g.hot.take(viewOf(8))
			synctest.Wait()
			_, doc := g.l1.docs.Get(keyP7)
			_, related := g.l1.docs.Get(keyS3)
			if n := g.l1.pages.Len(); own != (n == 3) || own != doc || !related {
				t.Errorf("own: %v: %d pages, the product is held: %v, the shop: %v", own, n, doc, related)
			}
			if n := g.hot.keep.users; len(n) != 0 || len(g.hot.keep.shown) != 0 {
				t.Errorf("something is left of the product's notes: %v", n)
			}
			if !own && counter(t, g.metrics.hotDropped) != 3 {
				t.Errorf("%v pages are counted as dropped, want 3", counter(t, g.metrics.hotDropped))
			}
		})
	}
}

// A load that began while the product was hot brings its page after it has cooled.
func TestCoolingDuringALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		notOwner(g)
		defer g.keeping(t)()
		g.redis.before = func([]catalog.Key) { <-time.After(time.Second) }
		g.hot.take(viewOf(7))
		go g.get(t, "/product/7.json")
		time.Sleep(500 * time.Millisecond)
		g.hot.take(viewOf())
		time.Sleep(3 * time.Second)
		if g.l1.pages.Len() == 0 {
			t.Fatal("the loads under way brought nothing: this test shows nothing")
		}
		time.Sleep(15 * time.Second)
		if _, ok := g.l1.docs.Get(keyP7); ok || g.l1.pages.Len() != 0 {
			t.Errorf("%d pages are left, the product's document: %v", g.l1.pages.Len(), ok)
		}
	})
}

// The keeper's own work on several forms, one slow load after the other, may go on for longer than one
// load: what it brings last is dropped too.
func TestCoolingDuringManyLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		notOwner(g)
		defer g.keeping(t)()
		for _, target := range []string{"/product/7.json", "/product/7?shopId=4", "/product/7?shopId=5"} {
			g.get(t, target)
		}
		time.Sleep(21 * time.Minute) // past every soft TTL
		g.redis.before = func([]catalog.Key) { <-time.After(3 * time.Second) }
		g.hot.take(viewOf(7))
		time.Sleep(100 * time.Millisecond)
		g.hot.take(viewOf())
		time.Sleep(time.Minute)
		if _, doc := g.l1.docs.Get(keyP7); doc || g.l1.pages.Len() != 0 {
			t.Errorf("a minute after it cooled: %d pages, the product's document: %v, at a gateway that does not own it", g.l1.pages.Len(), doc)
		}
	})
}

// What cannot be had is tried again, ever less often, and not any more once it has cooled.
func TestHotLoadsAreRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		notOwner(g)
		defer g.keeping(t)()
		g.allDown(true)
		g.hot.take(viewOf(7))
		time.Sleep(time.Minute)
		n := counter(t, g.metrics.hotLoadsFailed)
		if n < 12 || n > 35 {
			t.Errorf("%v tries in a minute, want 5 at first and then one in 2.5 to 5 s", n)
		}
		g.allDown(false)
		time.Sleep(6 * time.Second)
		wantHit(t, g, plainForm, "5599.0")
		g.allDown(true)
		g.change(product(2, 20, "4999"))
		time.Sleep(time.Minute)
		g.hot.take(viewOf())
		synctest.Wait()
		calls := g.redis.count()
		time.Sleep(time.Minute)
		if g.redis.count() != calls {
			t.Error("a product that has cooled is still tried")
		}
	})
}

// L1 gives up the product's document while its shop is read, so the page cannot be kept: it is made
// again.
func TestHotIsKeptInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		notOwner(g)
		defer g.keeping(t)()
		var once sync.Once
		g.redis.before = func(keys []catalog.Key) {
			if keys[0] == keyS3 {
				once.Do(func() { g.l1.docs.Remove(keyP7) })
			}
		}
		g.hot.take(viewOf(7))
		time.Sleep(time.Second)
		wantHit(t, g, plainForm, "5599.0")
	})
}
