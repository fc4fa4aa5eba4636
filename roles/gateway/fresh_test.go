package gateway

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
)

// short gives a gateway a soft TTL of exactly a minute and a hard one of an hour.
func short(c *Config, _ *Deps) {
	c.SoftTTLMin, c.SoftTTLMax, c.HardTTL = time.Minute, time.Minute, time.Hour
}

func price(ctx *fasthttp.RequestCtx) string {
	_, rest, _ := strings.Cut(string(ctx.Response.Body()), `id="productPrice">`)
	p, _, _ := strings.Cut(rest, "<")
	return p
}

func wantPage(t *testing.T, ctx *fasthttp.RequestCtx, wantPrice, inStatus string) {
	t.Helper()
	if code := ctx.Response.StatusCode(); code != 200 {
		t.Fatalf("status %d (%s), want 200", code, header(ctx, "Cache-Status"))
	}
	if got := price(ctx); got != wantPrice {
		t.Errorf("price %q, want %q (%s)", got, wantPrice, header(ctx, "Cache-Status"))
	}
	if got := header(ctx, "Cache-Status"); !strings.Contains(got, inStatus) {
		t.Errorf("Cache-Status = %q, want %q in it", got, inStatus)
	}
}

func TestStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		wantPage(t, g.get(t, "/product/7"), "5599.0", "fwd=uri-miss; stored; ttl=60")
		time.Sleep(59 * time.Second)
		wantPage(t, g.get(t, "/product/7"), "5599.0", "eshop; hit; ttl=1;")
		// A change nobody announced is found by the refresh after the soft TTL.
		g.redis.set(product(2, 20, "4999"))
		time.Sleep(2 * time.Second)
		for range 3 {
			wantPage(t, g.get(t, "/product/7"), "5599.0", `eshop; hit; ttl=-1; detail="stale;`)
		}
		if n := g.drain(t.Context()); n != 1 {
			t.Errorf("%d refreshes were queued by three stale hits, want 1", n)
		}
		wantPage(t, g.get(t, "/product/7"), "4999", "eshop; hit; ttl=60")
	})
}

func TestRefreshOfUnchangedDocumentsKeepsThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		key, _, _ := g.router.parse([]byte("/product/7"))
		g.get(t, "/product/7")
		before, _ := g.l1.pages.Get(key)
		time.Sleep(61 * time.Second)
		g.get(t, "/product/7")
		g.drain(t.Context())
		wantPage(t, g.get(t, "/product/7"), "5599.0", "eshop; hit; ttl=60")
		if after, _ := g.l1.pages.Get(key); after != before {
			t.Error("the page was rendered again although nothing had changed")
		}
	})
}

// The soft TTL has passed and everything is down: stale until the hard limit.
func TestStaleIfError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		g.get(t, "/product/7")
		g.redis.fail(true)
		g.cache.setDown(true)
		time.Sleep(10 * time.Minute)
		wantPage(t, g.get(t, "/product/7"), "5599.0", `detail="stale;`)
		g.drain(t.Context())
		wantPage(t, g.get(t, "/product/7"), "5599.0", `detail="stale;`)
		time.Sleep(time.Hour)
		ctx := g.get(t, "/product/7")
		if ctx.Response.StatusCode() != 503 || !strings.Contains("3456", header(ctx, "Retry-After")) || header(ctx, "Cache-Control") != "no-store" {
			t.Errorf("past the hard limit: %d, Retry-After %q, Cache-Control %q; want 503, 3 to 6, no-store", ctx.Response.StatusCode(), header(ctx, "Retry-After"), header(ctx, "Cache-Control"))
		}
		g.redis.fail(false)
		wantPage(t, g.get(t, "/product/7"), "5599.0", "stored")
	})
}

// A known change with everything down: the old page, marked, without making
// every request wait for the same failure; deleted and purged pages are not shown.
func TestChangedWhileAllIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		g.get(t, "/product/7")
		g.redis.fail(true)
		g.cache.setDown(true)
		g.change(product(2, 20, "4999"))
		wantPage(t, g.get(t, "/product/7"), "5599.0", `eshop; fwd=stale; ttl=60; detail="stale;`)
		calls := g.redis.count()
		for range 5 {
			wantPage(t, g.get(t, "/product/7"), "5599.0", `detail="stale;`)
		}
		if g.redis.count() != calls {
			t.Error("each request repeats the load that has just failed")
		}
		time.Sleep(2 * time.Second)
		g.redis.fail(false)
		g.redis.set(product(2, 20, "4999"))
		wantPage(t, g.get(t, "/product/7"), "4999", "stored")

		g.redis.fail(true)
		g.l1.purge(keyP7)
		if code := g.get(t, "/product/7").Response.StatusCode(); code != 503 {
			t.Errorf("a purged page (PITFALL 34): %d, want 503 while nothing can be loaded", code)
		}
	})
}

func TestDeletedProduct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		g.get(t, "/product/7")
		dead := catalog.Document{Key: keyP7, State: catalog.Tombstone, Stamp: catalog.Stamp{Version: 1, Token: 20}}
		g.redis.set(dead)
		g.change(dead)
		if code := g.get(t, "/product/7").Response.StatusCode(); code != 404 {
			t.Errorf("a tombstone gave %d, want 404", code)
		}
		// It comes back: the negative entry goes at once, not with its TTL.
		again := product(3, 30, "10")
		g.redis.set(again)
		g.change(again)
		wantPage(t, g.get(t, "/product/7"), "10", "")
	})
}

// 5 and PITFALL 12: an unknown product is cached apart, briefly, and needs no wait.
func TestInvariant5NegativeEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		for range 3 {
			if code := g.get(t, "/product/99").Response.StatusCode(); code != 404 {
				t.Fatalf("an unknown product: %d, want 404", code)
			}
		}
		if g.cache.count() != 1 {
			t.Errorf("the cache role was asked %d times, want 1", g.cache.count())
		}
		if g.l1.docs.Len() != 0 || g.l1.pages.Len() != 0 || g.l1.absents.Len() != 1 {
			t.Errorf("%d documents, %d pages, %d negative entries; want 0 0 1", g.l1.docs.Len(), g.l1.pages.Len(), g.l1.absents.Len())
		}
		k := catalog.Key{Kind: "product", ID: 99}
		g.redis.set(catalog.Document{Key: k, State: catalog.Live, Body: []byte(`{"id":99,"name":"new","price":1}`), Stamp: catalog.Stamp{Token: 5}})
		time.Sleep(6 * time.Second)
		if code := g.get(t, "/product/99").Response.StatusCode(); code != 200 {
			t.Errorf("after the negative TTL: %d, want 200", code)
		}
	})
}

func TestMissingShop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		delete(g.redis.master, keyS3)
		ctx := g.get(t, "/product/7")
		wantPage(t, ctx, "5599.0", "stored")
		if strings.Contains(string(ctx.Response.Body()), `id="shop"`) {
			t.Error("the page shows a shop that does not exist")
		}
		// The page knows that it stands on an absence.
		g.redis.set(shop(12, "New shop"))
		time.Sleep(6 * time.Second)
		g.get(t, "/product/7")
		g.drain(t.Context())
		if body := string(g.get(t, "/product/7").Response.Body()); !strings.Contains(body, "New shop") {
			t.Error("the shop that came to be is not shown after the negative TTL")
		}
	})
}

// PITFALL 12: made-up shops are as many as a client likes; they fill nothing but
// the cache of negative entries.
func TestNamedShopThatIsMissing(t *testing.T) {
	g := newRig(t, nil)
	for _, target := range []string{"/product/7?shopId=404", "/product/7?shopId=405", "/product/7.json?shopId=406"} {
		if ctx := g.get(t, target); ctx.Response.StatusCode() != 200 || strings.Contains(header(ctx, "Cache-Status"), "stored") {
			t.Errorf("%s: %d, %s", target, ctx.Response.StatusCode(), header(ctx, "Cache-Status"))
		}
	}
	if g.l1.pages.Len() != 0 {
		t.Errorf("%d pages are kept, want none", g.l1.pages.Len())
	}
}

// 5: a shop that could not be loaded is no missing shop.
func TestInvariant5PartialPageIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		delete(g.redis.master, keyS3)
		g.cache.fail[keyS3] = true
		ctx := g.get(t, "/product/7")
		wantPage(t, ctx, "5599.0", "partial;")
		if got := header(ctx, "Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control of a partial page = %q, want no-store", got)
		}
		if g.l1.pages.Len() != 0 {
			t.Error("a partial page is kept")
		}
		g.cache.fail[keyS3] = false
		g.cache.set(shop(11, "Shop three"))
		if body := string(g.get(t, "/product/7").Response.Body()); !strings.Contains(body, "Shop three") {
			t.Error("the shop is missing although it can be had")
		}
	})
}

// PITFALL 32: a changed shop makes every page that shows it outdated, at the cost of one store.
func TestChangedShop(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, "/product/7")
	g.get(t, "/product/7.json")
	g.redis.set(shop(21, "Renamed"))
	g.change(shop(21, "Renamed"))
	if n := g.drain(t.Context()); n != 1 {
		t.Errorf("%d immediate refreshes, want 1", n)
	}
	calls := g.redis.count()
	for _, target := range []string{"/product/7", "/product/7.json"} {
		if body := string(g.get(t, target).Response.Body()); !strings.Contains(body, "Renamed") {
			t.Errorf("%s shows the old shop", target)
		}
	}
	if g.redis.count() != calls {
		t.Error("rendering anew went to Redis although the refresh had brought the shop")
	}
	bus{g.Role}.Changed(catalog.Invalidation{Key: keyS3, Stamp: shop(21, "").Stamp})
	wantPage(t, g.get(t, "/product/7"), "5599.0", "eshop; hit") // an echo of what is held changes nothing
}

// The document is evicted, the page is not: the change must still reach it.
func TestChangeReachesAPageWhoseDocumentWasEvicted(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, "/product/7")
	g.l1.docs.Purge()
	g.redis.set(product(2, 20, "4999"))
	g.change(product(2, 20, "4999"))
	wantPage(t, g.get(t, "/product/7"), "4999", "stored")
	g.l1.docs.Purge()
	g.l1.pages.Purge()
	if n := g.l1.index.size(); n != 0 {
		t.Errorf("%d flags are left in the index after everything was evicted", n)
	}
}

func TestProvisionalCopyIsLookedAtSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		g.redis.fail(true)
		d := product(1, 0, "1")
		d.Provisional = true
		g.cache.docs[keyP7] = docapi.Reply{Document: d, Layer: docapi.LayerOrigin}
		g.cache.set(shop(11, "Shop three"))
		g.get(t, "/product/7")
		if f := g.l1.index.find(keyP7); f.soft.Load()-f.verified.Load() > int64(5*time.Second) {
			t.Errorf("a provisional copy is fresh for %v, want 1 to 5 s", time.Duration(f.soft.Load()-f.verified.Load()))
		}
	})
}

// 7: a thousand requests for a cold page make one load.
func TestInvariant7OneLoadForAThousandRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.redis.master = map[catalog.Key]catalog.Document{}
		g.cache.set(product(1, 10, "5599.0"))
		g.cache.set(shop(11, "Shop three"))
		g.cache.delay = 120 * time.Millisecond
		var wg sync.WaitGroup
		start := time.Now()
		for range 1000 {
			wg.Go(func() {
				if code := g.get(t, "/product/7?shopId=3").Response.StatusCode(); code != 200 {
					t.Errorf("status %d", code)
				}
			})
		}
		wg.Wait()
		if n := g.cache.count(); n != 2 {
			t.Errorf("the cache role was asked for %d documents, want 2", n)
		}
		if took := time.Since(start); took != 120*time.Millisecond {
			t.Errorf("the waiters were served after %v, want the origin's own 120 ms", took)
		}
	})
}
