package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/accesslog"
	"eshop/pkg/catalog"
	"eshop/pkg/hotlist"
	"eshop/pkg/ring"
)

// The two addresses under which a product's page is asked for.
const (
	plainForm = "/product/7"
	seedForm  = "/product?requestPath=product&productId=7&shopId=3"
)

// viewOf is what hotcount would have published.
func viewOf(ids ...int64) *hotlist.View {
	list := hotlist.Hot{Partition: 0, Holder: "hc-1", Generation: 1, Published: time.Now().UnixMilli()}
	v := &hotlist.View{Hot: map[int64]hotlist.Key{}}
	for _, id := range ids {
		k := hotlist.Key{ID: id, Count: 300, Since: time.Now().UnixMilli(), Reason: hotlist.ReasonRule}
		v.Hot[id], list.Keys = k, append(list.Keys, k)
	}
	v.Lists = []hotlist.Hot{list}
	return v
}

// notOwner makes another gateway, which cannot be reached, the owner of all.
func notOwner(g *rig) { g.peers.ring.Store(ring.New([]ring.Member{{ID: "gw-9"}}, 0)) }

// keeping runs the keeper until the returned function is called.
func (g *rig) keeping(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.hot.keep.run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func wantHit(t *testing.T, g *rig, target, wantPrice string) {
	t.Helper()
	calls := g.redis.count() + g.cache.count()
	ctx := g.get(t, target)
	wantPage(t, ctx, wantPrice, "eshop; hit; ttl=")
	if got := header(ctx, "Cache-Status"); !strings.HasSuffix(got, `; hot; owner=gw-1"`) || strings.Contains(got, "stale") {
		t.Errorf("%s: Cache-Status = %q, want a hit on a hot page", target, got)
	}
	if g.redis.count()+g.cache.count() != calls {
		t.Errorf("%s: a document was read", target)
	}
}

// held returns the page in L1 that a target asks for.
func (g *rig) held(t *testing.T, target string) *page {
	t.Helper()
	key, json, _ := g.router.parse([]byte(target))
	key.json = json
	p, ok := g.l1.pages.Get(key)
	if !ok {
		t.Fatalf("%s is not in L1", target)
	}
	return p
}

// The word is there for hot products only, in each form of answer, and tells what this gateway knows.
func TestHotInCacheStatus(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"", ""})
	status := func(g *rig, target string) string {
		t.Helper()
		return header(g.get(t, target), "Cache-Status")
	}
	want := func(what, got string, hot ...bool) {
		t.Helper()
		members := strings.Split(got, ", ")
		if len(members) != len(hot) {
			t.Fatalf("%s: %q has %d members, want %d", what, got, len(members), len(hot))
		}
		for i, m := range members {
			if strings.Contains(m, "hot") != hot[i] {
				t.Errorf("%s: member %d of %q: hot is %v, want %v", what, i, got, !hot[i], hot[i])
			}
		}
	}
	want("nothing is hot, forwarded and loaded there", status(a, plainForm), false, false, false)
	b.hot.take(viewOf(7, 99))
	want("hot at the owner", status(a, plainForm), true, false)
	want("hot at the owner, its own hit", status(b, plainForm), true)
	want("an absent product, hot at the owner", status(b, "/product/99"), false, true)
	want("the same from the negative entry", status(b, "/product/99"), true)
	want("another product", status(b, "/product/98"), false, false)
	a.hot.take(viewOf(7))
	want("hot here, loaded here", status(a, plainForm), false, true)
	want("hot here, a hit", status(a, plainForm), true)
	a.hot.take(viewOf())
	b.hot.take(viewOf())
	want("cooled", status(b, plainForm), false)

	// It turns hot while the owner is being asked.
	a.l1.pages.Purge()
	a.l1.docs.Purge()
	b.l1.pages.Purge()
	b.l1.docs.Purge()
	b.redis.before = func([]catalog.Key) { a.hot.take(viewOf(7)) }
	want("hot meanwhile", status(a, plainForm), false, false, true)
	b.redis.before = nil

	a.allDown(true)
	b.allDown(true)
	b.l1.pages.Purge()
	b.l1.docs.Purge()
	want("nobody has it", status(a, plainForm), true)
}

// A hot product that cannot be loaded here is asked of its owner, which may have it.
func TestHotFallsBackToTheOwner(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"", ""})
	b.get(t, plainForm)
	a.hot.take(viewOf(7))
	a.allDown(true)
	wantPage(t, a.get(t, plainForm), "5599.0", `; hot; peer; owner=gw-2"`)
	if n := counter(t, a.metrics.forwarded); n != 1 {
		t.Errorf("forwarded %v times, want once", n)
	}
	// 10, PITFALL 16: the owner thinks that this one owns it, and cannot load it either.
	b.l1.pages.Purge()
	b.l1.docs.Purge()
	b.allDown(true)
	b.hot.take(viewOf(7))
	b.peers.ring.Store(ring.New([]ring.Member{{ID: "gw-1", Addr: a.addr}}, 0))
	if code := a.get(t, plainForm).Response.StatusCode(); code != 503 {
		t.Errorf("status %d, want 503", code)
	}
	if x, y := counter(t, a.metrics.forwarded), counter(t, b.metrics.forwarded); x != 2 || y != 0 {
		t.Errorf("forwarded %v and %v times, want 2 and 0", x, y)
	}
}

// 6: a hit on a hot page takes nothing from anybody, and no lookup in the set as long as that stays.
func TestInvariant6HotHitTouchesNothing(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, plainForm)
	g.hot.take(viewOf(7))
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.SetRequestURI(plainForm)
	hit := func() {
		ctx.Response.Reset()
		g.servePublic(ctx)
	}
	hit()
	g.Role.peers = untouchable{t}
	if n := testing.AllocsPerRun(200, hit); n != 0 {
		t.Errorf("%v allocations a hit, want none", n)
	}
	p := g.held(t, plainForm)
	set := *g.hot.set.Load()
	set.keys = nil // a lookup would find nothing
	g.hot.set.Store(&set)
	if !g.hot.shows(p) {
		t.Error("the set is looked up although it is the same")
	}
	for i, hot := range []bool{true, true, false, false, true} {
		v := viewOf(8)
		if hot {
			v = viewOf(7)
		}
		g.hot.take(v)
		if got := strings.Contains(header(g.get(t, plainForm), "Cache-Status"), "hot"); got != hot {
			t.Errorf("step %d: hot is %v, want %v", i, got, hot)
		}
	}
}

// Only what the access log counts can be hot.
func TestOtherRootsAreNeverHot(t *testing.T) {
	cat, err := catalog.New(catalog.DefaultKinds(), []catalog.PageType{{Name: "product", Related: []string{"shop"}}, {Name: "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(_ *Config, d *Deps) { d.Catalog = cat })
	g.hot.take(viewOf(3, 7))
	for range 2 {
		if got := header(g.get(t, "/shop/3"), "Cache-Status"); strings.Contains(got, "hot") {
			t.Errorf("a shop is hot: %s", got)
		}
	}
}

func TestHotOnTheAdminAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		notOwner(g)
		defer g.keeping(t)()
		text := func(v any) string {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		if got := text(g.hot.explain(keyP7)); got != `{"hot":false,"copyByHeat":false}` {
			t.Errorf("explain of a product that is not hot: %s", got)
		}
		if _, ok := g.hot.set.Load().oldest(time.Now()); ok {
			t.Error("there is an age without a list")
		}
		g.hot.take(viewOf(7))
		synctest.Wait()
		time.Sleep(90 * time.Second)
		if got := text(g.explain(t.Context(), keyP7)); !strings.Contains(got, `"hot":{"hot":true,"since":"2000-01-01T00:00:00Z","reason":"rule","count":300,"copyByHeat":true}`) || !strings.Contains(got, `"owner":"gw-9"`) {
			t.Errorf("explain: %s", got)
		}
		if got := text(g.hot.status(time.Now())); got != `{"keys":1,"waiting":0,"lists":[{"partition":0,"holder":"hc-1","keys":1,"age":"1m30s"}]}` {
			t.Errorf("status: %s", got)
		}
		if age, ok := g.hot.set.Load().oldest(time.Now()); !ok || age != 90*time.Second {
			t.Errorf("the age of the oldest list: %v, %v", age, ok)
		}
	})
	if accesslog.Kind != keyP7.Kind {
		t.Error("the products of these tests are not what is counted")
	}
}
