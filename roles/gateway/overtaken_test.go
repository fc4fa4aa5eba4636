package gateway

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
)

// 3: the same, and the product changes, or is deleted, before the load is over: nobody tells a copy that
// L1 does not know, so the floor has to.
func TestInvariant3ChangeOfACopyGivenUp(t *testing.T) {
	for _, next := range []catalog.Document{product(2, 20, "4999"), tombstone(20)} {
		g := newRig(t, nil)
		var once sync.Once
		g.redis.before = func(keys []catalog.Key) {
			if keys[0] == keyS3 {
				once.Do(func() {
					g.l1.docs.Remove(keyP7)
					g.redis.set(next)
					g.change(next)
				})
			}
		}
		ctx := g.get(t, plainForm)
		if next.State == catalog.Tombstone {
			if code := ctx.Response.StatusCode(); code != 404 {
				t.Errorf("a deleted product: %d", code)
			}
			continue
		}
		wantPage(t, ctx, "4999", "")
	}
}

// 3: who joins a load that has looked for changes for the last time, but has not ended, gets no copy
// from before a change, or a deletion, that he may know of.
func TestInvariant3JoinAtTheEnd(t *testing.T) {
	for _, next := range []catalog.Document{product(2, 20, "4999"), tombstone(20)} {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, nil)
			g.get(t, plainForm)
			p := g.held(t, plainForm)
			old := &answer{page: p, deps: p.deps, sure: p.deps, stored: true}
			g.l1.pages.Purge()
			end := make(chan struct{})
			go g.loads.Do(t.Context(), p.key, func(context.Context) (*answer, error) { <-end; return old, nil })
			synctest.Wait()
			asked := make(chan *fasthttp.RequestCtx)
			go func() { asked <- g.get(t, plainForm) }()
			synctest.Wait()
			g.redis.set(next)
			g.change(next)
			close(end)
			ctx := <-asked
			if next.State == catalog.Tombstone {
				if code := ctx.Response.StatusCode(); code != 404 {
					t.Errorf("a deleted product: %d", code)
				}
				return
			}
			wantPage(t, ctx, "4999", "")
		})
	}
}
