package capacity

import "math"

// survey is where every product is, on one ring and another, and which share of
// the traffic its owners get.
type survey struct {
	before, after *owners
	// load[z][g] is the share of the traffic of distribution z of the products
	// that gateway g owns before, then[z][g] after.
	load, then [][]float64
	// moved products have another owner after; strays are those of them that
	// neither left a gateway that is gone nor went to one that is new.
	products, moved, strays int64
	movedLoad               []float64 // by distribution
	// owned are the products of the sampled gateways before, gained those that
	// they have in addition after.
	owned, gained map[int][]int64
}

// look places every product. sample says which gateways' products are listed.
func look(products int64, zipfs []*Zipf, before, after *owners, sample func(int) bool) *survey {
	s := &survey{before: before, after: after, products: products, owned: map[int][]int64{}, gained: map[int][]int64{}}
	size := max(before.high, after.high)
	for range zipfs {
		s.load, s.then = append(s.load, make([]float64, size)), append(s.then, make([]float64, size))
	}
	s.movedLoad = make([]float64, len(zipfs))
	for id := int64(1); id <= products; id++ {
		hash := place(id)
		a := before.of(hash)
		b := a
		if before != after {
			b = after.of(hash)
		}
		log := math.Log(float64(id)) // once for all distributions: this loop is what a full survey takes its time for
		for i, z := range zipfs {
			share := math.Exp(-z.s*log) / z.sum
			s.load[i][a] += share
			s.then[i][b] += share
			if a != b {
				s.movedLoad[i] += share
			}
		}
		if a != b {
			s.moved++
			if after.has(a) && before.has(b) {
				s.strays++
			}
			if sample(b) {
				s.gained[b] = append(s.gained[b], id)
			}
		} else if sample(a) {
			s.owned[a] = append(s.owned[a], id)
		}
	}
	return s
}

// Balance is the load of the gateways.
type Balance struct {
	// Owned is the highest load over the mean of the requests that go to owners,
	// Answered that of all requests, where a hot product is answered by the gateway
	// that got it: every one gets the same of those.
	Owned, Answered float64
}

// balance tells how even the load is when the hot products are answered
// everywhere. loads are shares of the traffic by owner, of all products, share is
// that of one of them.
func balance(o *owners, loads []float64, share func(int64) float64, hot []int64) Balance {
	cold := append([]float64(nil), loads...)
	spread := 0.0
	for _, id := range hot {
		s := share(id)
		cold[o.of(place(id))] -= s
		spread += s
	}
	n := float64(o.size())
	most, all := 0.0, 0.0
	for _, load := range cold[o.low:o.high] {
		most = max(most, load)
		all += load
	}
	return Balance{Owned: most / (all / n), Answered: (most + spread/n) / ((all + spread) / n)}
}
