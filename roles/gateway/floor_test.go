package gateway

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/docapi"
	"eshop/pkg/invalidation"
)

// 3: a lagging replica is passed over for its master.
func TestInvariant3ReplicaBelowTheFloor(t *testing.T) {
	g := newRig(t, nil)
	g.redis.replica = map[catalog.Key]catalog.Document{keyP7: product(1, 10, "5599.0")}
	g.redis.set(product(2, 20, "4999"))
	g.change(product(2, 20, "4999"))
	wantPage(t, g.get(t, "/product/7"), "4999", "eshop-redis; hit")
	if g.cache.count() != 0 {
		t.Error("replica lag went to the cache role")
	}
}

// 3: a master that lost a write is repaired by the cache role's pull.
func TestInvariant3MasterBelowTheFloor(t *testing.T) {
	g := newRig(t, nil)
	g.cache.set(product(2, 20, "4999"))
	g.change(product(2, 20, "4999")) // Redis still has version 1: a failover lost the write
	wantPage(t, g.get(t, "/product/7"), "4999", "eshop-cache; fwd=miss")
	if n := len(g.cache.asked); n != 1 || g.cache.asked[0].Min != (catalog.Stamp{Version: 2, Token: 20}) {
		t.Errorf("the cache role was asked %+v, want once, with the floor as minimum", g.cache.asked)
	}
	if got := g.metrics.repairs.Count(invalidation.ByRead); got != 1 {
		t.Errorf("eshop_redis_repairs_total{cause=\"floor\"} = %v, want 1", got)
	}
}

// 3: a stale copy of the cache role that is below the floor is not shown.
func TestStaleReplyBelowTheFloor(t *testing.T) {
	g := newRig(t, nil)
	g.redis.fail(true)
	g.cache.docs[keyP7] = docapi.Reply{Document: product(1, 10, "5599.0"), Layer: docapi.LayerL1, Stale: true}
	g.cache.docs[keyS3] = docapi.Reply{Document: shop(11, "Shop three"), Layer: docapi.LayerL1, Stale: true}
	wantPage(t, g.get(t, "/product/7"), "5599.0", "stale;") // the best there is
	if g.l1.pages.Len()+g.l1.docs.Len() != 0 {
		t.Error("a copy that could not be checked is kept")
	}
	g.floor.Raise(keyP7, catalog.Stamp{Version: 2, Token: 20})
	if code := g.get(t, "/product/7").Response.StatusCode(); code != 503 {
		t.Errorf("status %d, want 503: the only copy is below the floor", code)
	}
}

// PITFALL 5: the change arrives while a load that missed it is under way: raised floor and
// killed copies before the copy is put in L1.
func TestInvariant3ChangeDuringLoad(t *testing.T) {
	g := newRig(t, nil)
	var once sync.Once
	g.redis.before = func([]catalog.Key) {
		once.Do(func() {
			// Redis has answered with version 1 in thought; the new one is only in the cache role's hands.
			g.change(product(2, 20, "4999"))
			g.cache.set(product(2, 20, "4999"))
		})
	}
	wantPage(t, g.get(t, "/product/7"), "4999", "")
	wantPage(t, g.get(t, "/product/7"), "4999", "eshop; hit")
}

// The same, the change falling between the check of the floor and the admission:
// keep looks at the floor again after the copy can be found.
func TestChangeBetweenCheckAndKeep(t *testing.T) {
	g := newRig(t, nil)
	v := verification{at: time.Now()}
	g.floor.Raise(keyP7, catalog.Stamp{Version: 2, Token: 20})
	if _, ok := g.keep(product(1, 10, "5599.0"), v, catalog.Stamp{}); ok {
		t.Error("a copy below the floor was kept")
	}
	if f := g.l1.index.find(keyP7); f != nil && f.state.Load() == live {
		t.Error("a copy below the floor is live in L1")
	}
}

// 1: two loads that finish in the wrong order.
func TestInvariant1OlderLoadFinishesLast(t *testing.T) {
	g := newRig(t, nil)
	v := verification{at: time.Now()}
	if _, ok := g.keep(product(2, 20, "4999"), v, catalog.Stamp{}); !ok {
		t.Fatal("a first copy was refused")
	}
	if _, ok := g.keep(product(1, 10, "5599.0"), v, catalog.Stamp{}); ok {
		t.Error("an older copy replaced a newer one")
	}
	if e := g.l1.get(keyP7); e.doc.Stamp.Version != 2 || e.flag.state.Load() != live {
		t.Error("the newer copy is not in use any more")
	}
}

// Old values of the replaced system: equal stamps, different bytes.
func TestPlainStringsWithoutToken(t *testing.T) {
	g := newRig(t, nil)
	v := verification{at: time.Now()}
	first, _ := g.keep(product(5, 0, "1"), v, catalog.Stamp{})
	second, ok := g.keep(product(5, 0, "2"), v, catalog.Stamp{})
	if !ok || first.flag == second.flag || first.flag.state.Load() == live {
		t.Error("a different body with an equal stamp was taken for the same copy")
	}
	if third, _ := g.keep(product(5, 0, "2"), v, catalog.Stamp{}); third.flag != second.flag {
		t.Error("the same copy read again did not renew the one held")
	}
}

// 8, PITFALL 7 and 11: messages that were lost, whatever the reason, are made up
// for: an offset gap makes every entry unverified; unchanged ones are renewed by
// one read of the masters, changed ones are replaced.
func TestInvariant8GapRevalidates(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, "/product/7")
	g.redis.set(product(2, 20, "4999")) // the announcement is what was lost
	bus{g.Role}.Unverified("offsets 3 to 9 are lost")
	wantPage(t, g.get(t, "/product/7"), "4999", "eshop-redis; hit, eshop; fwd=stale; stored; ttl=")
	if g.redis.masters == 0 {
		t.Error("the check read replicas, which may lag")
	}
	calls := g.redis.count()
	wantPage(t, g.get(t, "/product/7"), "4999", "eshop; hit")
	if g.redis.count() != calls {
		t.Error("a copy that was verified after the gap is checked again")
	}
}

// 8: the bus is silent. Copies verified within MaxStaleness are served, older
// ones checked first; with Redis gone too they are served and marked.
func TestInvariant8SilentBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.get(t, "/product/7")
		g.trusted.Store(0)
		calls := g.redis.count()
		wantPage(t, g.get(t, "/product/7"), "5599.0", "eshop; hit; ttl")
		if g.redis.count() != calls {
			t.Error("a copy verified just now was checked")
		}
		time.Sleep(31 * time.Second)
		g.redis.set(product(2, 20, "4999"))
		wantPage(t, g.get(t, "/product/7"), "4999", "eshop-redis; hit")
		time.Sleep(31 * time.Second)
		g.redis.fail(true)
		g.cache.setDown(true)
		wantPage(t, g.get(t, "/product/7"), "4999", `detail="stale;`)
		calls = g.redis.count()
		wantPage(t, g.get(t, "/product/7"), "4999", `detail="stale;`)
		if g.redis.count() != calls {
			t.Error("requests queue up behind a Redis that has just failed")
		}
		time.Sleep(2 * time.Second)
		g.redis.fail(false)
		wantPage(t, g.get(t, "/product/7"), "4999", "eshop; ")
		if got := header(g.get(t, "/product/7"), "Cache-Status"); strings.Contains(got, "stale") {
			t.Errorf("Redis is back, the page is still marked: %s", got)
		}
	})
}

// 8: a process that was stopped goes by what it knew before. Nothing has told it
// yet that the bus went on without it, and its pages are checked all the same.
func TestInvariant8StoppedGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.trusted.Store(coherence.Until(time.Now(), g.cfg.MaxStaleness))
		g.get(t, "/product/7")
		g.redis.set(product(2, 20, "4999"))
		time.Sleep(29 * time.Second)
		wantPage(t, g.get(t, "/product/7"), "5599.0", "eshop; hit; ttl")
		time.Sleep(2 * time.Second) // and no tick of the watermark
		wantPage(t, g.get(t, "/product/7"), "4999", "eshop-redis; hit")
	})
}

// 8: neither the gateway nor the cache role hears of changes, and Redis is away.
// What the cache role has in memory may have been verified MaxStaleness ago; it
// must not be served for as long again.
func TestInvariant8SecondHand(t *testing.T) {
	for _, behind := range []bool{false, true} {
		g := newRig(t, nil)
		g.redis.fail(true)
		g.cache.mu.Lock()
		for key, reply := range g.cache.docs {
			reply.Layer = docapi.LayerL1
			g.cache.docs[key] = reply
		}
		g.cache.docs[keyP7] = docapi.Reply{Document: product(1, 10, "5599.0"), Layer: docapi.LayerL1}
		g.cache.mu.Unlock()
		if behind {
			g.trusted.Store(0)
		}
		got := header(g.get(t, "/product/7"), "Cache-Status")
		if strings.Contains(got, "stale;") != behind || strings.Contains(got, "stored") == behind {
			t.Errorf("behind %v: the page says %s", behind, got)
		}
	}
}

func TestInvariant9RevalidationsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(10)
		n := 0
		for range 100 {
			if b.take(time.Now()) {
				n++
			}
		}
		if n != 10 {
			t.Errorf("%d of 100 at once, want 10", n)
		}
		time.Sleep(500 * time.Millisecond)
		for n = 0; b.take(time.Now()); n++ {
		}
		if n != 5 {
			t.Errorf("%d after half a second, want 5", n)
		}
		b.pause(time.Now(), time.Second)
		time.Sleep(900 * time.Millisecond)
		if b.take(time.Now()) {
			t.Error("one was allowed during the pause")
		}
	})
}

// An old document that is read is mentioned to the cache role, once per load.
func TestOldDocumentIsMentioned(t *testing.T) {
	g := newRig(t, nil)
	old := product(1, 10, "5599.0")
	old.Pulled = time.Now().Add(-2 * time.Hour)
	g.redis.set(old)
	g.get(t, "/product/7")
	g.get(t, "/product/7")
	g.drain(t.Context())
	if g.cache.count() != 1 || g.cache.asked[0].Key != keyP7 {
		t.Errorf("the cache role heard %+v, want one mention of %v", g.cache.asked, keyP7)
	}
}

// Documents that a prewarm pulled together are not mentioned together: the age is
// spread by a quarter either way, and always the same for a key.
func TestRefreshAge(t *testing.T) {
	low, high := time.Hour, time.Hour
	for id := range int64(2000) {
		d := refreshAge(time.Hour, catalog.Key{Kind: "product", ID: id})
		if low, high = min(low, d), max(high, d); d != refreshAge(time.Hour, catalog.Key{Kind: "product", ID: id}) {
			t.Fatal("two ages for one key")
		}
	}
	if low < 45*time.Minute || low > 46*time.Minute || high > 75*time.Minute || high < 74*time.Minute {
		t.Errorf("ages from %v to %v, want 45 to 75 minutes", low, high)
	}
}

// 9: the queue of background work drops and counts.
func TestInvariant9RefreshQueueIsBounded(t *testing.T) {
	g := newRig(t, func(c *Config, _ *Deps) { c.RefreshQueue = 2 })
	for range 5 {
		k := keyP7
		g.refresh.offer(job{doc: &k})
	}
	if got := counter(t, g.metrics.refreshDropped); got != 3 {
		t.Errorf("%v dropped, want 3", got)
	}
}
