package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
)

// 7: a batch shares loads with others, both ways, and who wants one of its products
// does not wait for the slowest of them.
func TestInvariant7BatchSharesLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := stocked(t, 30, nil)
		g.cache.delay = time.Second // only what Redis does not have is that slow
		gate := make(chan struct{})
		g.redis.before = func([]catalog.Key) { <-gate }
		answers := make(chan *fasthttp.RequestCtx, 40)
		go func() { answers <- g.get(t, productsPath+"?ids="+upTo(20)+",99") }()
		synctest.Wait()
		single := make(chan time.Duration, 1)
		start := time.Now()
		go func() {
			if ctx := g.get(t, "/product/3.json"); ctx.Response.StatusCode() != 200 {
				t.Errorf("status %d", ctx.Response.StatusCode())
			}
			single <- time.Since(start)
		}()
		for range 20 {
			go func() { answers <- g.get(t, productsPath+"?ids="+upTo(20)+",99") }()
		}
		synctest.Wait()
		close(gate)
		if took := <-single; took >= time.Second {
			t.Errorf("who wanted one product waited %v for the others", took)
		}
		for range 21 {
			if got := readBatch(t, <-answers); got.Partial || len(got.Products) != 21 || got.Products[20].Status != entryAbsent {
				t.Errorf("got %+v", got)
			}
		}
		if g.redis.count() > 2 || g.cache.count() != 2 { // products, shops; product 99 and the shop that does not exist
			t.Errorf("%d reads of Redis, %d of the cache role, for 21 batches of the same; want 2 and 2", g.redis.count(), g.cache.count())
		}
		synctest.Wait()
	})
}

// 3: what changes, or is deleted, while a batch waits for others is not shown as it was.
func TestInvariant3BatchOvertaken(t *testing.T) {
	for _, held := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			g := stocked(t, 10, nil)
			if held {
				g.get(t, productsPath+"?ids=1,2")
			}
			g.cache.delay = time.Second
			answer := make(chan *fasthttp.RequestCtx, 1)
			go func() { answer <- g.get(t, productsPath+"?ids=1,2,3,99") }() // 99 takes a second
			time.Sleep(500 * time.Millisecond)
			next, gone := numbered(1, 2, 2), catalog.Document{Key: catalog.Key{Kind: "product", ID: 2}, State: catalog.Tombstone, Stamp: catalog.Stamp{Version: 2, Token: 2000}}
			for _, d := range []catalog.Document{next, gone} {
				g.redis.set(d)
				g.change(d)
			}
			got := readBatch(t, <-answer)
			if e := got.Products[0]; e.Version != 2 || !strings.Contains(string(e.Product), `"version":2`) {
				t.Errorf("held %v: the changed product is %+v %s", held, e, e.Product)
			}
			if e := got.Products[1]; e.Status != entryAbsent {
				t.Errorf("held %v: the deleted product is %+v %s", held, e, e.Product)
			}
			synctest.Wait()
		})
	}
}

// A batch is admitted for as many as it costs, and what L1 has costs nothing.
func TestBatchUnderOverload(t *testing.T) {
	g := gated(t, Limits{Waiting: 3})
	for id := int64(1); id <= 9; id++ {
		g.redis.set(numbered(id, 1, 3))
	}
	g.get(t, "/product/1.json")
	g.get(t, "/product/2.json")
	got := readBatch(t, g.get(t, productsPath+"?ids=1,2,3,4,5,6,7"))
	n := map[string]int{}
	for _, e := range got.Products {
		n[e.Status]++
	}
	if n[entryFound] != 5 || n[entryUnavailable] != 2 || g.overload.beyond.Load() != 0 {
		t.Errorf("got %v, want five of seven: two in memory, and room for three; %d are counted as under way", n, g.overload.beyond.Load())
	}
}

// Each unknown id of a batch is one for its address; what is known is served all the same.
func TestBatchOfUnknownIDs(t *testing.T) {
	g := gated(t, Limits{UnknownRate: 1, UnknownBurst: 5})
	g.redis.set(numbered(1, 1, 3))
	for id := 100; id < 110; id++ {
		g.get(t, fmt.Sprintf("%s?ids=%d", productsPath, id))
	}
	before := g.cache.count()
	got := readBatch(t, g.get(t, productsPath+"?ids=1,200,201"))
	if got.Products[0].Status != entryFound || got.Products[1].Status != entryUnavailable || got.Products[2].Detail != unknownIDs {
		t.Errorf("got %+v", got)
	}
	if ctx := g.get(t, productsPath+"?ids=300,301"); ctx.Response.StatusCode() != 429 || header(ctx, "Retry-After") == "" {
		t.Errorf("only unknown ids: %d", ctx.Response.StatusCode())
	}
	if n := g.cache.count() - before; n != 0 {
		t.Errorf("the cache role was asked for %d of them", n)
	}
}

// FuzzBatch: what the parser makes of a query is within its bounds, and its own
// form reads as the same pages.
func FuzzBatch(f *testing.F) {
	for _, s := range []string{"ids=1,2,3", "ids=1&shopId=2", "ids=%31%2C2", "ids=,,", "ids=1,1", "ids=a+b,%00", "&&ids=9223372036854775807&=", "ids=1&ids=2", "ids=%zz", "ids"} {
		f.Add(s)
	}
	r := newRouter(catalog.Default())
	f.Fuzz(func(t *testing.T, query string) {
		const most = 20
		b, bad := r.parseBatch([]byte(query), most)
		if bad != nil {
			if bad.code != 400 || bad.reason == "" {
				t.Fatalf("%q: %+v", query, bad)
			}
			return
		}
		if len(b.entries) == 0 || len(b.entries) > most || len(b.keys) > len(b.entries) {
			t.Fatalf("%q: %d entries, %d pages", query, len(b.entries), len(b.keys))
		}
		seen := map[string]bool{}
		next := 0
		for _, e := range b.entries {
			if seen[e.text] {
				t.Fatalf("%q names %q twice", query, e.text)
			}
			seen[e.text] = true
			id, err := catalog.ParseID(e.text)
			if (err == nil) != (e.at >= 0) {
				t.Fatalf("%q: %q is taken for an id: %v", query, e.text, e.at >= 0)
			}
			if e.at >= 0 {
				if e.at != next || b.keys[e.at].id != id || !b.keys[e.at].json {
					t.Fatalf("%q: %q is page %d, %+v", query, e.text, e.at, b.keys[e.at])
				}
				next++
			}
		}
		if len(b.keys) == 0 {
			return
		}
		_, own, _ := splitTarget(r.appendBatch(nil, b.keys))
		if again, bad := r.parseBatch(own, most); bad != nil || !slices.Equal(again.keys, b.keys) {
			t.Fatalf("%q reads as %+v, its own form %q as %+v, %v", query, b.keys, own, again.keys, bad)
		}
		body := appendBatchBody(nil, &b, make([]facts, len(b.entries)), false)
		if !json.Valid(body) {
			t.Fatalf("%q makes %q", query, body)
		}
	})
}
