package capacity

import "math/rand/v2"

// alias draws indexes with given weights in constant time: the alias method in
// Vose's form ("A linear algorithm for generating random numbers with a given
// distribution", IEEE TSE 17, 1991).
type alias []struct {
	keep  uint32 // of 2^32: stay here
	other int32
}

// newAlias takes weights of any positive sum.
func newAlias(weights []float64) alias {
	a := make(alias, len(weights))
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	part := make([]float64, len(weights)) // of the mean
	var small, large []int32
	for i, w := range weights {
		part[i] = w / sum * float64(len(weights))
		if part[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		a[s].keep, a[s].other = uint32(part[s]*(1<<32-1)), l
		if part[l] -= 1 - part[s]; part[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, i := range append(small, large...) { // 1, but for rounding
		a[i].keep, a[i].other = 1<<32-1, i
	}
	return a
}

func (a alias) draw(r *rand.Rand) int32 {
	u := r.Uint64()
	i := int32(u >> 32 * uint64(len(a)) >> 32)
	if uint32(u) <= a[i].keep {
		return i
	}
	return a[i].other
}
