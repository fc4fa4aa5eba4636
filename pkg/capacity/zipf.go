package capacity

import (
	"math"
	"math/rand/v2"
)

// Zipf draws ids from 1 to n with probability proportional to id^-s, for any s
// above 0: rejection-inversion (Hörmann and Derflinger: "Rejection-inversion to
// generate variates from monotone discrete distributions", ACM TOMACS 6, 1996).
// It is exact, takes constant time and no memory, however many ids there are;
// math/rand/v2 has s > 1 only.
type Zipf struct {
	n, s        float64
	first, last float64 // the range of the integral of the hat
	squeeze     float64
	sum         float64
}

// NewZipf returns the distribution of ids 1 to n, at least 1, with exponent s > 0.
func NewZipf(n int64, s float64) *Zipf {
	z := &Zipf{n: float64(n), s: s}
	z.first = z.integral(1.5) - 1
	z.last = z.integral(z.n + 0.5)
	z.squeeze = 2 - z.inverse(z.integral(2.5)-z.weight(2))
	z.sum = z.total()
	return z
}

// Draw returns an id.
func (z *Zipf) Draw(r *rand.Rand) int64 {
	for {
		u := z.last + r.Float64()*(z.first-z.last)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.squeeze || u >= z.integral(k+0.5)-z.weight(k) {
			return int64(k)
		}
	}
}

// Share returns the probability of an id, or the mean one near a position
// between two.
func (z *Zipf) Share(id float64) float64 { return z.weight(id) / z.sum }

func (z *Zipf) weight(x float64) float64 { return math.Exp(-z.s * math.Log(x)) }

// integral is an antiderivative of weight; inverse is its inverse.
func (z *Zipf) integral(x float64) float64 {
	l := math.Log(x)
	return ratio(math.Expm1, (1-z.s)*l) * l
}

func (z *Zipf) inverse(y float64) float64 {
	return math.Exp(ratio(math.Log1p, max(y*(1-z.s), -1)) * y)
}

// ratio is f(x)/x for a function that is x + O(x²) near 0.
func ratio(f func(float64) float64, x float64) float64 {
	if math.Abs(x) < 1e-9 {
		return 1
	}
	return f(x) / x
}

// exact is how many ids are summed one by one; the others by a formula.
const exact = 4096

// total is the sum of all weights: the tail by Euler and Maclaurin, whose error
// is below that of the summation.
func (z *Zipf) total() float64 {
	sum := 0.0
	for i := min(z.n, exact); i >= 1; i-- { // the small ones first
		sum += z.weight(i)
	}
	if z.n <= exact {
		return sum
	}
	slope := func(x float64) float64 { return -z.s * z.weight(x) / x }
	return sum + z.integral(z.n) - z.integral(exact) +
		(z.weight(z.n)-z.weight(exact))/2 + (slope(z.n)-slope(exact))/12
}

// each calls fn for all ids: the first ones one by one, the others in groups of
// about 1 % of their rank, as how many ids have about which share.
func (z *Zipf) each(fn func(ids, share float64)) {
	for i := 1.0; i <= min(z.n, exact); i++ {
		fn(1, z.Share(i))
	}
	for low := float64(exact); low < z.n; {
		high := min(math.Floor(low*1.01), z.n)
		fn(high-low, (z.integral(high+0.5)-z.integral(low+0.5))/z.sum/(high-low))
		low = high
	}
}
