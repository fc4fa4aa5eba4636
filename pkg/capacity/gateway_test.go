package capacity

import (
	"math"
	"testing"
	"time"

	"eshop/pkg/lru"
)

// TestRequests follows one product through a gateway's levels.
func TestRequests(t *testing.T) {
	f := Fleet{Products: 1000, SoftTTLMin: time.Minute, SoftTTLMax: time.Minute}.complete()
	g, err := newGateway(f, 1, 1, []int64{1}, []int64{2, 3})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(name string, at float64, i int32, want tally) {
		t.Helper()
		g.now = at
		hot, owned := g.onHot, g.onOwned
		g.request(i)
		got := g.onOwned.minus(owned)
		if i < g.hot {
			got = g.onHot.minus(hot)
		}
		want.requests = 1
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	ask("the first request reads product and shop", 0, 1, tally{reads: 2})
	ask("the second finds the page", 30, 1, tally{hits: 1})
	ask("another product of the shop needs its document only", 30, 2, tally{reads: 1})
	ask("a hot product counts apart", 30, 0, tally{reads: 1})
	ask("past its soft TTL the page is served and both documents are read", 61, 1, tally{hits: 1, refreshes: 2})
	ask("which renews the page", 62, 1, tally{hits: 1})
	ask("the shop is as fresh for the other product", 89, 2, tally{hits: 1})
	ask("whose own document grows old by itself", 91, 2, tally{hits: 1, refreshes: 1})
	g.pages.Remove(1)
	ask("a page that was evicted is made anew", 92, 1, tally{built: 1})
	g.docs.Remove(1)
	g.pages.Remove(1)
	ask("the document is read again if it was, too", 92, 1, tally{reads: 1})
	ask("a day past its soft TTL a page is not served any more", 92+60+24*3600+1, 1, tally{reads: 2})
	if g.reads[1] != 4 || g.shopReads[f.shop(2)] < 3 {
		t.Errorf("%d reads of the product and %d of its shop were noted", g.reads[1], g.shopReads[f.shop(2)])
	}
}

// TestAgainstChe holds a gateway's pages against the approximation of Che, Tung
// and Wang ("Hierarchical web caching systems", IEEE JSAC 20, 2002): an LRU of c
// entries keeps what has been asked for within a time T, of which c products are.
// A policy that adapts may be better, but not worse.
func TestAgainstChe(t *testing.T) {
	f := Fleet{Gateways: 1, Products: 20_000, Rate: 1000, Exponent: 0.8, L1Bytes: 60 << 20, Seed: 3}.complete()
	z, ids := f.zipf(), make([]int64, f.Products)
	for i := range ids {
		ids[i] = int64(i + 1)
	}
	room := float64(f.L1Bytes/100*pagesShare) / float64(f.Page+pageBytes+lru.Overhead)
	within := func(time float64) (products, requests float64) {
		for _, id := range ids {
			p := z.Share(float64(id))
			has := -math.Expm1(-p * f.Rate * time)
			products, requests = products+has, requests+p*has
		}
		return products, requests
	}
	low, high := 0.0, 1e6
	for range 60 {
		if n, _ := within((low + high) / 2); n < room {
			low = (low + high) / 2
		} else {
			high = (low + high) / 2
		}
	}
	_, want := within(low)
	for _, thinning := range []int{1, 4} {
		mine := ids
		if thinning > 1 {
			mine = nil
			for _, id := range ids {
				if thinned(place(id), thinning) {
					mine = append(mine, id)
				}
			}
		}
		g, err := newGateway(f, 1, thinning, nil, mine)
		if err != nil {
			t.Fatal(err)
		}
		f := f
		f.Warm, f.Measure = 4*time.Minute*time.Duration(thinning), 4*time.Minute*time.Duration(thinning)
		l, _ := f.front(z, Hot{}, []*gateway{g}, []int{len(mine)}, thinning)
		if l.L1 < want-0.015 || l.L1 > want+0.15 {
			t.Errorf("thinned out by %d: %.3f of the requests found their page, Che's approximation for LRU is %.3f", thinning, l.L1, want)
		}
		t.Logf("thinned out by %d: %.4f, Che %.4f", thinning, l.L1, want)
	}
}

// TestPullsOfOldDocuments: a document is pulled when the age that its gateways
// go by and that of the cache role have passed and somebody reads it.
func TestPullsOfOldDocuments(t *testing.T) {
	f := Fleet{Products: 2000}.complete()
	ids := make([]int64, f.Products)
	for i := range ids {
		ids[i] = int64(i + 1)
	}
	for _, between := range []float64{10, 3600} { // seconds from read to read
		c, err := newCacheRole(f, 1, 1, ids, func(int64) float64 { return 1 / between })
		if err != nil {
			t.Fatal(err)
		}
		from, until := 7200.0, 10*3600.0
		c.run(from, until)
		round := (until - from) * float64(len(ids)) / c.pulls
		if want := 3600*13.0/12 + between; math.Abs(round/want-1) > 0.1 {
			t.Errorf("read every %v s: pulled every %.0f s, want about %.0f", between, round, want)
		}
		if c.hits > c.calls || c.pulls > c.calls {
			t.Errorf("read every %v s: %v calls, %v hits, %v pulls", between, c.calls, c.hits, c.pulls)
		}
	}
}

func TestReadRates(t *testing.T) {
	var r readRates
	if got := r.of(7); got != 0 {
		t.Errorf("nothing is known, and product 7 is read %v times a second", got)
	}
	r.add(100, 1)
	r.add(101, 3)
	r.add(5000, 0.5)
	for id, want := range map[int64]float64{1: 2, 100: 2, 120: 2, 4800: 0.5, 5000: 0.5, 1e8: 0.5} {
		if got := r.of(id); got != want {
			t.Errorf("product %d is read %v times a second, want %v", id, got, want)
		}
	}
}
