package gateway

import (
	"testing"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/ring"
)

// untouchable is a membership that nobody may ask.
type untouchable struct{ t *testing.T }

func (u untouchable) Ring() *ring.Ring    { u.t.Error("a hit asked for the ring"); return nil }
func (u untouchable) Eject(string, error) { u.t.Error("a hit ejected a peer") }

// 6: a fresh page is served from the heap alone, and without an allocation, hits
// counted or not.
func TestInvariant6HitTouchesNothing(t *testing.T) {
	for _, mode := range []string{AccessCounts, AccessOff} {
		t.Run(mode, func(t *testing.T) { hitTouchesNothing(t, AccessLog{Mode: mode}) })
	}
}

func hitTouchesNothing(t *testing.T, log AccessLog) {
	g, sink := newLogRig(t, log, 1)
	sink.refuse = func(kafka.Record) string {
		t.Error("a hit offered a record")
		return ""
	}
	targets := []string{"/product/7", "/product/7.json", "/product?requestPath=product&productId=7&shopId=3"}
	for _, target := range targets {
		g.get(t, target)
	}
	g.peers.ring.Store(nil)
	g.Role.peers = untouchable{t}
	g.redis.before = func([]catalog.Key) { t.Error("a hit asked Redis") }
	g.cache.before = func() { t.Error("a hit asked the cache role") }
	for _, target := range targets {
		ctx := &fasthttp.RequestCtx{}
		ctx.Request.SetRequestURI(target)
		ctx.Request.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
		ctx.Request.Header.Set("Accept-Encoding", "gzip, deflate, br")
		hit := func() {
			ctx.Response.Reset()
			g.servePublic(ctx)
		}
		hit() // the response's buffers grow once
		if n := testing.AllocsPerRun(200, hit); n != 0 {
			t.Errorf("%s: %v allocations a hit, want none", target, n)
		}
		if ctx.Response.StatusCode() != 200 {
			t.Errorf("%s: %d", target, ctx.Response.StatusCode())
		}
	}
	if n := len(g.refresh.queue); n != 0 {
		t.Errorf("hits on fresh pages queued %d refreshes", n)
	}
}

// PITFALL 41: nothing of a RequestCtx is kept. fasthttp uses it again for the
// next request; the page that the first one brought stays as it was.
func TestPageOutlivesItsRequest(t *testing.T) {
	g := newRig(t, nil)
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.SetRequestURI("/product/7")
	g.servePublic(ctx)
	want := string(ctx.Response.Body())
	ctx.Response.Reset()
	ctx.Request.Reset()
	ctx.Request.SetRequestURI("/product/8")
	g.servePublic(ctx)
	if code := ctx.Response.StatusCode(); code != 404 {
		t.Fatalf("another product: %d, want 404", code)
	}
	if got := string(g.get(t, "/product/7").Response.Body()); got != want {
		t.Errorf("the page has changed:\n%s", got)
	}
	key, _, _ := g.router.parse([]byte("/product/7"))
	if p, ok := g.l1.pages.Get(key); !ok || p.key != key {
		t.Error("the page is not found under its key any more")
	}
}
