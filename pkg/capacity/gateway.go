package capacity

import (
	"fmt"
	"math/rand/v2"
	"time"

	"eshop/pkg/lru"
	"eshop/pkg/ring"
)

// Shares of a gateway's memory, and what an entry is charged beside its bytes
// (roles/gateway: l1.go, page.go, entry.go).
const (
	pagesShare    = 70
	docsShare     = 25
	pageBytes     = 512 + 2*64
	documentBytes = 256
	// hardTTL is how long beyond its soft TTL a copy is served.
	hardTTL = 24 * 3600.0
)

// tally counts requests, which are answered by a page in memory (hits), by a page
// made anew of documents in memory (built), or with documents of Redis. reads are
// documents read from Redis for a request, refreshes those read in the background
// for a page past its soft TTL.
type tally struct{ requests, hits, built, reads, refreshes float64 }

func (t *tally) add(o tally, factor float64) {
	t.requests += o.requests * factor
	t.hits += o.hits * factor
	t.built += o.built * factor
	t.reads += o.reads * factor
	t.refreshes += o.refreshes * factor
}

func (t tally) minus(o tally) tally {
	t.add(o, -1)
	return t
}

// gateway is one simulated gateway: its two caches of live copies, and the soft
// TTL of each document it has seen. Products are numbered: the hot ones first,
// then those that it owns.
type gateway struct {
	fleet   Fleet
	random  *rand.Rand
	ids     []int64
	hot     int32
	shop    []int32
	soft    []float64 // by product: seconds from the start
	softOf  []float64 // by shop
	pages   *lru.Cache[int32, struct{}]
	docs    *lru.Cache[int32, struct{}] // a shop s is -1-s
	now     float64
	warming bool

	onHot, onOwned tally
	reads          []uint32 // from Redis by product, for whatever reason
	shopReads      []uint32
}

// newGateway returns a gateway with empty caches. With a thinning above 1 only
// one of so many products is simulated, chosen by a hash, in as much smaller
// caches: a miniature (Waldspurger et al.: "Efficient MRC construction with
// SHARDS", FAST 2015; "Cache modeling and optimization using miniature
// simulations", ATC 2017). It is a power of two.
func newGateway(f Fleet, part uint64, thinning int, hot, owned []int64) (*gateway, error) {
	g := &gateway{fleet: f, random: f.random(part), ids: append(append([]int64(nil), hot...), owned...), hot: int32(len(hot))}
	g.shop, g.soft, g.reads = make([]int32, len(g.ids)), make([]float64, len(g.ids)), make([]uint32, len(g.ids))
	for i, id := range g.ids {
		g.shop[i] = f.shop(id)
	}
	shops := max(1, f.Products/f.ProductsPerShop)
	g.softOf, g.shopReads = make([]float64, shops), make([]uint32, shops)
	bytes := f.L1Bytes / int64(thinning)
	var err error
	if g.pages, err = lru.New(lru.Config[int32, struct{}]{Bytes: bytes / 100 * pagesShare, Hash: g.hash}); err == nil {
		g.docs, err = lru.New(lru.Config[int32, struct{}]{Bytes: bytes / 100 * docsShare, Hash: g.hash})
	}
	if err != nil {
		return nil, fmt.Errorf("simulate a gateway: %w", err)
	}
	return g, nil
}

func (g *gateway) hash(i int32) uint64 {
	if i < 0 {
		return ring.Hash("shop", int64(-i))
	}
	return place(g.ids[i])
}

// traffic is what a gateway is asked for: requests a second, and for which
// products.
type traffic struct {
	table alias
	rate  float64
}

// traffic is that of the hot products, of which a gateway gets its part, and of
// the first of those that it owns, of which it gets all.
func (g *gateway) traffic(z *Zipf, gateways, owned int) traffic {
	rates, t := make([]float64, int(g.hot)+owned), traffic{}
	for i := range rates {
		if rates[i] = z.Share(float64(g.ids[i])) * g.fleet.Rate; i < int(g.hot) {
			rates[i] /= float64(gateways)
		}
		t.rate += rates[i]
	}
	t.table = newAlias(rates)
	return t
}

// run plays requests in equal distances until a time.
func (g *gateway) run(t traffic, until float64) {
	for step := 1 / t.rate; g.now < until; g.now += step {
		g.request(t.table.draw(g.random))
	}
}

// request is what a gateway does for a page that is not another one's: hit, stale
// hit with a refresh in the background, or a load.
func (g *gateway) request(i int32) {
	t := &g.onOwned
	if i < g.hot {
		t = &g.onHot
	}
	t.requests++
	if _, held := g.pages.Get(i); held {
		switch soft := min(g.soft[i], g.softOf[g.shop[i]]); {
		case g.now <= soft:
			t.hits++
			return
		case g.now <= soft+hardTTL:
			t.hits++
			t.refreshes += g.documents(i) // the load finds the page unchanged and renews it
			return
		}
	}
	n := g.documents(i)
	if n == 0 {
		t.built++
	}
	t.reads += n
	g.pages.Put(i, struct{}{}, g.fleet.Page+pageBytes, time.Time{})
}

// documents brings the product and its shop into memory and returns how many of
// them had to be read.
func (g *gateway) documents(i int32) (reads float64) {
	if g.document(i, &g.soft[i]) {
		g.reads[i]++
		reads++
	}
	if s := g.shop[i]; g.document(-1-s, &g.softOf[s]) {
		g.shopReads[s]++
		reads++
	}
	return reads
}

func (g *gateway) document(key int32, soft *float64) (read bool) {
	if _, held := g.docs.Get(key); held && g.now <= *soft {
		return false
	}
	low, high := g.fleet.SoftTTLMin.Seconds(), g.fleet.SoftTTLMax.Seconds()
	ttl := low + g.random.Float64()*(high-low)
	if g.warming { // as if it had been read some time before
		ttl *= g.random.Float64()
	}
	*soft = g.now + ttl
	g.docs.Put(key, struct{}{}, g.fleet.Document+documentBytes, time.Time{})
	return true
}

// settle plays the time before a measurement and forgets what it counted.
func (g *gateway) settle(t traffic, until float64) {
	g.warming = true
	g.run(t, until)
	g.warming, g.onHot, g.onOwned = false, tally{}, tally{}
	clear(g.reads)
	clear(g.shopReads)
}
