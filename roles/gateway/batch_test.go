package gateway

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
)

// batchAnswer is an answer to a batch as a client reads it.
type batchAnswer struct {
	Partial  bool
	Products []batchEntry
}

type batchEntry struct {
	ID, Status, Stamp, ETag, Detail string
	Version, Age                    int64
	Stale, Partial                  bool
	RetryAfter                      int
	Product                         json.RawMessage
}

func readBatch(tb testing.TB, ctx *fasthttp.RequestCtx) (a batchAnswer) {
	tb.Helper()
	if code := ctx.Response.StatusCode(); code != 200 {
		tb.Fatalf("status %d: %s", code, ctx.Response.Body())
	}
	if err := json.Unmarshal(ctx.Response.Body(), &a); err != nil {
		tb.Fatalf("%v in %s", err, ctx.Response.Body())
	}
	if got := header(ctx, partialHeader); (got == "?1") != a.Partial || got != "" && got != "?1" {
		tb.Errorf("%s = %q with partial %v", partialHeader, got, a.Partial)
	}
	if a.Partial && (header(ctx, "Cache-Control") != "no-store" || header(ctx, "Etag") != "") {
		tb.Errorf("a partial answer may be kept: %s", ctx.Response.Header.String())
	}
	return a
}

// numbered is a product with that id, shopNo a shop.
func numbered(id, version, shop int64) catalog.Document {
	return catalog.Document{Key: catalog.Key{Kind: "product", ID: id}, State: catalog.Live, Stamp: catalog.Stamp{Version: version, Token: 1000 + version}, Pulled: time.Now(),
		Body: fmt.Appendf(nil, "{\"id\":%d,\"name\":\"No. %d\",\"q\": 1e3,\n\"version\":%d,\"shopId\":%d,\"text\":%q}", id, id, version, shop, strings.Repeat("words ", int(id%7)*40))}
}

func shopNo(id int64) catalog.Document {
	return catalog.Document{Key: catalog.Key{Kind: "shop", ID: id}, State: catalog.Live, Stamp: catalog.Stamp{Token: 500 + id}, Pulled: time.Now(),
		Body: fmt.Appendf(nil, `{"id":%d,"name":"Shop %d"}`, id, id)}
}

// stocked is a rig whose Redis has products 1 to n, each of one of five shops, of which the fifth does not exist.
func stocked(tb testing.TB, n int64, change func(*Config, *Deps)) *rig {
	g := newRig(tb, change)
	for id := int64(1); id <= n; id++ {
		g.redis.set(numbered(id, 1, id%5+1))
	}
	for id := int64(1); id <= 4; id++ {
		g.redis.set(shopNo(id))
	}
	return g
}

// upTo is "1,2,…,n".
func upTo(n int) string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i + 1)
	}
	return strings.Join(ids, ",")
}

// sameAsPages holds each entry against what the page of that id says.
func sameAsPages(t *testing.T, got batchAnswer, more string, get func(target string) (code int, body, etag string)) {
	t.Helper()
	for _, e := range got.Products {
		if e.Status == entryBad {
			continue
		}
		code, body, etag := get("/product/" + e.ID + ".json" + more)
		want := map[int]string{200: entryFound, 404: entryAbsent, 503: entryUnavailable, 429: entryUnavailable}[code]
		if e.Status != want || e.Status == entryFound && string(e.Product) != body {
			t.Errorf("product %s: the batch says %s %s, the page %d %s", e.ID, e.Status, e.Product, code, body)
		}
		if e.Status == entryFound && e.ETag != etag {
			t.Errorf("product %s: etag %s, the page's is %s", e.ID, e.ETag, etag)
		}
	}
}

// Whatever is asked for, in whatever state of L1: each entry is what the page says,
// in the order asked, and one read of Redis for products and one for shops is enough.
func TestBatchSaysWhatPagesSay(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		g, alone := stocked(t, 40, nil), stocked(t, 40, nil)
		for range rnd.IntN(30) {
			g.get(t, fmt.Sprintf("/product/%d.json", 1+rnd.IntN(50)))
		}
		more := ""
		if rnd.IntN(3) == 0 {
			more = fmt.Sprintf("shopId=%d", 1+rnd.IntN(6))
		}
		var ids, want []string
		for range 1 + rnd.IntN(60) {
			id := []string{strconv.Itoa(1 + rnd.IntN(50)), strconv.Itoa(1 + rnd.IntN(50)), "x", "07", "", "-1", "9223372036854775808", "a b\"c"}[max(0, rnd.IntN(40)-32)]
			if ids = append(ids, id); !slices.Contains(want, id) {
				want = append(want, id)
			}
		}
		target := productsPath + "?ids=" + strings.NewReplacer(" ", "%20", `"`, "%22").Replace(strings.Join(ids, ",")) + "&" + more + "&nobody=knows"
		if strings.Trim(strings.Join(ids, ","), ",") == "" {
			continue
		}
		before := g.redis.count()
		ctx := g.get(t, target)
		got := readBatch(t, ctx)
		var have []string
		for _, e := range got.Products {
			have = append(have, e.ID)
			if _, ok := catalog.ParseIDBytes([]byte(e.ID)); ok == (e.Status == entryBad) {
				t.Errorf("%q has the status %s", e.ID, e.Status)
			}
		}
		if !slices.Equal(have, want) || got.Partial {
			t.Fatalf("seed %d: %s has %q (partial %v), want %q", seed, target, have, got.Partial, want)
		}
		if n := g.redis.count() - before; n > 2 {
			t.Errorf("seed %d: %d reads of Redis, want two at most", seed, n)
		}
		sameAsPages(t, got, "?"+more, func(target string) (int, string, string) {
			one := alone.get(t, target)
			return one.Response.StatusCode(), string(one.Response.Body()), header(one, "Etag")
		})
		if again := g.get(t, target); header(again, "Etag") != header(ctx, "Etag") || header(ctx, "Etag") == "" {
			t.Errorf("seed %d: the tag was %s and is %s", seed, header(ctx, "Etag"), header(again, "Etag"))
		} else if asked := g.get(t, target, "If-None-Match", header(ctx, "Etag")); asked.Response.StatusCode() != 304 || len(asked.Response.Body()) > 0 {
			t.Errorf("seed %d: status %d with the tag, want 304", seed, asked.Response.StatusCode())
		}
	}
}

func TestBatchRequests(t *testing.T) {
	g := stocked(t, 10, func(c *Config, _ *Deps) { c.Limits.BatchIDs = 5 })
	for target, want := range map[string]int{
		"?ids=1": 200, "?ids=1,2,3,4,5": 200, "?ids=1%2C2": 200, "?ids=1,1,1": 200, "?ids=x": 200, "?ids=,": 200, "?ids=1&shopId=2&productId=x": 200,
		"?ids=1,2,3,4,5,6": 400, "?ids=1,1,1,1,1,1": 400, "": 400, "?": 400, "?ids": 400, "?ids=": 400, "?ids=1&ids=2": 400, "?ids=%zz": 400,
		"?ids=1&shopId=x": 400, "?ids=1&shopId=1&shopId=2": 400, "?IDS=1": 400,
		"/1": 200, "/1?shopId=2": 200, "/x": 400, "/01": 400, "/": 400, "/1.json": 400, "/1?productId=1": 400, "/99": 404, "/1/2": 404,
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			code := want
			if method == "POST" {
				code = 405
			}
			ctx := ask(g.servePublic, method, productsPath+target)
			if got := ctx.Response.StatusCode(); got != code {
				t.Errorf("%s %s: %d, want %d: %s", method, target, got, code, ctx.Response.Body())
			}
			kind := "application/json; charset=utf-8"
			if code >= 400 {
				kind = "application/problem+json"
				var p struct {
					Title, Detail string
					Status        int
				}
				if err := json.Unmarshal(ctx.Response.Body(), &p); err != nil || p.Status != code || p.Title == "" || p.Detail == "" {
					t.Errorf("%s %s: %v, %s", method, target, err, ctx.Response.Body())
				}
			}
			if got := header(ctx, "Content-Type"); got != kind {
				t.Errorf("%s %s: Content-Type %q, want %q", method, target, got, kind)
			}
		}
	}
}

// One product of the API is the JSON of its page, from the same memory, by the fast path too.
func TestOneProduct(t *testing.T) {
	g := newRig(t, nil)
	page := g.get(t, "/product/7.json?shopId=3")
	one := g.get(t, productsPath+"/7?shopId=3", "Accept", "text/html")
	if string(one.Response.Body()) != string(page.Response.Body()) || header(one, "Etag") != header(page, "Etag") || !strings.HasPrefix(header(one, "Cache-Status"), "eshop; hit") {
		t.Errorf("got %s %s", one.Response.Header.String(), one.Response.Body())
	}
	quick(t, g, productsPath+"/7?shopId=3")() // fails when it is not answered
}

// Coming from anywhere, a batch says so, and is compressed for who wants that.
func TestBatchStatusAndGzip(t *testing.T) {
	g := stocked(t, 10, nil)
	ids := productsPath + "?ids=1,2,3,4,99,x"
	first := g.get(t, ids)
	// The shop of product 4 does not exist, which only the origin can tell.
	if got, want := header(first, "Cache-Status"), `detail="ids=6; absent=1; bad=1; redis=3; origin=2; age=0; owner=gw-1"`; !strings.HasPrefix(got, "eshop; fwd=uri-miss; ttl=") || !strings.HasSuffix(got, want) {
		t.Errorf("Cache-Status = %s, want it to end in %s", got, want)
	}
	g.redis.set(numbered(5, 1, 2))
	if got, want := header(g.get(t, ids+",5"), "Cache-Status"), `detail="ids=7; absent=1; bad=1; l1=5; redis=1; age=0; owner=gw-1"`; !strings.HasPrefix(got, "eshop; fwd=partial; ttl=") || !strings.HasSuffix(got, want) {
		t.Errorf("Cache-Status = %s, want it to end in %s", got, want)
	}
	zipped := g.get(t, ids, "Accept-Encoding", "gzip")
	body, err := zipped.Response.BodyGunzip()
	if got := header(zipped, "Cache-Status"); err != nil || header(zipped, "Content-Encoding") != "gzip" || !strings.HasPrefix(got, "eshop; hit; ttl=") {
		t.Fatalf("%v, Cache-Status %s", err, got)
	}
	if plain := g.get(t, ids); string(body) != string(plain.Response.Body()) || header(zipped, "Etag") != header(plain, "Etag") {
		t.Errorf("compressed: %s", body)
	}
	for name, want := range map[string]string{"Vary": "Accept-Encoding", "Cache-Control": "public, no-cache", "X-Content-Type-Options": "nosniff"} {
		if got := header(zipped, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

// With the origin gone there is what memory and Redis have; with Redis gone too,
// what memory has, marked when that could not be checked; with neither, 503.
func TestBatchPartial(t *testing.T) {
	g := stocked(t, 10, nil)
	g.get(t, "/product/1.json")
	g.cache.setDown(true)
	ctx := g.get(t, productsPath+"?ids=1,2,99,x")
	got := readBatch(t, ctx)
	var statuses []string
	for _, e := range got.Products {
		statuses = append(statuses, e.Status)
	}
	if want := []string{entryFound, entryFound, entryUnavailable, entryBad}; !slices.Equal(statuses, want) || !got.Partial {
		t.Fatalf("got %+v, want %q and partial", got, want)
	}
	if e := got.Products[2]; e.RetryAfter < 3 || e.Detail == "" {
		t.Errorf("what cannot be had: %+v", e)
	}
	if cs := header(ctx, "Cache-Status"); !strings.Contains(cs, `detail="partial; ids=4; unavailable=1; bad=1; l1=1; redis=1; `) {
		t.Errorf("Cache-Status = %s", cs)
	}
	// The shop of a product is gone with Redis: the product is had without it.
	g.redis.fail(true)
	g.l1.docs.Remove(catalog.Key{Kind: "shop", ID: 4})
	got = readBatch(t, g.get(t, productsPath+"?ids=1,3"))
	if e := got.Products[0]; e.Status != entryFound || e.Partial || !got.Partial || got.Products[1].Status != entryUnavailable {
		t.Errorf("got %+v", got)
	}
	ctx = g.get(t, productsPath+"?ids=98,99,x")
	if retry, _ := strconv.Atoi(header(ctx, "Retry-After")); ctx.Response.StatusCode() != 503 || retry < 1 || header(ctx, "Cache-Control") != "no-store" {
		t.Errorf("nothing to be had: %s", ctx.Response.Header.String())
	}
	if ctx := g.get(t, productsPath+"?ids=x"); ctx.Response.StatusCode() != 200 {
		t.Errorf("no id at all: %d", ctx.Response.StatusCode())
	}
}

// A page without its shop part is marked, and makes the answer a partial one.
func TestBatchProductWithoutAPart(t *testing.T) {
	g := newRig(t, nil)
	delete(g.redis.master, keyS3)
	g.cache.fail[keyS3] = true
	got := readBatch(t, g.get(t, productsPath+"?ids=7"))
	if e := got.Products[0]; e.Status != entryFound || !e.Partial || !got.Partial || !strings.HasSuffix(string(e.Product), `"shop":null}`) {
		t.Errorf("got %+v %s", e, e.Product)
	}
}

// What does not fit into an answer is left to the next one.
func TestBatchBytes(t *testing.T) {
	g := stocked(t, 20, func(c *Config, _ *Deps) { c.Limits.BatchBytes = 3000 })
	got := readBatch(t, g.get(t, productsPath+"?ids="+upTo(20)))
	found, size := 0, 0
	for _, e := range got.Products {
		if e.Status == entryFound {
			found++
			size += len(e.Product)
		} else if e.Status != entryUnavailable || !strings.Contains(e.Detail, "does not fit") {
			t.Errorf("entry %+v", e)
		}
	}
	if !got.Partial || found == 0 || found == 20 || size > 3000 {
		t.Errorf("%d of 20 products with %d bytes, partial %v", found, size, got.Partial)
	}
	big := numbered(30, 1, 1)
	big.Body = fmt.Appendf(nil, `{"id":30,"text":%q}`, strings.Repeat("x", 5000))
	g.redis.set(big)
	if e := readBatch(t, g.get(t, productsPath+"?ids=30")).Products[0]; e.Status != entryFound {
		t.Errorf("a product that is larger than an answer may be, alone: %+v", e)
	}
}
