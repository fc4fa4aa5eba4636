package gateway

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
)

func tombstone(token int64) catalog.Document {
	return catalog.Document{Key: keyP7, State: catalog.Tombstone, Stamp: catalog.Stamp{Version: 1, Token: token}}
}

// allDown makes every look elsewhere fail.
func (g *rig) allDown(down bool) {
	g.redis.fail(down)
	g.cache.setDown(down)
}

// The new product can be had, its shop only as a stale copy: the page of the old
// product is not the better one.
func TestNewRootWithStaleShopBeatsTheOldPage(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, "/product/7")
	g.l1.docs.Remove(keyS3)
	delete(g.redis.master, keyS3)
	g.cache.docs[keyS3] = docapi.Reply{Document: shop(11, "Shop three"), Layer: docapi.LayerL1, Stale: true}
	g.redis.set(product(2, 20, "4999"))
	g.change(product(2, 20, "4999"))
	wantPage(t, g.get(t, "/product/7"), "4999", "stale;")
}

// The same with the shop changed and the product to be had as a stale copy only.
func TestNewShopWithStaleRootBeatsTheOldPage(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, "/product/7")
	g.redis.set(shop(21, "Renamed"))
	g.change(shop(21, "Renamed"))
	g.l1.docs.Remove(keyP7)
	delete(g.redis.master, keyP7)
	g.cache.docs[keyP7] = docapi.Reply{Document: product(1, 10, "5599.0"), Layer: docapi.LayerL1, Stale: true}
	if body := string(g.get(t, "/product/7").Response.Body()); !strings.Contains(body, "Renamed") {
		t.Error("the page with the old shop is served although the new one is in hand")
	}
}

// A stale copy of the cache role that is older than a page here changes nothing.
func TestStaleReplyOlderThanThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, short)
		g.redis.set(product(2, 20, "4999"))
		g.get(t, "/product/7")
		g.l1.docs.Purge()
		g.redis.fail(true)
		g.cache.docs[keyP7] = docapi.Reply{Document: product(1, 10, "5599.0"), Layer: docapi.LayerL1, Stale: true}
		if body := string(g.get(t, "/product/7.json").Response.Body()); strings.Contains(body, "5599.0") {
			t.Error("the JSON shows an older product than the HTML")
		}
	})
}

// PITFALL 34: whatever made a page outdated before, a deletion or a purge of its
// document makes it unusable for ever.
func TestDeletedIsNeverServedStale(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps func(t *testing.T, g *rig)
	}{
		{"the tombstone is read before the bus tells of it", func(t *testing.T, g *rig) {
			g.get(t, "/product/7")
			g.redis.set(tombstone(20))
			g.documentsAnew(t)
			g.change(tombstone(20))
		}},
		{"the origin says that it does not exist", func(t *testing.T, g *rig) {
			g.get(t, "/product/7")
			delete(g.redis.master, keyP7)
			g.documentsAnew(t)
		}},
		{"a page of an earlier version, and a deletion", func(t *testing.T, g *rig) {
			g.get(t, "/product/7")
			g.redis.set(product(2, 20, "4999"))
			g.change(product(2, 20, "4999"))
			g.drain(t.Context()) // version 2 is in L1 as a document, the page is still of version 1
			g.change(tombstone(30))
		}},
		{"a page of an earlier version, and a purge", func(t *testing.T, g *rig) {
			g.get(t, "/product/7")
			g.redis.set(product(2, 20, "4999"))
			g.change(product(2, 20, "4999"))
			g.drain(t.Context())
			g.l1.purge(keyP7)
		}},
		{"the newer document was evicted meanwhile", func(t *testing.T, g *rig) {
			g.get(t, "/product/7")
			g.redis.set(product(2, 20, "4999"))
			g.change(product(2, 20, "4999"))
			g.drain(t.Context())
			g.l1.docs.Purge()
			g.change(tombstone(30))
		}},
		{"an old copy is read while the deletion arrives", func(t *testing.T, g *rig) {
			g.change(tombstone(20))
			if _, ok := g.keep(product(1, 10, "5599.0"), verification{at: time.Now()}, catalog.Stamp{}); ok {
				t.Error("a copy below the floor was kept")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newRig(t, short)
				c.steps(t, g)
				g.allDown(true)
				for _, target := range []string{"/product/7", "/product/7.json"} {
					if code := g.get(t, target).Response.StatusCode(); code == 200 {
						t.Errorf("%s: the deleted product is served", target)
					}
				}
				time.Sleep(time.Minute) // past any negative entry
				if code := g.get(t, "/product/7").Response.StatusCode(); code == 200 {
					t.Error("the deleted product is served later on")
				}
				g.allDown(false)
				again := product(3, 40, "10")
				g.redis.set(again)
				g.change(again)
				wantPage(t, g.get(t, "/product/7"), "10", "")
				g.l1.pages.Purge()
				g.l1.docs.Purge()
				g.l1.absents.Purge()
				if n := g.l1.index.size(); n != 0 {
					t.Errorf("%d documents are left in the index after everything was evicted", n)
				}
			})
		})
	}
}

// documentsAnew reads the product although a copy is there.
func (g *rig) documentsAnew(t *testing.T) {
	t.Helper()
	g.l1.docs.Remove(keyP7)
	if f := g.documents(t.Context(), []catalog.Key{keyP7}, new(reach))[0]; f.err != nil {
		t.Fatal(f.err)
	}
}

// 3: the change arrives after the product was read and before the load is over.
// Requests that came after it may share that load, so its page must have it.
func TestInvariant3ChangeLateInALoad(t *testing.T) {
	g := newRig(t, nil)
	var once sync.Once
	g.redis.before = func(keys []catalog.Key) {
		if keys[0] == keyS3 { // the second round trip: the product is in L1 already
			once.Do(func() {
				g.redis.set(product(2, 20, "4999"))
				g.change(product(2, 20, "4999"))
			})
		}
	}
	wantPage(t, g.get(t, "/product/7"), "4999", "stored")
}

// The same with a deletion, and with nothing to be had afterwards.
func TestDeletionLateInALoad(t *testing.T) {
	for _, down := range []bool{false, true} {
		g := newRig(t, nil)
		var once sync.Once
		g.redis.before = func(keys []catalog.Key) {
			if keys[0] == keyS3 {
				once.Do(func() {
					g.redis.set(tombstone(20))
					g.change(tombstone(20))
					g.allDown(down)
				})
			}
		}
		want := 404
		if down {
			want = 503
		}
		if code := g.get(t, "/product/7").Response.StatusCode(); code != want {
			t.Errorf("everything down: %v: %d, want %d", down, code, want)
		}
	}
}

// A product that changes with each read is served in the end, marked.
func TestChangesFasterThanLoads(t *testing.T) {
	g := newRig(t, nil)
	n := int64(1)
	g.redis.before = func(keys []catalog.Key) {
		if keys[0] == keyS3 {
			g.l1.docs.Remove(keyS3) // so that the next round comes here too
			n++
			g.redis.set(product(n, 10*n, "4999"))
			g.change(product(n, 10*n, "4999"))
		}
	}
	delete(g.redis.master, keyS3)
	g.cache.docs[keyS3] = docapi.Reply{Document: shop(11, "Shop three"), Layer: docapi.LayerL1, Stale: true} // never kept
	wantPage(t, g.get(t, "/product/7"), "4999", "stale;")
}

// 3 and PITFALL 5: the product comes to be while the cache role finds that there is none.
func TestInvariant3CreatedDuringALoad(t *testing.T) {
	g := newRig(t, nil)
	delete(g.redis.master, keyP7)
	var once sync.Once
	g.cache.before = func() {
		once.Do(func() { g.change(product(1, 10, "5599.0")) }) // announced; Redis has not got it yet
		if len(g.cache.asked) > 0 {
			g.cache.docs[keyP7] = docapi.Reply{Document: product(1, 10, "5599.0"), Layer: docapi.LayerOrigin}
		}
	}
	wantPage(t, g.get(t, "/product/7"), "5599.0", "")
}

// A replica lags behind a copy that is here already, which the bus has not told
// of: the copy's stamp is as good a minimum as the floor.
func TestReplicaBelowTheCopyHere(t *testing.T) {
	for _, masterToo := range []bool{false, true} {
		g := newRig(t, nil)
		g.redis.set(product(2, 20, "4999"))
		g.get(t, "/product/7")
		g.l1.docs.Purge() // the page still refers to version 2
		g.redis.replica = map[catalog.Key]catalog.Document{keyP7: product(1, 10, "5599.0")}
		if masterToo {
			g.redis.set(product(1, 10, "5599.0"))
			g.cache.set(product(2, 20, "4999"))
		}
		if body := string(g.get(t, "/product/7.json").Response.Body()); !strings.Contains(body, "4999") {
			t.Errorf("master too: %v: %s", masterToo, body)
		}
		if masterToo && g.cache.asked[0].Min != (catalog.Stamp{Version: 2, Token: 20}) {
			t.Errorf("the cache role was asked for %v at least, want the stamp of the copy here", g.cache.asked[0].Min)
		}
	}
}

// Another load brought the newer copy while this one was reading.
func TestNewerCopyArrivesDuringALoad(t *testing.T) {
	g := newRig(t, nil)
	var once sync.Once
	g.redis.before = func(keys []catalog.Key) {
		once.Do(func() { g.keep(product(2, 20, "4999"), verification{at: time.Now(), soft: time.Hour}, catalog.Stamp{}) })
	}
	wantPage(t, g.get(t, "/product/7"), "4999", "stored")
}

// One document that cannot be had does not stop the checks of all other pages;
// a Redis that does not answer does.
func TestOneFailureDoesNotPauseTheChecks(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, "/product/7")
	g.change(product(2, 20, "4999")) // which nobody has
	g.cache.setDown(true)
	wantPage(t, g.get(t, "/product/7"), "5599.0", "fwd=stale;")
	if !g.checks.take(time.Now()) {
		t.Error("the checks rest although Redis answers")
	}
	g.redis.fail(true)
	g.l1.pages.Purge()
	g.get(t, "/product/7")
	if g.checks.take(time.Now()) {
		t.Error("the checks go on although Redis is down")
	}
}
