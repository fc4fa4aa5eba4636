package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/hotlist"
	"eshop/pkg/ring"
)

// stockedPair is a pair whose Redis, each its own, have products 1 to 30 and shops 1 to 4.
func stockedPair(t *testing.T, owner string) (a, b *rig) {
	a, b = pair(t, owner, [2]string{"secret", "secret"})
	for _, g := range []*rig{a, b} {
		for id := int64(1); id <= 30; id++ {
			g.redis.set(numbered(id, 1, id%4+1))
		}
		for id := int64(1); id <= 4; id++ {
			g.redis.set(shopNo(id))
		}
	}
	return a, b
}

// What another gateway owns is asked of it by one hop for all, and read there from
// Redis together; the answer is that of the owner, tag and all.
func TestBatchForwarded(t *testing.T) {
	a, b := stockedPair(t, "gw-2")
	target := productsPath + "?ids=" + upTo(20) + ",99"
	ctx := a.get(t, target)
	got := readBatch(t, ctx)
	if got.Partial || len(got.Products) != 21 || got.Products[20].Status != entryAbsent {
		t.Fatalf("got %+v", got)
	}
	if a.redis.count() != 0 || b.redis.count() != 2 || a.l1.pages.Len() != 0 || counter(t, a.metrics.forwarded) != 1 {
		t.Errorf("%v hops, Redis was asked %d times here, %d by the owner, %d pages are kept; want 1 0 2 0",
			counter(t, a.metrics.forwarded), a.redis.count(), b.redis.count(), a.l1.pages.Len())
	}
	sameAsPages(t, got, "", func(target string) (int, string, string) {
		one := b.get(t, target)
		return one.Response.StatusCode(), string(one.Response.Body()), header(one, "Etag")
	})
	if e := got.Products[0]; e.Version != 1 || e.Stamp != "0.1.1001" || e.Stale || e.Partial {
		t.Errorf("entry %+v", e)
	}
	if status := header(ctx, "Cache-Status"); !strings.HasPrefix(status, "eshop; fwd=uri-miss; ttl=") || !strings.Contains(status, `detail="ids=21; absent=1; peer=21; age=`) {
		t.Errorf("Cache-Status = %s", status)
	}
	if tag := header(b.get(t, target), "Etag"); header(ctx, "Etag") != tag || tag == "" {
		t.Errorf("the tag is %s here and %s at the owner", header(ctx, "Etag"), tag)
	}
	if code := a.get(t, target, "If-None-Match", header(ctx, "Etag")).Response.StatusCode(); code != 304 {
		t.Errorf("a conditional request: %d, want 304", code)
	}
}

// 10: whom each takes for the owner does not matter: one hop at most. Two owners are
// asked at the same time, and what is this gateway's own is loaded here.
func TestInvariant10BatchHopsOnce(t *testing.T) {
	a, b := stockedPair(t, "gw-2")
	b.peers.ring.Store(ring.New([]ring.Member{{ID: "gw-1", Addr: a.addr}}, 0)) // who thinks otherwise
	if got := readBatch(t, a.get(t, productsPath+"?ids="+upTo(10))); got.Partial {
		t.Errorf("got %+v", got)
	}
	if here, there := counter(t, a.metrics.forwarded), counter(t, b.metrics.forwarded); here != 1 || there != 0 {
		t.Errorf("%v hops from here, %v from there, want 1 and 0", here, there)
	}
	both := ring.New([]ring.Member{{ID: "gw-1", Addr: a.addr}, {ID: "gw-2", Addr: b.addr}}, 0)
	a.peers.ring.Store(both)
	ctx := a.get(t, productsPath+"?ids="+upTo(30))
	own := 0
	for id := int64(1); id <= 30; id++ {
		if m, _ := both.Owner(ring.Hash("product", id)); m.ID == "gw-1" {
			own++
		}
	}
	if status := header(ctx, "Cache-Status"); readBatch(t, ctx).Partial || !strings.Contains(status, fmt.Sprintf("; peer=%d; redis=%d; ", 30-own, own)) {
		t.Errorf("Cache-Status = %s, %d products are this gateway's own", status, own)
	}
}

// An owner that cannot be reached, one that knows no batches, one that is behind a
// change, and one that has no copy: what it cannot answer is loaded here.
func TestBatchWithoutItsOwner(t *testing.T) {
	ids := productsPath + "?ids=" + upTo(20)
	whole := func(t *testing.T, a *rig, ctx *fasthttp.RequestCtx) {
		t.Helper()
		got := readBatch(t, ctx)
		if got.Partial || slices.ContainsFunc(got.Products, func(e batchEntry) bool { return e.Status != entryFound }) {
			t.Errorf("got %+v", got)
		}
		if a.redis.count() != 2 {
			t.Errorf("%d reads of Redis, want one for the products and one for the shops", a.redis.count())
		}
	}
	t.Run("gone", func(t *testing.T) {
		a, _ := stockedPair(t, "gw-2")
		a.peers.ring.Store(ring.New([]ring.Member{{ID: "gw-2", Addr: "127.0.0.1:1"}}, 0))
		whole(t, a, a.get(t, ids))
		if a.peers.ejected.Load() != 1 {
			t.Errorf("ejected %d times, want once", a.peers.ejected.Load())
		}
	})
	t.Run("knows no batches", func(t *testing.T) {
		a, b := stockedPair(t, "gw-2")
		b.router.routes[0].path, b.router.products = "/elsewhere", -1
		whole(t, a, a.get(t, ids))
		if a.peers.ejected.Load() != 0 {
			t.Error("it was ejected for that")
		}
	})
	t.Run("behind", func(t *testing.T) {
		a, b := stockedPair(t, "gw-2")
		next := numbered(3, 2, 1)
		a.redis.set(next)
		a.floor.Raise(next.Key, next.Stamp)
		got := readBatch(t, a.get(t, ids))
		for _, e := range got.Products {
			if want := map[bool]int64{true: 2, false: 1}[e.ID == "3"]; e.Version != want {
				t.Errorf("product %s has the version %d, want %d", e.ID, e.Version, want)
			}
		}
		if n := a.l1.pages.Len(); n != 1 || b.l1.pages.Len() != 20 {
			t.Errorf("%d pages are loaded here, %d there, want 1 and 20", n, b.l1.pages.Len())
		}
	})
	t.Run("has no copy", func(t *testing.T) {
		a, b := stockedPair(t, "gw-2")
		b.redis.fail(true)
		b.cache.setDown(true)
		whole(t, a, a.get(t, ids))
	})
	t.Run("cuts off", func(t *testing.T) {
		a, b := stockedPair(t, "gw-2")
		b.live.batches.Store(&batches{ids: defaultBatchIDs, bytes: 1000})
		if got := readBatch(t, a.get(t, ids)); got.Partial {
			t.Errorf("got %+v", got)
		}
		if n := a.l1.pages.Len(); n == 0 || n == 20 {
			t.Errorf("%d pages were loaded here, want some", n)
		}
	})
}

// A hot product of a batch is served where the request lands.
func TestBatchOfHotProducts(t *testing.T) {
	a, _ := stockedPair(t, "gw-2")
	a.hot.take(&hotlist.View{Hot: map[int64]hotlist.Key{1: {ID: 1}, 2: {ID: 2}}})
	ctx := a.get(t, productsPath+"?ids=1,2,3")
	if status := header(ctx, "Cache-Status"); !strings.Contains(status, "; peer=1; redis=2; ") {
		t.Errorf("Cache-Status = %s", status)
	}
	if status := header(a.get(t, productsPath+"?ids=1,2"), "Cache-Status"); !strings.HasPrefix(status, "eshop; hit; ") {
		t.Errorf("Cache-Status = %s", status)
	}
}

// Hot products that cannot be had here are asked of their owners: of each by one hop,
// and of all at the same time. What they do not have either cannot be had.
func TestBatchOfHotProductsFallsBackToOwners(t *testing.T) {
	a, b := stockedPair(t, "gw-2")
	_, c := stockedPair(t, "gw-2")
	owners := ring.New([]ring.Member{{ID: "gw-2", Addr: b.addr}, {ID: "gw-3", Addr: c.addr}}, 0)
	a.peers.ring.Store(owners)
	view := hotlist.View{Hot: map[int64]hotlist.Key{}}
	for id := int64(1); id <= 31; id++ {
		view.Hot[id] = hotlist.Key{ID: id}
	}
	a.hot.take(&view)
	a.redis.fail(true)
	a.cache.setDown(true)
	b.cache.setDown(true) // product 31 is in no Redis
	c.cache.setDown(true)
	var asked sync.WaitGroup // an owner answers once the other was asked too
	asked.Add(2)
	for _, g := range []*rig{a, b, c} {
		g.cfg.PeerTimeout = 20 * time.Second
	}
	for _, g := range []*rig{b, c} {
		came := sync.OnceFunc(asked.Done)
		g.redis.before = func([]catalog.Key) { came(); asked.Wait() }
	}
	ctx := a.get(t, productsPath+"?ids="+upTo(31))
	for _, e := range readBatch(t, ctx).Products {
		if want := map[bool]string{true: entryUnavailable, false: entryFound}[e.ID == "31"]; e.Status != want {
			t.Errorf("product %s is %s, want %s", e.ID, e.Status, want)
		}
	}
	if n := counter(t, a.metrics.forwarded); n != 2 || !strings.Contains(header(ctx, "Cache-Status"), "; peer=30; ") {
		t.Errorf("%v hops, Cache-Status = %s; want two hops for 30 products", n, header(ctx, "Cache-Status"))
	}
}

// Batches of every shape at once, with changes and an owner that comes and goes:
// nothing is lost, nothing of before a change is shown after it.
func TestBatchRace(t *testing.T) {
	a, b := stockedPair(t, "gw-2")
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for round := range 40 {
				ids := fmt.Sprintf("%d,%d,%d,9%d", 1+n, 5+round%9, 20+round%10, round)
				got := readBatch(t, a.get(t, productsPath+"?ids="+ids))
				if got.Partial || got.Products[3].Status != entryAbsent {
					t.Errorf("%s: %+v", ids, got)
				}
				if round%10 == n {
					d := numbered(int64(1+n), int64(2+round), 1)
					for _, g := range []*rig{a, b} {
						g.redis.set(d)
						g.change(d)
					}
					if e := readBatch(t, a.get(t, fmt.Sprintf("%s?ids=%d,30", productsPath, 1+n))).Products[0]; e.Version != d.Stamp.Version {
						t.Errorf("after the change to version %d: %+v", d.Stamp.Version, e)
					}
				}
			}
		})
	}
	wg.Wait()
}

// The whole on real clients, over the hop: what pages say, after a change too.
func TestBatchOnServers(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		var docs []catalog.Document
		for id := int64(1); id <= 30; id++ {
			docs = append(docs, numbered(id, 1, id%4+1))
		}
		for id := int64(1); id <= 4; id++ {
			docs = append(docs, shopNo(id))
		}
		w.put(docs...)
		all := w.fleet("gw-1", "gw-2")
		batch := func(g *Role, target string) (batchAnswer, webPage) {
			t.Helper()
			page := fetch(t, g, target)
			var got batchAnswer
			if err := json.Unmarshal([]byte(page.body), &got); err != nil {
				t.Fatalf("%v: %s", err, page.body)
			}
			return got, page
		}
		var tags []string
		for _, g := range all {
			got, page := batch(g, productsPath+"?ids="+upTo(30)+",99,x")
			if got.Partial || len(got.Products) != 32 {
				t.Fatalf("got %s", page.body)
			}
			tags = append(tags, page.header.Get("ETag"))
			sameAsPages(t, got, "", func(target string) (int, string, string) {
				one := fetch(t, g, target)
				return one.code, one.body, strings.Replace(one.header.Get("ETag"), `-gz"`, `"`, 1) // the client asks for gzip
			})
		}
		if tags[0] != tags[1] || tags[0] == "" {
			t.Errorf("two gateways have the tags %q", tags)
		}
		next := numbered(9, 2, 1)
		w.put(next)
		w.announce(next)
		for _, g := range all {
			w.until("the page of the change", func() (bool, string) {
				one := fetch(t, g, "/product/9.json")
				return strings.Contains(one.body, `"version":2`), one.body
			})
			if got, page := batch(g, productsPath+"?ids="+upTo(30)); got.Products[8].Version != 2 || string(got.Products[8].Product) != fetch(t, g, "/product/9.json").body {
				t.Errorf("the page shows the change, the batch has %s", page.body)
			}
		}
		w.cache.setDown(true)
		if got, page := batch(all[0], productsPath+"?ids=1,77"); !got.Partial || got.Products[0].Status != entryFound || got.Products[1].Status != entryUnavailable ||
			page.header.Get("Eshop-Partial") != "?1" || page.header.Get("Cache-Control") != "no-store" {
			t.Errorf("without the origin: %s %v", page.body, page.header)
		}
		resp, err := http.Get("http://" + all[0].Addr() + productsPath + "?ids=77,78")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("nothing to be had: %d %s", resp.StatusCode, body)
		}
	})
}
