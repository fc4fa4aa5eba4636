package gateway

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/hotlist"
	"eshop/pkg/lru"
	"eshop/pkg/ring"
)

// shopModel is what has been announced, by product: the version, 0 while it is deleted.
type shopModel struct {
	mu       sync.Mutex
	versions map[int64]int64
	token    int64
}

// current returns the version that an answer given from now on must have at least, and whether there
// is none at all.
func (m *shopModel) current(id int64) (version int64, deleted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.versions[id]
	return v, v <= 0
}

const hotProducts = 5

func productOf(id, version, token int64) catalog.Document {
	return catalog.Document{Key: catalog.Key{Kind: "product", ID: id}, State: catalog.Live, Stamp: catalog.Stamp{Version: version, Token: token},
		Body: fmt.Appendf(nil, `{"id":%d,"price":%d,"shopId":%d}`, id, version, 1+id%2)}
}

func shopOf(id, token int64) catalog.Document {
	return catalog.Document{Key: catalog.Key{Kind: "shop", ID: id}, State: catalog.Live, Stamp: catalog.Stamp{Token: token},
		Body: fmt.Appendf(nil, `{"id":%d,"name":"shop at %d"}`, id, token)}
}

// announce writes a document to Redis, at some moment before or after the bus tells of it, as a
// failover that lost the write would have it, and to the cache role before.
func (m *shopModel) announce(g *rig, d catalog.Document, r *rand.Rand) {
	g.cache.set(d)
	if r.IntN(2) == 0 {
		g.redis.set(d)
	}
	g.change(d)
}

// Any order of heating, cooling, changes, deletions, requests and slow answers: nothing below what was
// announced when a request began is served without a mark, no deleted product is at all; and when all is quiet, what is hot
// is here in its newest version in both forms, and of what is cold and another gateway's nothing is left.
func TestHotAgainstAModel(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { hotInterleaving(t, seed) })
		if t.Failed() {
			t.Fatalf("with the seed %d", seed)
		}
	}
}

func hotInterleaving(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	outages := seed%3 == 0
	var mu sync.Mutex // of r in the fakes
	pause := func() {
		mu.Lock()
		d := time.Duration(r.IntN(4)) * 30 * time.Millisecond
		mu.Unlock()
		<-time.After(d)
	}
	g := newRig(t, func(c *Config, _ *Deps) {
		c.SoftTTLMin, c.SoftTTLMax, c.NegativeTTL = time.Minute, time.Minute, time.Second
	})
	g.peers.ring.Store(ring.New([]ring.Member{{ID: "gw-1", Addr: "x:1"}, {ID: "gw-9"}}, 0))
	m := &shopModel{versions: map[int64]int64{}}
	for id := int64(1); id <= hotProducts; id++ {
		m.token++
		m.versions[id] = 1
		g.redis.set(productOf(id, 1, m.token))
		g.cache.set(productOf(id, 1, m.token))
	}
	for id := int64(1); id <= 2; id++ {
		m.token++
		g.redis.set(shopOf(id, m.token))
		g.cache.set(shopOf(id, m.token))
	}
	g.redis.before = func([]catalog.Key) { pause() }
	defer g.keeping(t)()
	ctx, end := t.Context(), sync.WaitGroup{}
	stop := make(chan struct{})
	for range 2 { // ordinary background work
		end.Go(func() {
			for {
				select {
				case j := <-g.refresh.queue:
					g.refresh.do(ctx, j)
				case <-stop:
					return
				}
			}
		})
	}
	hot := map[int64]bool{}
	view := func() *hotlist.View {
		var ids []int64
		for id := range hot {
			ids = append(ids, id)
		}
		return viewOf(ids...)
	}
	// A request for what is neither hot nor this gateway's goes to the owner.
	local := func(id int64) bool { return hot[id] || !g.hot.foreign(id) }
	forms := func(id int64) []string {
		return []string{fmt.Sprintf("/product/%d", id), fmt.Sprintf("/product?productId=%d&shopId=%d", id, 1+id%2),
			fmt.Sprintf("/product/%d?shopId=%d", id, 2-id%2), fmt.Sprintf("/product/%d.json", id)}
	}
	var requests sync.WaitGroup
	ask := func(id int64, target string) {
		low, deleted := m.current(id)
		requests.Go(func() {
			a := g.get(t, target)
			if a.Response.StatusCode() != 200 {
				return
			}
			got, _ := strconv.ParseInt(price(a), 10, 64)
			if strings.HasSuffix(target, ".json") {
				_, rest, _ := strings.Cut(string(a.Response.Body()), `"price":`)
				text, _, _ := strings.Cut(rest, ",")
				got, _ = strconv.ParseInt(text, 10, 64)
			}
			// It may have been created since the request began, with a higher version.
			older := got < low && !strings.Contains(header(a, "Cache-Status"), "stale;")
			if deleted && got <= -low || older {
				t.Errorf("seed %d: %s shows version %d (%s); announced before: %d, deleted: %v", seed, target, got, header(a, "Cache-Status"), low, deleted)
			}
		})
	}
	for range 150 {
		mu.Lock()
		op, id := r.IntN(10), 1+r.Int64N(hotProducts)
		form, wait := r.IntN(4), time.Duration(r.IntN(5))*20*time.Millisecond
		mu.Unlock()
		switch {
		case op < 2: // heats or cools
			if hot[id] {
				delete(hot, id)
			} else {
				hot[id] = true
			}
			g.hot.take(view())
		case op == 2: // changes, or is created
			m.mu.Lock()
			m.token++
			v := max(m.versions[id], -m.versions[id]) + 1
			mu.Lock()
			m.announce(g, productOf(id, v, m.token), r)
			mu.Unlock()
			m.versions[id] = v
			m.mu.Unlock()
		case op == 3: // is deleted
			m.mu.Lock()
			m.token++
			v := max(m.versions[id], -m.versions[id])
			mu.Lock()
			m.announce(g, catalog.Document{Key: catalog.Key{Kind: "product", ID: id}, State: catalog.Tombstone, Stamp: catalog.Stamp{Version: v, Token: m.token}}, r)
			mu.Unlock()
			m.versions[id] = -v
			m.mu.Unlock()
		case op == 4: // a shop changes
			m.mu.Lock()
			m.token++
			mu.Lock()
			m.announce(g, shopOf(1+id%2, m.token), r)
			mu.Unlock()
			m.mu.Unlock()
		case op == 5:
			time.Sleep(wait)
		case op == 6 && form == 0 && outages: // the cache role is away for a while
			g.cache.setDown(true)
			time.AfterFunc(time.Second, func() { g.cache.setDown(false) })
		default:
			if local(id) {
				ask(id, forms(id)[form])
			}
		}
	}
	requests.Wait()
	time.Sleep(20 * time.Second) // retries and second drops are over
	close(stop)
	end.Wait()
	synctest.Wait()
	for id := int64(1); id <= hotProducts; id++ {
		v, deleted := m.current(id)
		switch {
		case hot[id] && !deleted:
			for _, target := range forms(id)[:2] {
				calls := g.redis.count()
				if a := g.get(t, target); price(a) != fmt.Sprint(v) || !strings.Contains(header(a, "Cache-Status"), "eshop; hit;") || g.redis.count() != calls {
					t.Errorf("seed %d: hot %s: %d, version %s (%s), want a hit with version %d", seed, target, a.Response.StatusCode(), price(a), header(a, "Cache-Status"), v)
				}
			}
		case hot[id]:
			if a := g.get(t, forms(id)[0]); a.Response.StatusCode() != 404 {
				t.Errorf("seed %d: the deleted product %d: %d", seed, id, a.Response.StatusCode())
			}
		case g.hot.foreign(id):
			if _, ok := g.l1.docs.Get(catalog.Key{Kind: "product", ID: id}); ok {
				t.Errorf("seed %d: the document of the cold product %d is still here", seed, id)
			}
			g.l1.pages.Range(func(k pageKey, p *page) bool {
				if k.id == id && g.look(p, time.Now().UnixNano()) != expired {
					t.Errorf("seed %d: a page of the cold product %d is still here: %+v", seed, id, k)
				}
				return true
			})
		}
	}
}

// The list of a root's pages is what L1 has of them, whatever comes and goes.
func TestPagesOfARoot(t *testing.T) {
	evicted := uint64(0)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		g := newRig(t, func(c *Config, _ *Deps) { c.L1Bytes = 1 << 20 })
		for id := int64(1); id <= 5; id++ {
			g.cache.set(productOf(id, 1, 1))
		}
		for id := int64(1); id <= 200; id++ {
			g.cache.docs[catalog.Key{Kind: "shop", ID: id}] = docapi.Reply{Document: shopOf(id, 1), Layer: docapi.LayerOrigin}
		}
		for step := range 600 {
			id := 1 + r.Int64N(5)
			switch r.IntN(20) {
			case 0:
				g.l1.purge(catalog.Key{Kind: "product", ID: id})
			case 1:
				d := productOf(id, int64(step+2), int64(step+2))
				g.cache.set(d)
				g.change(d)
			case 2:
				g.l1.pages.Purge()
			default:
				g.get(t, fmt.Sprintf("/product/%d?shopId=%d", id, 1+r.IntN(200)))
			}
		}
		evicted += g.l1.pages.Evictions(lru.Capacity)
		for id := int64(1); id <= 5; id++ {
			root := catalog.Key{Kind: "product", ID: id}
			var want []pageKey
			g.l1.pages.Range(func(k pageKey, p *page) bool {
				// A purge ends a lineage; the pages that are left of it are never served.
				if k.id == id && !p.deps[0].of.buried.Load() {
					want = append(want, k)
				}
				return true
			})
			var got []pageKey
			for _, p := range g.l1.index.pages(root, 0) {
				got = append(got, p.key)
			}
			less := func(a, b pageKey) int { return int(a.rel[0] - b.rel[0]) }
			slices.SortFunc(want, less)
			slices.SortFunc(got, less)
			if !slices.Equal(got, want) {
				t.Errorf("seed %d, product %d: %d pages are listed, L1 has %d", seed, id, len(got), len(want))
			}
			if few := g.l1.index.pages(root, 3); len(few) > 3 {
				t.Errorf("%d pages, at most 3 were asked for", len(few))
			}
		}
	}
	if evicted == 0 {
		t.Error("no page had to leave for want of room")
	}
}
