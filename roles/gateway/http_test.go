package gateway

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestServesAPage(t *testing.T) {
	g := newRig(t, nil)
	ctx := g.get(t, "/product?requestPath=product&method=x&productId=7&shopId=3")
	if code := ctx.Response.StatusCode(); code != 200 {
		t.Fatalf("status %d, body %s", code, ctx.Response.Body())
	}
	for _, want := range []string{"Phone seven", `id="productPrice">5599.0<`, "Shop three", "<li>red</li>", `src="/a.svg"`} {
		if !strings.Contains(string(ctx.Response.Body()), want) {
			t.Errorf("the page lacks %q:\n%s", want, ctx.Response.Body())
		}
	}
	if got, want := header(ctx, "Cache-Status"), `eshop-redis; hit, eshop; fwd=uri-miss; stored; ttl=`; !strings.HasPrefix(got, want) {
		t.Errorf("Cache-Status = %q, want it to begin with %q", got, want)
	}
	if g.redis.count() != 1 {
		t.Errorf("%d round trips to Redis, want 1: the request named the shop", g.redis.count())
	}
	ctx = g.get(t, "/product/7?shopId=3")
	if got, want := header(ctx, "Cache-Status"), `eshop; hit; ttl=`; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `detail="v=1; age=0; owner=gw-1"`) {
		t.Errorf("Cache-Status = %q, want it to begin with %q", got, want)
	}
	if g.redis.count() != 1 {
		t.Error("a hit went to Redis")
	}
	for name, want := range map[string]string{"Vary": "Accept, Accept-Encoding", "Content-Type": "text/html; charset=utf-8", "Cache-Control": "public, no-cache"} {
		if got := header(ctx, name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if csp := header(ctx, "Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "style-src 'sha256-") {
		t.Errorf("Content-Security-Policy = %q", csp)
	}
}

func TestStatuses(t *testing.T) {
	g := newRig(t, nil)
	for _, c := range []struct {
		method, target string
		want           int
	}{
		{"GET", "/product/7", 200}, {"HEAD", "/product/7", 200}, {"GET", "/product/7.json", 200},
		{"GET", "http://shop.example/product/7", 200}, {"GET", "/product?productId=%37", 200}, {"GET", "/%70roduct/7", 200},
		{"POST", "/product/7", 405}, {"DELETE", "/product/7", 405},
		{"GET", "/product", 400}, {"GET", "/product/", 400}, {"GET", "/product/x", 400}, {"GET", "/product/07", 400}, {"GET", "/product/-1", 400},
		{"GET", "/product?productId=", 400}, {"GET", "/product?productId=0", 400}, {"GET", "/product?productId=9223372036854775808", 400},
		{"GET", "/product?productId=7&productId=7", 400}, {"GET", "/product/7?productId=8", 400}, {"GET", "/product/7?shopId=1&shopId=2", 400},
		{"GET", "/product/7?shopId=x", 400}, {"GET", "/product?productId=%zz", 400},
		{"GET", "/", 404}, {"GET", "/favicon.ico", 404}, {"GET", "/hot?productId=7", 404}, {"GET", "/product/7/x", 404}, {"GET", "/product/8", 404},
	} {
		ctx := ask(g.servePublic, c.method, c.target)
		if got := ctx.Response.StatusCode(); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.target, got, c.want)
		}
		if got := header(ctx, "Cache-Status"); (got == "") != (c.target != "/product/8" && c.want >= 400) {
			t.Errorf("%s %s: Cache-Status = %q", c.method, c.target, got)
		}
		if ctx.Response.Header.Peek("Cache-Status") != nil && header(ctx, "Cache-Status") == "" {
			t.Errorf("%s %s: an empty Cache-Status", c.method, c.target)
		}
		if c.want == 405 && header(ctx, "Allow") != "GET, HEAD" {
			t.Errorf("%s %s: Allow = %q", c.method, c.target, header(ctx, "Allow"))
		}
	}
}

func TestConditionalAndGzip(t *testing.T) {
	g := newRig(t, nil)
	plain := g.get(t, "/product/7")
	zipped := g.get(t, "/product/7", "Accept-Encoding", "br, gzip")
	if got := header(zipped, "Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding = %q, want gzip", got)
	}
	body, err := zipped.Response.BodyGunzip()
	if err != nil || string(body) != string(plain.Response.Body()) {
		t.Fatalf("the gzip form is not the page: %v", err)
	}
	if header(plain, "Etag") == header(zipped, "Etag") {
		t.Error("a strong entity tag is shared by two encodings")
	}
	for _, inm := range []string{header(plain, "Etag"), `"x", W/` + header(plain, "Etag"), "*"} {
		ctx := g.get(t, "/product/7", "If-None-Match", inm)
		if ctx.Response.StatusCode() != fasthttp.StatusNotModified || len(ctx.Response.Body()) > 0 {
			t.Errorf("If-None-Match %s: %d with %d bytes, want 304 without", inm, ctx.Response.StatusCode(), len(ctx.Response.Body()))
		}
		if header(ctx, "Etag") != header(plain, "Etag") || header(ctx, "Vary") == "" || header(ctx, "Cache-Control") == "" {
			t.Errorf("the 304 lacks a header: %s", ctx.Response.Header.String())
		}
	}
	if code := g.get(t, "/product/7", "If-None-Match", header(zipped, "Etag")).Response.StatusCode(); code != 200 {
		t.Errorf("the tag of the other encoding gave %d, want 200", code)
	}
}

func TestJSON(t *testing.T) {
	g := newRig(t, nil)
	want := string(product(1, 10, "5599.0").Body[:len(product(1, 10, "5599.0").Body)-1]) + `,"shop":` + string(shop(11, "Shop three").Body) + "}"
	for _, ctx := range []*fasthttp.RequestCtx{g.get(t, "/product/7.json"), g.get(t, "/product/7", "Accept", "application/json"),
		g.get(t, "/product?productId=7", "Accept", "application/json, text/plain, */*")} {
		if got := string(ctx.Response.Body()); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if got := header(ctx, "Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("Content-Type = %q", got)
		}
	}
	if got := header(g.get(t, "/product/99.json"), "Content-Type"); got != "application/problem+json" {
		t.Errorf("an error for a program has Content-Type %q", got)
	}
}
