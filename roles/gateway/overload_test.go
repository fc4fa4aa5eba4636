package gateway

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/admission"
	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/rediscluster"
)

// gated puts the gates of the role before a rig's fakes, as New does.
func gated(tb testing.TB, limits Limits) *rig {
	g := newRig(tb, func(c *Config, _ *Deps) { c.Limits = limits })
	g.store, g.lookups, g.source = gatedStore{g.redis, g.overload.redis}, gatedStore{g.redis, g.overload.lookups}, gatedSource{g.cache, g.overload.cache}
	return g
}

// refused checks an answer to a request for which there was no room.
func refused(t *testing.T, ctx *fasthttp.RequestCtx, code int, why string) {
	t.Helper()
	retry, _ := strconv.Atoi(header(ctx, "Retry-After"))
	if got := ctx.Response.StatusCode(); got != code || !strings.Contains(header(ctx, "Cache-Status"), `detail="refused: `+why) ||
		retry < 1 || retry > 12 || header(ctx, "Cache-Control") != "no-store" || len(ctx.Response.Body()) > 150 {
		t.Errorf("%d, Cache-Status %q, Retry-After %q, Cache-Control %q, %d bytes; want %d, refused: %s, a time, no-store, next to nothing",
			got, header(ctx, "Cache-Status"), header(ctx, "Retry-After"), header(ctx, "Cache-Control"), len(ctx.Response.Body()), code, why)
	}
}

// A source that never answers fills its own gate: what Redis has is answered all
// the same, hits are, and what waits in vain is told so at once.
func TestSlowSourceStopsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gated(t, Limits{CacheCalls: 4, CacheQueue: 4})
		g.get(t, "/product/7")
		g.cache.delay = time.Minute // the origin hangs
		for i := range 8 {
			go g.get(t, fmt.Sprintf("/product/%d", 100+i))
		}
		synctest.Wait()
		begin := time.Now()
		refused(t, g.get(t, "/product/200"), 503, "cache role full")
		if took := time.Since(begin); took != 0 {
			t.Errorf("it was refused after %v, not at once", took)
		}
		if ctx := g.get(t, "/product/7"); ctx.Response.StatusCode() != 200 || !strings.Contains(header(ctx, "Cache-Status"), "hit") {
			t.Errorf("a hit: %d, %s", ctx.Response.StatusCode(), header(ctx, "Cache-Status"))
		}
		g.redis.set(catalog.Document{Key: catalog.Key{Kind: "product", ID: 8}, State: catalog.Live, Stamp: catalog.Stamp{Token: 1}, Pulled: time.Now(),
			Body: []byte(`{"id":8,"name":"Eight"}`)})
		if ctx := g.get(t, "/product/8"); ctx.Response.StatusCode() != 200 || time.Since(begin) != 0 {
			t.Errorf("what Redis has: %d after %v", ctx.Response.StatusCode(), time.Since(begin))
		}
		if n := counter(t, g.overload.refused[whyGate]); n != 1 {
			t.Errorf("%v refusals are counted, want 1", n)
		}
		<-time.After(2 * time.Minute)
	})
}

// slowRedis holds each call up.
type slowRedis struct {
	store
	delay time.Duration
}

func (s slowRedis) GetMany(ctx context.Context, keys []catalog.Key, from rediscluster.From) []rediscluster.Result {
	<-time.After(s.delay)
	return s.store.GetMany(ctx, keys, from)
}

// Who finds no room at Redis asks the cache role, as when Redis is away.
func TestSlowRedisIsPassedBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gated(t, Limits{RedisCalls: 2, RedisQueue: 1})
		g.store = gatedStore{slowRedis{g.redis, time.Second}, g.overload.redis}
		for i := range 3 {
			go g.get(t, fmt.Sprintf("/product/%d", 100+i))
		}
		synctest.Wait()
		g.cache.set(product(1, 10, "1"))
		g.cache.set(shop(11, "three"))
		begin := time.Now()
		if ctx := g.get(t, "/product/7"); ctx.Response.StatusCode() != 200 || !strings.Contains(header(ctx, "Cache-Status"), "eshop-cache") || time.Since(begin) != 0 {
			t.Errorf("%d, %s after %v", ctx.Response.StatusCode(), header(ctx, "Cache-Status"), time.Since(begin))
		}
		<-time.After(time.Minute)
	})
}

// Above the bound of waiting requests, and while memory is short, what L1 has is
// answered, an older copy of it too, and the rest refused.
func TestSheddingSparesHits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gated(t, Limits{Waiting: 3})
		g.get(t, "/product/7")
		g.cache.delay = time.Second
		for i := range 3 {
			go g.get(t, fmt.Sprintf("/product/%d", 100+i))
		}
		synctest.Wait()
		refused(t, g.get(t, "/product/200"), 503, whyWaiting)
		refused(t, g.get(t, "/product/200.json"), 503, whyWaiting)
		refused(t, ask(g.servePeer, "GET", "/product/200"), 503, whyWaiting)
		if ctx := g.get(t, "/product/7"); ctx.Response.StatusCode() != 200 {
			t.Errorf("a hit: %d", ctx.Response.StatusCode())
		}
		<-time.After(time.Minute)
		if n := g.overload.beyond.Load(); n != 0 {
			t.Errorf("%d requests are counted as under way when there are none", n)
		}
		shortOfMemory(t, g)
		refused(t, g.get(t, "/product/200"), 503, whyMemory)
		if ctx := g.get(t, "/product/7"); ctx.Response.StatusCode() != 200 || !strings.Contains(header(ctx, "Cache-Status"), "hit") {
			t.Errorf("a hit while memory is short: %d, %s", ctx.Response.StatusCode(), header(ctx, "Cache-Status"))
		}
		g.generation.Add(1) // what L1 has would have to be checked now
		<-time.After(time.Second)
		if ctx := g.get(t, "/product/7"); ctx.Response.StatusCode() != 200 || !strings.Contains(header(ctx, "Cache-Status"), "stale") {
			t.Errorf("an older copy while memory is short: %d, %s", ctx.Response.StatusCode(), header(ctx, "Cache-Status"))
		}
	})
}

// shortOfMemory gives a rig a limit of one byte and lets it find out.
func shortOfMemory(t *testing.T, g *rig) {
	g.overload.memory = admission.NewMemory(admission.MemoryConfig{Limit: 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { g.overload.memory.Run(ctx); close(done) }()
	synctest.Wait()
	cancel()
	<-done
}

// from asks as a client with this address does.
func (g *rig) from(addr, target string, headers ...string) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	var req fasthttp.Request
	req.SetRequestURI(target)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	ctx.Init(&req, &net.TCPAddr{IP: net.ParseIP(addr), Port: 1}, nil)
	g.servePublic(ctx)
	return ctx
}

func TestUnknownIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gated(t, Limits{UnknownRate: 1, UnknownBurst: 5, TrustedProxies: []string{"10.0.0.0/8"}})
		const bad, good = "2001:db8::1", "198.51.100.1"
		for i := range 5 {
			if ctx := g.from(bad, fmt.Sprintf("/product/%d", 1000+i)); ctx.Response.StatusCode() != 404 {
				t.Fatalf("number %d: %d", i, ctx.Response.StatusCode())
			}
		}
		asked := g.cache.count()
		refused(t, g.from(bad, "/product/2000"), 429, whyUnknown)
		refused(t, g.from("2001:db8::2", "/product/2000"), 429, whyUnknown) // the same /64
		refused(t, g.from(bad, "/product/7?shopId=2000"), 429, whyUnknown)  // a related id is an id too
		if g.cache.count() != asked {
			t.Error("the cache role was asked for an address that has spent its rate")
		}
		if ctx := g.from(bad, "/product/7"); ctx.Response.StatusCode() != 200 { // Redis has it, L1 does not
			t.Errorf("a product that exists: %d", ctx.Response.StatusCode())
		}
		if ctx := g.from(bad, "/product/1000"); ctx.Response.StatusCode() != 404 { // L1 knows that there is none
			t.Errorf("an absence that L1 knows of: %d", ctx.Response.StatusCode())
		}
		if ctx := g.from(good, "/product/2000"); ctx.Response.StatusCode() != 404 {
			t.Errorf("another address: %d", ctx.Response.StatusCode())
		}
		<-time.After(2100 * time.Millisecond) // two tokens
		for i, want := range []int{404, 404, 429} {
			if ctx := g.from(bad, fmt.Sprintf("/product/%d", 3000+i)); ctx.Response.StatusCode() != want {
				t.Errorf("two seconds later, number %d: %d, want %d", i, ctx.Response.StatusCode(), want)
			}
		}
		// Behind a load balancer everybody counts for themselves, and nobody can pass
		// for somebody else.
		for i := range 6 {
			want := 404
			if i == 5 {
				want = 429
			}
			if ctx := g.from("10.0.0.1", fmt.Sprintf("/product/%d", 4000+i), "X-Forwarded-For", fmt.Sprintf("192.0.2.%d, 203.0.113.9", i)); ctx.Response.StatusCode() != want {
				t.Errorf("behind a proxy, number %d: %d, want %d", i, ctx.Response.StatusCode(), want)
			}
		}
		if ctx := g.from("10.0.0.1", "/product/5000", "X-Forwarded-For", "203.0.113.10"); ctx.Response.StatusCode() != 404 {
			t.Errorf("a neighbour behind the same proxy: %d", ctx.Response.StatusCode())
		}
		if n := g.metrics.requests.of(layerNone, 429); n != 5 {
			t.Errorf("%v answers are counted as 429, want 5", n)
		}
	})
}

// Whether an id exists, Redis may fail to tell; that is not the client's fault. And
// whoever makes ids up takes no place at Redis from those who read.
func TestUnknownIDsWhileRedisCannotTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gated(t, Limits{UnknownRate: 0.1, UnknownBurst: 1, RedisCalls: 16})
		const bad = "2001:db8::1"
		g.from(bad, "/product/1000")
		refused(t, g.from(bad, "/product/2000"), 429, whyUnknown)
		g.redis.fail(true)
		refused(t, g.from(bad, "/product/2000"), 503, whyRedis)
		refused(t, g.from(bad, "/product/7?shopId=2000"), 503, whyRedis)
		g.redis.fail(false)

		pass, err := g.overload.lookups.Enter(t.Context()) // it has one place
		if err != nil {
			t.Fatal(err)
		}
		refused(t, g.from(bad, "/product/2000"), 503, "redis for unknown ids pressed")
		wantPage(t, g.get(t, "/product/7"), "5599.0", "stored")
		pass.Leave()
		refused(t, g.from(bad, "/product/2000"), 429, whyUnknown)
		if n := g.overload.redis.State(); n.Refused["pressed"]+n.Refused["full"]+n.Refused["late"] != 0 {
			t.Errorf("readers were refused: %+v", n)
		}
	})
}

// A crawler of real products spends nothing, nor does whoever asks again for the
// same missing one.
func TestCrawlerIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // or the knowledge that 9999 is missing ends on a slow machine
		g := gated(t, Limits{UnknownRate: 0.1, UnknownBurst: 2})
		for id := int64(1); id <= 500; id++ {
			d := product(1, 1, "1")
			d.Key.ID = id
			g.cache.set(d)
		}
		g.cache.set(shop(11, "three"))
		for id := 1; id <= 500; id++ {
			if ctx := g.from("198.51.100.1", fmt.Sprintf("/product/%d", id)); ctx.Response.StatusCode() != 200 {
				t.Fatalf("product %d: %d", id, ctx.Response.StatusCode())
			}
			if ctx := g.from("198.51.100.1", "/product/9999"); ctx.Response.StatusCode() != 404 {
				t.Fatalf("a broken link, time %d: %d", id, ctx.Response.StatusCode())
			}
		}
	})
}

// TestUnknownIDsEvictNothing asks for made-up ids in a number that fills the
// negative entries many times over: not one page or document leaves L1.
func TestUnknownIDsEvictNothing(t *testing.T) {
	g := newRig(t, func(c *Config, _ *Deps) { c.Limits = Limits{UnknownBurst: 1 << 30} })
	g.cache.asked = nil
	g.get(t, "/product/7")
	pages, docs := g.l1.pages.Len(), g.l1.docs.Len()
	for i := range 20_000 {
		g.get(t, "/product/"+strconv.Itoa(1_000_000+i*7919))
	}
	if g.l1.pages.Len() != pages || g.l1.docs.Len() != docs {
		t.Errorf("%d pages and %d documents are left of %d and %d", g.l1.pages.Len(), g.l1.docs.Len(), pages, docs)
	}
	if got, limit := g.l1.absents.Bytes(), g.l1.budget.Load()/100*(100-pagesShare-docsShare); got > limit || g.l1.absents.Len() < 100 {
		t.Errorf("%d negative entries take %d bytes, at most %d may be", g.l1.absents.Len(), got, limit)
	}
}

// What an owner says of a page tells whether it knew all the ids.
func TestKeptThere(t *testing.T) {
	for status, want := range map[string]bool{
		`eshop; hit; ttl=900; detail="v=1; age=3; owner=gw-2"`:                                 true,
		`eshop-redis; hit, eshop; fwd=uri-miss; stored; ttl=1000; detail="v=1; owner=gw-2"`:    true,
		`eshop-redis; hit, eshop; fwd=uri-miss; ttl=1000; detail="v=1; age=0; owner=gw-2"`:     false,
		`eshop-cache; fwd=miss, eshop; fwd=uri-miss; ttl=9; detail="partial; v=1; owner=gw-2"`: true,
		`eshop-cache; hit, eshop; fwd=stale; ttl=-4; detail="stale; v=1; age=700; owner=gw-2"`: true,
	} {
		if got := keptThere([]byte(status)); got != want {
			t.Errorf("%s: %v, want %v", status, got, want)
		}
	}
}

func TestL1MustLeaveRoom(t *testing.T) {
	c := Config{L1Bytes: 256 << 20}
	if c.checkMemory(0) != nil || c.checkMemory(512<<20) != nil || c.checkMemory(300<<20) == nil {
		t.Errorf("256 MiB: %v without a limit, %v within 512 MiB, %v within 300 MiB", c.checkMemory(0), c.checkMemory(512<<20), c.checkMemory(300<<20))
	}
}

func BenchmarkRefusal(b *testing.B) {
	g := gated(b, Limits{UnknownRate: 0.001, UnknownBurst: 1})
	g.source = gatedSource{&fakeCache{docs: map[catalog.Key]docapi.Reply{}}, g.overload.cache}
	g.get(b, "/product/1000")
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.SetRequestURI("/product/2000")
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		if g.servePublic(ctx); ctx.Response.StatusCode() != 429 {
			b.Fatal(ctx.Response.StatusCode())
		}
	}
}
