package capacity

import (
	"math"
	"math/rand/v2"
	"testing"
)

// chiSquare compares counts with what they are expected to be, as standard
// deviations above the mean of that sum. Cells of less than 5 are put together.
func chiSquare(counts, expected []float64) float64 {
	sum, cells, got, want := 0.0, 0.0, 0.0, 0.0
	for i := range counts {
		got, want = got+counts[i], want+expected[i]
		if want >= 5 {
			sum, cells, got, want = sum+(got-want)*(got-want)/want, cells+1, 0, 0
		}
	}
	return (sum - (cells - 1)) / math.Sqrt(2*(cells-1))
}

func TestZipfDraws(t *testing.T) {
	for _, s := range []float64{0.5, 0.8, 1, 1.2, 2.5} {
		for _, n := range []int64{1, 2, 3, 1000, 20_000} {
			const draws = 100_000
			z, r := NewZipf(n, s), rand.New(rand.NewPCG(1, 2))
			counts, expected, sum := make([]float64, n), make([]float64, n), naive(n, s)
			for range draws {
				counts[z.Draw(r)-1]++
			}
			for i := range expected {
				expected[i] = draws * math.Pow(float64(i+1), -s) / sum
			}
			if n <= 3 {
				for i := range counts {
					if d := math.Abs(counts[i] - expected[i]); d > 5*math.Sqrt(expected[i]) {
						t.Errorf("exponent %v, %d ids: %d came %v times, want %v", s, n, i+1, counts[i], expected[i])
					}
				}
			} else if d := chiSquare(counts, expected); math.Abs(d) > 5 {
				t.Errorf("exponent %v, %d ids: chi-square is %.1f deviations off", s, n, d)
			}
		}
	}
}

// naive sums up the weights of all ids.
func naive(n int64, s float64) float64 {
	sum := 0.0
	for i := n; i >= 1; i-- {
		sum += math.Pow(float64(i), -s)
	}
	return sum
}

func TestZipfShares(t *testing.T) {
	for _, s := range []float64{0.5, 0.8, 1, 1.2, 2.5} {
		for _, n := range []int64{1, 100, exact, exact + 1, 1_000_000} {
			z := NewZipf(n, s)
			if want := naive(n, s); math.Abs(z.sum/want-1) > 1e-9 {
				t.Errorf("exponent %v, %d ids: the weights sum up to %v, want %v", s, n, z.sum, want)
			}
			ids, all := 0.0, 0.0
			z.each(func(n, share float64) { ids, all = ids+n, all+n*share })
			if ids != float64(n) || math.Abs(all-1) > 1e-6 {
				t.Errorf("exponent %v, %d ids: groups have %v ids and a share of %v", s, n, ids, all)
			}
		}
	}
}

func TestAlias(t *testing.T) {
	for _, weights := range [][]float64{{3}, {1, 1}, {1, 0, 2}, {0.001, 5, 7, 0.5, 100}} {
		const draws = 200_000
		a, r, sum := newAlias(weights), rand.New(rand.NewPCG(1, 2)), 0.0
		for _, w := range weights {
			sum += w
		}
		counts := make([]float64, len(weights))
		for range draws {
			counts[a.draw(r)]++
		}
		for i, w := range weights {
			if want := draws * w / sum; math.Abs(counts[i]-want) > 5*math.Sqrt(want) {
				t.Errorf("of %v, %d came %v times, want %v", weights, i, counts[i], want)
			}
		}
	}
}

func BenchmarkZipf(b *testing.B) {
	z, r := NewZipf(100_000_000, 1), rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		z.Draw(r)
	}
}
