package window_test

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"go.uber.org/goleak"

	"eshop/pkg/window"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long selects the big form of tests that have one.
func long() bool { return os.Getenv("ESHOP_LONG") == "1" }

func open(t testing.TB, cfg window.Config) *window.Window {
	t.Helper()
	w, err := window.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// zipf draws ranks from 0 to n-1 with a probability of (rank+1)^-s, for any s
// above 0, by rejection-inversion (Hörmann and Derflinger 1996); the one of
// math/rand wants an s above 1.
type zipf struct {
	rnd                *rand.Rand
	n, s               float64
	first, last, short float64
}

func newZipf(n int, s float64, seed uint64) *zipf {
	z := &zipf{rnd: rand.New(rand.NewPCG(seed, 1)), n: float64(n), s: s}
	z.first, z.last = z.integral(1.5)-1, z.integral(float64(n)+0.5)
	z.short = 2 - z.inverse(z.integral(2.5)-z.density(2))
	return z
}

func (z *zipf) density(x float64) float64 { return math.Exp(-z.s * math.Log(x)) }

// integral is that of density, from 1 to x.
func (z *zipf) integral(x float64) float64 {
	if z.s == 1 {
		return math.Log(x)
	}
	return math.Expm1((1-z.s)*math.Log(x)) / (1 - z.s)
}

func (z *zipf) inverse(y float64) float64 {
	if z.s == 1 {
		return math.Exp(y)
	}
	return math.Exp(math.Log1p(y*(1-z.s)) / (1 - z.s))
}

func (z *zipf) next() int64 {
	for {
		u := z.last + z.rnd.Float64()*(z.first-z.last)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.short || u >= z.integral(k+0.5)-z.density(k) {
			return int64(k) - 1
		}
	}
}

// draw returns n ids: ranks scattered, as ids of products are.
func draw(z *zipf, n int) []int64 {
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = z.next()*7919 + 3
	}
	return ids
}
