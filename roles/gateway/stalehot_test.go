package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/lab"
)

// A hot product with more forms than are made anew at a change: each stale one
// is refreshed by its own requests all the same, as if it were not hot.
func TestStaleFormsOfAHotProduct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		defer g.keeping(t)()
		for i := range int64(maxForms + 6) {
			id := 100 + i
			g.redis.set(catalog.Document{Key: catalog.Key{Kind: "shop", ID: id}, State: catalog.Live, Stamp: catalog.Stamp{Token: 12}, Pulled: time.Now(),
				Body: fmt.Appendf(nil, `{"id":%d,"name":"Shop %d"}`, id, id)})
			g.get(t, fmt.Sprintf("/product/7?shopId=%d", id))
		}
		g.hot.take(viewOf(7))
		synctest.Wait()
		time.Sleep(25 * time.Minute) // past every soft TTL
		for range 3 {
			g.get(t, "/product/7?shopId=100")
			g.drain(t.Context())
			time.Sleep(time.Minute)
		}
		if got := header(g.get(t, "/product/7?shopId=100"), "Cache-Status"); strings.Contains(got, "stale") {
			t.Errorf("after three requests still stale: %s", got)
		}
	})
}

// A gateway at which a hot page is slow to be had asks the owner meanwhile.
func TestHotPageOfASlowCacheRole(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"", ""})
	b.get(t, plainForm)
	a.redis.fail(true)
	a.cache.setDown(true)
	a.cache.delay = 4 * time.Second
	a.cfg.PeerTimeout = 100 * time.Millisecond
	a.hot.take(viewOf(7))
	start := time.Now()
	ctx := a.get(t, plainForm)
	if code := ctx.Response.StatusCode(); code != 200 || !strings.Contains(header(ctx, "Cache-Status"), "peer") {
		t.Errorf("%d %s, want the owner's page", code, header(ctx, "Cache-Status"))
	}
	if took := time.Since(start); took >= a.cache.delay {
		t.Errorf("it took %v, as long as the cache role", took)
	}
	lab.Until(t, 10*time.Second, func(context.Context) error { // the load goes on without its caller
		if n := a.loads.Loads(); n > 0 {
			return fmt.Errorf("%d loads are under way", n)
		}
		return nil
	})
}
