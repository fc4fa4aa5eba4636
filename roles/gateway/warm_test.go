package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/hotlist"
	"eshop/pkg/ring"
)

// stock fills Redis with n products of two shops and returns their ids.
func stock(g *rig, n int64) []int64 {
	var ids []int64
	for id := int64(1); id <= n; id++ {
		g.redis.set(productOf(id, 1, id))
		ids = append(ids, id)
	}
	g.redis.set(shopOf(1, 1))
	g.redis.set(shopOf(2, 2))
	return ids
}

// Documents are read in batches, and every page is there in both forms.
func TestWarmPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *Config, _ *Deps) { c.L1Bytes = 16 << 20 })
		ids := stock(g, 300)
		notOwner(g)
		if err := g.warm.ready(t.Context()); err == nil || !strings.Contains(err.Error(), "ZooKeeper") {
			t.Errorf("before it is known what is wanted: %v", err)
		}
		if err := g.warmPages(t.Context(), append(ids, 9999)); err != nil { // one that does not exist
			t.Fatal(err)
		}
		if err := g.warm.ready(t.Context()); err == nil || err.Error() != "301 of 301 pages" {
			t.Errorf("the reason shows %v", err)
		}
		if n := g.redis.count(); n > 3*2 {
			t.Errorf("Redis was asked %d times for 301 products, want two for each batch of %d at most", n, warmBatch)
		}
		calls := g.redis.count()
		for _, id := range ids {
			for _, target := range []string{fmt.Sprintf("/product/%d", id), fmt.Sprintf("/product?productId=%d&shopId=%d", id, 1+id%2)} {
				wantPage(t, g.get(t, target), "1", "eshop; hit; ttl=")
			}
		}
		if g.redis.count() != calls || g.warm.failed.Load() != 0 {
			t.Errorf("Redis was asked for a warm page, or %d failed", g.warm.failed.Load())
		}
	})
}

// The order is that of the ranking and half of the budget stays free: nothing that was warmed first
// has to leave for what comes last.
func TestWarmLeavesHalfOfTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *Config, _ *Deps) { c.L1Bytes = 4 << 20 })
		ids := stock(g, 5000)
		if err := g.warmPages(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		made := g.warm.pages.Load()
		if made == 0 || made > 4000 || g.warm.of.Load() != made {
			t.Errorf("%d of %d pages were made, want some and not all", made, g.warm.of.Load())
		}
		if used, budget := g.l1.pages.Bytes(), int64(4<<20)/100*70; used < budget/2 || used > budget*11/20 {
			t.Errorf("%d of %d bytes are used", used, budget)
		}
		for _, id := range ids[:100] {
			wantPage(t, g.get(t, fmt.Sprintf("/product/%d", id)), "1", "eshop; hit")
		}
	})
}

// Neither a Redis that does not answer nor a cache role that has nothing keeps a gateway away for long.
func TestWarmIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *Config, _ *Deps) { c.L1Bytes = 64 << 20 })
		ids := stock(g, 1000)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		g.redis.before = func([]catalog.Key) { // as a client does whose calls end with their context
			select {
			case <-ctx.Done():
			case <-time.After(3 * time.Second):
			}
		}
		if err := g.warmPages(ctx, ids); err == nil {
			t.Error("it says that all is warm")
		}
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("it took %v, the bound is 10 s", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		ids := stock(g, 10)
		start := time.Now()
		g.allDown(true)
		if err := g.warmPages(t.Context(), ids); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 2*time.Second || g.warm.failed.Load() != 10 {
			t.Errorf("it took %v to find that nothing can be had, %d failed", took, g.warm.failed.Load())
		}
	})
}

// A document that cannot be had at once is tried again; one that never can holds up nobody.
func TestWarmTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		ids := stock(g, 20)
		delete(g.redis.master, catalog.Key{Kind: "product", ID: 5})
		g.cache.fail[catalog.Key{Kind: "product", ID: 5}] = true
		g.redis.fail(true)
		g.cache.setDown(true)
		time.AfterFunc(warmPause/2, func() {
			g.redis.fail(false)
			g.cache.setDown(false)
		})
		if err := g.warmPages(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		if n := g.warm.failed.Load(); n != 1 {
			t.Errorf("%d products failed, want the one that cannot be had", n)
		}
		wantPage(t, g.get(t, "/product/6"), "1", "eshop; hit")
	})
}

// What a gateway will own when it has joined, and what is hot; in the order of the ranking.
func TestWanted(t *testing.T) {
	g := newRig(t, nil)
	after := ring.New([]ring.Member{{ID: "gw-1"}, {ID: "gw-2"}, {ID: "gw-3"}}, 0)
	view := viewOf(2, 4)
	var ranking []int64
	for id := range int64(3000) {
		ranking = append(ranking, id+1)
	}
	got := g.wanted(ranking, view, after)
	if !slices.IsSorted(got) || len(got) < 700 || len(got) > 1300 {
		t.Errorf("%d of %d products, want about a third, in order", len(got), len(ranking))
	}
	for _, id := range got {
		if m, _ := after.Owner(ring.Hash("product", id)); m.ID != "gw-1" && id != 2 && id != 4 {
			t.Errorf("%d belongs to %s", id, m.ID)
		}
	}
	if !slices.Contains(got, 2) || !slices.Contains(got, 4) {
		t.Error("what is hot is left out")
	}
	if got := g.wanted(hotlist.Ranking(nil, &hotlist.View{}, maxWarm), &hotlist.View{}, after); len(got) != 0 {
		t.Errorf("an empty ranking: %v", got)
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1200: "1,200", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
}
