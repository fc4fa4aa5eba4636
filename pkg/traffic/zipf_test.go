package traffic_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"eshop/pkg/traffic"
)

// distance is the Kolmogorov-Smirnov distance of counts by id (from 1) to the
// Zipf distribution.
func distance(counts []int, exponent float64) float64 {
	total, norm := 0, 0.0
	for i, n := range counts {
		total += n
		norm += math.Pow(float64(i+1), -exponent)
	}
	seen, want, most := 0, 0.0, 0.0
	for i, n := range counts {
		seen += n
		want += math.Pow(float64(i+1), -exponent) / norm
		most = max(most, math.Abs(float64(seen)/float64(total)-want))
	}
	return most
}

func TestZipf(t *testing.T) {
	for _, exponent := range []float64{0.001, 0.8, 1, 1.05, 3} {
		for _, n := range []int{1, 2, 1000, 100_000} {
			t.Run(fmt.Sprint(exponent, "/", n), func(t *testing.T) {
				const draws = 100_000
				r := rand.New(rand.NewPCG(1, 1))
				z := traffic.NewZipf(n, exponent)
				counts := make([]int, n)
				for range draws {
					counts[traffic.DrawOf(z, r)-1]++
				}
				// Of a right sampler one run in 10,000 is further away (and the seed is fixed).
				if got, limit := distance(counts, exponent), 2.23/math.Sqrt(draws); got > limit {
					t.Errorf("the distance to the distribution is %.5f, at most %.5f can be chance", got, limit)
				}
			})
		}
	}
}

// The test above would see a sampler of another exponent.
func TestDistanceTellsExponentsApart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	z := traffic.NewZipf(1000, 1)
	counts := make([]int, 1000)
	for range 100_000 {
		counts[traffic.DrawOf(z, r)-1]++
	}
	if distance(counts, 1.05) < 2.23/math.Sqrt(100_000) {
		t.Error("draws with exponent 1 pass for draws with 1.05")
	}
}

func BenchmarkDraw(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	z := traffic.NewZipf(traffic.MaxProducts, 1.05)
	b.ReportAllocs()
	for b.Loop() {
		traffic.DrawOf(z, r)
	}
}
