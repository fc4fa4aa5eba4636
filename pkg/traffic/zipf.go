package traffic

import (
	"math"
	"math/rand/v2"
	"slices"
)

// zipf draws ids from 1 to n with probability proportional to id^-s, for any s
// above 0; math/rand's sampler needs s > 1. It looks up a uniform number in the
// cumulative distribution (inversion), in time logarithmic in n.
type zipf struct {
	upTo []float64 // upTo[i] is the share of the ids 1 to i+1
}

func newZipf(n int, s float64) *zipf {
	z := &zipf{upTo: make([]float64, n)}
	sum := 0.0
	for i := range z.upTo {
		sum += math.Pow(float64(i+1), -s)
		z.upTo[i] = sum
	}
	for i := range z.upTo {
		z.upTo[i] /= sum // the last one is exactly 1, above every number drawn
	}
	return z
}

func (z *zipf) draw(r *rand.Rand) int64 {
	u := r.Float64()
	i, found := slices.BinarySearch(z.upTo, u)
	if found { // u belongs to the next one: the first has [0, upTo[0])
		i++
	}
	return int64(i) + 1
}
