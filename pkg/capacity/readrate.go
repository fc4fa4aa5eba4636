package capacity

import "math"

// readRates are reads of Redis a second by rank, as simulated gateways did them.
// Products of about the same rank are taken together, for a single one of the
// tail is read too seldom to tell its rate.
type readRates struct {
	ids, rate []float64 // by band
}

// band is the number of a rank's: an eighth of a doubling.
func band(id int64) int { return int(8 * math.Log2(float64(id))) }

// add tells of a product and its reads a second. What belongs to it everywhere is
// for the caller to add up.
func (r *readRates) add(id int64, rate float64) {
	b := band(id)
	if n := b + 1 - len(r.ids); n > 0 {
		r.ids, r.rate = append(r.ids, make([]float64, n)...), append(r.rate, make([]float64, n)...)
	}
	r.ids[b]++
	r.rate[b] += rate
}

// of returns the rate of a product: the mean of its band, or of the nearest one
// that has products.
func (r *readRates) of(id int64) float64 {
	if len(r.ids) == 0 {
		return 0
	}
	b := min(band(id), len(r.ids)-1)
	for d := 0; d < len(r.ids); d++ {
		for _, at := range []int{b + d, b - d} {
			if at >= 0 && at < len(r.ids) && r.ids[at] > 0 {
				return r.rate[at] / r.ids[at]
			}
		}
	}
	return 0
}
