package capacity

import (
	"math"
	"slices"
)

// Levels is where requests are answered in steady traffic, and what each level is
// asked for.
type Levels struct {
	// First is the share of all requests that the gateway that got them answers with
	// a page in memory: hot products, and the few that it owns itself. Forwarded
	// is the share that takes the hop; Owner is the share of these, and of those
	// few, that the owner answers with a page in memory. L1 is both together.
	First, Forwarded, Owner, L1 float64
	// HotL1 is the share of the requests for hot products that found their page.
	HotL1 float64
	// Built is the share of all requests for which a page was made anew of
	// documents in memory. The rest waits for Redis.
	Built float64
	// Reads are documents read from Redis a second for requests, Refreshes those
	// read in the background. Found is the share that Redis has.
	Reads, Refreshes, Found float64
	// Calls are reads of the cache role a second, Heap the share of them that its
	// memory answers.
	Calls, Heap float64
	// Pulls are documents pulled from the origin a second: Refreshed because they
	// had grown old, the rest because Redis did not have them.
	Pulls, Refreshed float64
}

// redisReads is how often documents are read from Redis, all gateways together.
type redisReads struct {
	products readRates
	shops    []float64 // a second, by shop
}

// front plays steady traffic on gateways and adds up what it means for a fleet, as
// far as Redis. All of the gateways have the same thinning. They stay as they are
// at the end.
func (f Fleet) front(z *Zipf, hot Hot, gateways []*gateway, owned []int, thinning int) (Levels, *redisReads) {
	var onHot, onOwned tally
	measured := f.Measure.Seconds()
	reads := &redisReads{shops: make([]float64, max(1, f.Products/f.ProductsPerShop))}
	each := float64(f.Gateways*thinning) / float64(len(gateways)) // what one stands for, in what it sees of its products
	for n, g := range gateways {
		t := g.traffic(z, f.Gateways, owned[n])
		g.settle(t, f.Warm.Seconds())
		g.run(t, f.Warm.Seconds()+measured)
		onHot.add(g.onHot, 1/measured)
		onOwned.add(g.onOwned, 1/measured)
		for i := range g.ids[:int(g.hot)+owned[n]] {
			rate := float64(g.reads[i]) / measured
			if i < int(g.hot) {
				rate *= float64(f.Gateways)
			}
			reads.products.add(g.ids[i], rate)
		}
		for s, n := range g.shopReads {
			reads.shops[s] += float64(n) / measured * each
		}
	}
	// A level is asked for what its traffic is, whichever part of that was sampled:
	// misses are those of products in the middle and at the end, of which there are
	// many, so their number is well known; what is missing of the requests, or too
	// many, is for the most popular ones, which hit (SHARDS calls that SHARDS-adj).
	onHot.add(onHot, each-1)
	onOwned.add(onOwned, each-1)
	toHot, toOwned := f.Rate*hot.Share, f.Rate*(1-hot.Share)
	scaled := func(t tally, to float64) tally {
		if thinning == 1 && t.requests > 0 {
			var all tally
			all.add(t, to/t.requests)
			return all
		}
		t.hits += to - t.requests
		t.requests = to
		return t
	}
	onHot, onOwned = scaled(onHot, toHot), scaled(onOwned, toOwned)

	own := 1 / float64(f.Gateways)
	return Levels{
		First:     (onHot.hits + onOwned.hits*own) / f.Rate,
		Forwarded: toOwned * (1 - own) / f.Rate,
		Owner:     onOwned.hits / max(toOwned, 1e-9),
		HotL1:     onHot.hits / max(toHot, 1e-9),
		L1:        (onHot.hits + onOwned.hits) / f.Rate,
		Built:     (onHot.built + onOwned.built) / f.Rate,
		Reads:     onHot.reads + onOwned.reads,
		Refreshes: onHot.refreshes + onOwned.refreshes,
	}, reads
}

// behind adds what is behind Redis. A product is in Redis unless nobody has asked
// for it for so long as Redis keeps it: requests come as a Poisson process.
func (f Fleet) behind(l *Levels, z *Zipf, reads *redisReads) error {
	absent := 0.0
	z.each(func(ids, share float64) {
		absent += ids * share * f.Rate * math.Exp(-share*f.Rate*f.RedisTTL.Seconds())
	})
	l.Found = 1 - absent/max(l.Reads+l.Refreshes, absent, 1e-9)

	thinning := 1
	for f.Products/int64(f.Caches*thinning) > 40_000 {
		thinning *= 2
	}
	caches := newOwners("cache", 0, f.Caches)
	var mine []int64
	for id := int64(1); id <= f.Products; id++ {
		if hash := place(id); thinned(hash, thinning) && caches.of(hash) == 0 {
			mine = append(mine, id)
		}
	}
	c, err := newCacheRole(f, 2, thinning, mine, reads.products.of)
	if err != nil {
		return err
	}
	from := 2 * f.Refresh.Seconds()
	c.run(from, 2*from)
	factor := float64(f.Products) / float64(max(1, len(mine))) / from
	l.Refreshed = 0
	for _, rate := range reads.shops {
		if rate > 0 { // the age is the later one of two ages between 3/4 and 5/4
			l.Refreshed += 1 / (f.Refresh.Seconds()*13/12 + 1/rate)
		}
	}
	l.Refreshed += c.pulls * factor
	l.Calls = c.calls*factor + absent
	l.Heap = c.hits * factor / max(l.Calls, 1e-9)
	l.Pulls = l.Refreshed + absent
	return nil
}

// thinned reports whether a product is one of those of a thinning.
func thinned(hash uint64, thinning int) bool { return hash&uint64(thinning-1) == 0 }

// without returns the products that are not hot; hot is sorted.
func without(products, hot []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(products), func(id int64) bool {
		_, is := slices.BinarySearch(hot, id)
		return is
	})
}
