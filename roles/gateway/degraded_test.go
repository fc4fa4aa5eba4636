package gateway

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/degrade"
	"eshop/pkg/rediscluster"
)

// switchOn puts these switches, and no others, into effect for a day.
func (g *rig) switchOn(on map[string]degrade.Modes) {
	var list []degrade.Switch
	now := time.Now().UnixMilli()
	for kind, modes := range on {
		for _, mode := range degrade.All() {
			if modes.Has(mode) {
				list = append(list, degrade.Switch{Kind: kind, Mode: mode, By: "oncall", Since: now, Until: now + degrade.MaxFor.Milliseconds()})
			}
		}
	}
	g.degraded.state.Replace(list, time.Now())
	g.degraded.note()
}

// wants checks an answer's status, and words that must and ("!") must not be in
// its Cache-Status.
func wants(t *testing.T, what string, ctx *fasthttp.RequestCtx, code int, words ...string) {
	t.Helper()
	status := header(ctx, "Cache-Status")
	if got := ctx.Response.StatusCode(); got != code {
		t.Errorf("%s: got %d, want %d (%s)", what, got, code, status)
	}
	for _, w := range words {
		if not, forbidden := strings.CutPrefix(w, "!"); forbidden == strings.Contains(status, not) {
			t.Errorf("%s: Cache-Status %q, want %s in it", what, status, w)
		}
	}
}

// Pages from memory flow whatever their age and whatever has changed, marked;
// what memory does not have is refused at once; nothing else is asked.
func TestStaleOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.get(t, "/product/7")
		asked := func() string { return fmt.Sprint(g.redis.count(), g.cache.count(), len(g.refresh.queue)) }
		before := asked()
		g.switchOn(map[string]degrade.Modes{"*": degrade.StaleOnly})
		wants(t, "fresh", g.get(t, "/product/7"), 200, "eshop; hit", `!"stale`, `detail="degraded=stale-only; v=1;`)
		wants(t, "in another form", g.get(t, "/product/7.json"), 200, `!"stale`, "degraded=stale-only")
		missing := g.get(t, "/product/8")
		wants(t, "not in memory", missing, 503, "degraded=stale-only")
		if after, _ := strconv.Atoi(header(missing, "Retry-After")); after < 30 || after > 46 {
			t.Errorf("Retry-After %d, want 30 and up to half more", after)
		}
		time.Sleep(2 * time.Hour)
		wants(t, "old", g.get(t, "/product/7"), 200, "eshop; hit", `"stale; degraded=stale-only`)
		bus{g.Role}.Unverified("a test")
		wants(t, "after a loss on the bus", g.get(t, "/product/7"), 200, "eshop; hit", `"stale; degraded=stale-only`)
		if now := asked(); now != before {
			t.Errorf("Redis, the cache role and refreshes were asked for: %s, want %s as before", now, before)
		}
		g.redis.set(product(2, 20, "4999"))
		g.change(product(2, 20, "4999"))
		g.refresh.queue = make(chan job, 8)
		for range 3 { // the first looks whether memory has better
			old := g.get(t, "/product/7")
			wants(t, "older than a change", old, 200, `"stale; degraded=stale-only`)
			if !strings.Contains(string(old.Response.Body()), "5599.0") {
				t.Error("another page")
			}
		}
		if now := asked(); now != before {
			t.Errorf("asked for: %s, want %s as before", now, before)
		}
		g.switchOn(nil)
		time.Sleep(time.Second) // a page that could not be made better is left alone for so long
		now := g.get(t, "/product/7")
		wants(t, "afterwards", now, 200, `!"stale`, "!degraded")
		if !strings.Contains(string(now.Response.Body()), "4999") {
			t.Error("afterwards: not the new page")
		}
		g.switchOn(map[string]degrade.Modes{"*": degrade.StaleOnly})
		g.change(catalog.Document{Key: keyP7, State: catalog.Tombstone, Stamp: catalog.Stamp{Version: 2, Token: 30}})
		wants(t, "deleted", g.get(t, "/product/7"), 503, "degraded=stale-only")
		if n := counter(t, g.degraded.answers[degrade.StaleOnly]); n != 9 {
			t.Errorf("%v answers counted, want 9", n)
		}
	})
}

// The switch of a related kind leaves the rest of the page alone.
func TestStaleOnlyOfARelatedKind(t *testing.T) {
	g := newRig(t, nil)
	g.switchOn(map[string]degrade.Modes{"shop": degrade.StaleOnly})
	for range 2 { // kept nowhere
		page := g.get(t, "/product/7")
		wants(t, "without its shop", page, 200, "partial; degraded=stale-only", "!stored")
		if cc := header(page, "Cache-Control"); cc != "no-store" || strings.Contains(string(page.Response.Body()), "Shop three") {
			t.Errorf("Cache-Control %q", cc)
		}
	}
	g.switchOn(nil)
	page := g.get(t, "/product/7")
	if wants(t, "with it", page, 200, "!partial"); !strings.Contains(string(page.Response.Body()), "Shop three") {
		t.Error("no shop")
	}
}

// no-origin is the cache role's to hold to. Pages say that it is on, hits too, for
// a change may wait; where nothing has a copy the cache role's time is passed on.
func TestNoOriginOnPages(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, "/product/7")
	g.switchOn(map[string]degrade.Modes{"product": degrade.NoOrigin})
	wants(t, "a hit", g.get(t, "/product/7"), 200, "eshop; hit", `detail="degraded=no-origin; v=1;`, `!"stale`)
	g.l1.purge(keyP7)
	wants(t, "from Redis", g.get(t, "/product/7"), 200, "eshop-redis; hit", "stored", "degraded=no-origin", `!"stale`)
	g.cache.setDown(true)
	missing := g.get(t, "/product/8")
	wants(t, "nowhere", missing, 503, "degraded=no-origin")
	if after, _ := strconv.Atoi(header(missing, "Retry-After")); after < 3 || after > 6 {
		t.Errorf("Retry-After %d, want the cache role's 3 and up to half more", after)
	}
	g.switchOn(map[string]degrade.Modes{"product": degrade.NoOrigin, "shop": degrade.StaleOnly})
	wants(t, "both", g.get(t, "/product/7"), 200, "degraded=no-origin+stale-only")
	wants(t, "another gateway's", ask(g.servePeer, "GET", "/product/7"), 200, "degraded=no-origin+stale-only")
	if n := counter(t, g.degraded.answers[degrade.NoOrigin]); n != 4 {
		t.Errorf("%v answers counted, want 4: that of a peer is counted there", n)
	}
}

// 6: hits stay free of allocations, switch or not.
func TestInvariant6HitWithSwitches(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, "/product/7")
	for _, on := range []map[string]degrade.Modes{nil, {"product": degrade.NoOrigin}, {"*": degrade.NoOrigin | degrade.StaleOnly}} {
		g.switchOn(on)
		ctx := &fasthttp.RequestCtx{}
		ctx.Request.SetRequestURI("/product/7")
		hit := func() {
			ctx.Response.Reset()
			g.servePublic(ctx)
		}
		hit()
		if n := testing.AllocsPerRun(200, hit); n != 0 {
			t.Errorf("%v: %v allocations a hit, want none", on, n)
		}
	}
}

// Random schedules of changes, deletions, losses on the bus, time, purges and
// switches. At every answer: with stale-only for both kinds, nothing but memory
// was asked; what was deleted is not shown; what is older than an announced
// change is marked (3); a page says which modes are on for its kinds, no more and
// no less. Without a switch the newest page is shown again.
func TestRandomSwitches3(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) { randomSwitches(t, seed) })
	}
}

func randomSwitches(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 11))
	g := newRig(t, nil)
	version, deleted := int64(1), false // announced
	on := map[string]degrade.Modes{}
	price := func(v int64) string { return fmt.Sprintf("%d.5", 1000+v) }
	announce := func(d catalog.Document) {
		g.redis.set(d)
		g.change(d)
	}
	announce(product(1, 11, price(1)))
	for step := range 80 {
		switch r.IntN(9) {
		case 0, 1:
			version++
			deleted = r.IntN(5) == 0
			d := product(version, 10+version, price(version))
			if deleted {
				d = catalog.Document{Key: keyP7, State: catalog.Tombstone, Stamp: d.Stamp}
			}
			announce(d)
		case 2:
			bus{g.Role}.Unverified("a test")
		case 3:
			g.trusted.Store([]int64{0, math.MaxInt64}[r.IntN(2)])
		case 4:
			g.l1.purge(keyP7)
		case 5, 6:
			on = map[string]degrade.Modes{}
			for _, kind := range []string{"product", "shop", degrade.Every} {
				if r.IntN(3) == 0 {
					on[kind] = degrade.Modes(1 + r.IntN(3))
				}
			}
			g.switchOn(on)
		case 7:
			time.Sleep(time.Duration(r.IntN(30)) * time.Minute)
		case 8:
			time.Sleep(1500 * time.Millisecond)
		}
		memory := on[degrade.Every].Has(degrade.StaleOnly) || on["product"].Has(degrade.StaleOnly) && on["shop"].Has(degrade.StaleOnly)
		before := g.redis.count() + g.cache.count()
		for range 1 + r.IntN(3) {
			page := g.get(t, []string{"/product/7", "/product/7.json", "/product?productId=7&shopId=3"}[r.IntN(3)])
			g.drain(t.Context())
			status, body := header(page, "Cache-Status"), string(page.Response.Body())
			say := func(format string, args ...any) {
				t.Fatalf("seed %d, step %d, switches %v: %s; %d %s", seed, step, on, fmt.Sprintf(format, args...), page.Response.StatusCode(), status)
			}
			want := on["product"] | on["shop"] | on[degrade.Every]
			if marked := strings.Contains(status, "degraded="); marked != (want != 0) || marked && !strings.Contains(status, "degraded="+want.String()+";") {
				say("want the modes %q", want)
			}
			if memory && g.redis.count()+g.cache.count() != before {
				say("something else than memory was asked")
			}
			switch code := page.Response.StatusCode(); {
			case code == 200 && deleted:
				say("a deleted product is shown")
			case code == 200 && !strings.Contains(body, price(version)) && !strings.Contains(status, `"stale;`):
				say("an old page is not marked: want %s", price(version))
			case code == 503 && header(page, "Retry-After") == "":
				say("503 without a time to ask again")
			case code != 200 && code != 404 && code != 503:
				say("another answer")
			}
		}
	}
	g.switchOn(nil)
	g.trusted.Store(math.MaxInt64)
	time.Sleep(2 * time.Second)
	page := g.get(t, "/product/7")
	if deleted != (page.Response.StatusCode() == 404) || !deleted && !strings.Contains(string(page.Response.Body()), price(version)) {
		t.Fatalf("seed %d: in the end %d %s, want %s", seed, page.Response.StatusCode(), header(page, "Cache-Status"), price(version))
	}
}

// Two gateways on one ensemble: an operator at one of them sets a switch, both
// hold to it; a page that only its owner has in memory is had of the owner.
func TestSwitchesOfAFleet(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.put(product(1, 10, "5599.0"), shop(11, "Shop three"))
		gateways := []*Role{w.gateway("gw-1"), w.gateway("gw-2")}
		owner := 0
		for i, g := range gateways {
			w.until("both know each other", func() (bool, string) { r := g.peers.Ring(); return r != nil && r.Len() == 2, "" })
			w.until("the bus vouches", func() (bool, string) { return !g.trust().Behind(time.Now().UnixNano()), "" })
			if _, remote := g.remoteOwner(pageKey{id: 7}); !remote {
				owner = i
			}
		}
		fetch(t, gateways[owner], "/product/7")
		set := func(kind string, mode degrade.Modes, length time.Duration) {
			t.Helper()
			if _, err := gateways[0].degraded.client.Set(t.Context(), kind, mode, length, "oncall"); err != nil {
				t.Fatal(err)
			}
			for _, g := range gateways {
				w.until("both have heard", func() (bool, string) { return g.degraded.of(0).Has(mode), "" })
			}
		}
		set("product", degrade.StaleOnly, time.Hour)
		for i, g := range gateways {
			p := fetch(t, g, "/product/7")
			if p.code != 200 || strings.Contains(p.status, "peer") != (i != owner) || strings.Count(p.status, "degraded=stale-only; v=") < 1 {
				t.Errorf("%s: %d %s, want the owner's page, marked", g.cfg.ID, p.code, p.status)
			}
			if p := fetch(t, g, "/product/8"); p.code != 503 || p.header.Get("Retry-After") == "" {
				t.Errorf("%s: %d, Retry-After %q; want 503 with one", g.cfg.ID, p.code, p.header.Get("Retry-After"))
			}
		}
		if n := w.cache.count(); n != 0 {
			t.Errorf("the cache role was asked %d times", n)
		}
		next := product(2, 20, "4999")
		w.put(next)
		w.announce(next)
		w.until("the old page is marked", func() (bool, string) {
			p := fetch(t, gateways[owner], "/product/7")
			return strings.Contains(p.status, `detail="stale; degraded=stale-only`) && strings.Contains(p.body, "5599.0"), p.status
		})
		other := gateways[1-owner]
		w.until("the other has heard of the change, too", func() (bool, string) { return other.floor.Of(keyP7) == next.Stamp, "" })
		if p := fetch(t, other, "/product/7"); p.code != 200 || strings.Count(p.status, `"stale; degraded=stale-only`) != 2 {
			t.Errorf("%s: %d %s, want the owner's old page, marked by both", other.cfg.ID, p.code, p.status)
		}
		// A change of which only this gateway has heard may be a deletion.
		other.floor.Raise(keyP7, catalog.Stamp{Version: 2, Token: 21})
		if p := fetch(t, other, "/product/7"); p.code != 503 {
			t.Errorf("%s: %d %s, want 503: the owner does not know what it shows", other.cfg.ID, p.code, p.status)
		}
		next = product(3, 30, "4999")
		w.put(next)
		w.announce(next)
		if _, err := other.degraded.client.Set(t.Context(), "product", degrade.StaleOnly, time.Second, "oncall"); err != nil { // written over: over soon
			t.Fatal(err)
		}
		for _, g := range gateways {
			w.until("the new page", func() (bool, string) {
				p := fetch(t, g, "/product/7")
				return strings.Contains(p.body, "4999") && !strings.Contains(p.status, "degraded"), p.status
			})
		}
	})
}

// What an operator looks at is read whatever the switches say.
func TestExplainLooksEverywhere(t *testing.T) {
	g := newRig(t, nil)
	g.switchOn(map[string]degrade.Modes{"product": degrade.StaleOnly})
	text := fmt.Sprint(g.explain(context.Background(), keyP7))
	if !strings.Contains(text, "stale-only oncall") || !strings.Contains(text, "redisMaster") {
		t.Error(text)
	}
	if got := g.redis.GetMany(t.Context(), []catalog.Key{keyP7}, rediscluster.FromMaster); len(got) != 1 {
		t.Error(got)
	}
}
