package lru_test

import (
	"math"
	"math/rand/v2"
	"slices"
)

// synthetic traces have n uses each, the same ones in every run.
func synthetic(n int) []workload {
	return []workload{
		{"zipf 0.8", zipf(n, 0.8, universe), []int{200, 2000}},
		{"zipf 1.0", zipf(n, 1.0, universe), []int{200, 2000}},
		{"zipf 1.2", zipf(n, 1.2, universe), []int{200, 2000}},
		{"scans", scans(n), []int{200, 2000}},
		{"shifting", shifting(n), []int{200, 2000}},
		{"recency", recency(n, 700), []int{200, 2000}},
		{"cycle", cycle(n, 2500), []int{200, 2000}},
		{"mixture", mixture(n), []int{200, 2000}},
		{"phases", phases(n), []int{200, 2000}},
	}
}

const universe = 20_000

func random(name string) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(len(name)), uint64(name[0])))
}

// zipf uses key i of a number with a probability proportional to 1/(i+1)^s.
func zipf(n int, s float64, keys int) []int {
	sums, sum := make([]float64, keys), 0.0
	for i := range sums {
		sum += math.Pow(float64(i+1), -s)
		sums[i] = sum
	}
	rnd, trace := random("zipf"), make([]int, n)
	for i := range trace {
		trace[i], _ = slices.BinarySearch(sums, rnd.Float64()*sum)
	}
	return trace
}

// scans is Zipf 0.9; every now and then 3,000 keys come once each that never come
// again.
func scans(n int) []int {
	popular := zipf(n, 0.9, universe)
	var trace []int
	once := universe
	for len(trace) < n {
		for range 9000 {
			trace, popular = append(trace, popular[0]), popular[1:]
			if len(trace) == n {
				return trace
			}
		}
		for range min(3000, n-len(trace)) {
			once++
			trace = append(trace, once)
		}
	}
	return trace
}

// shifting is Zipf 1.0 in which the popular keys are others after every 20,000
// uses.
func shifting(n int) []int {
	trace := zipf(n, 1.0, universe)
	for i := range trace {
		trace[i] = (trace[i] + i/20_000*7919) % universe
	}
	return trace
}

// recency uses again what was used a short while ago, at distances of no heavy
// tail, or a new key. How often a key came tells nothing of when it will come.
func recency(n int, mean float64) []int {
	rnd, fresh := random("recency"), 0
	var trace []int
	for range n {
		back := int(rnd.ExpFloat64() * mean)
		if rnd.IntN(4) == 0 || back >= len(trace) {
			fresh++
			trace = append(trace, fresh)
		} else {
			trace = append(trace, trace[len(trace)-1-back])
		}
	}
	return trace
}

// cycle uses a number of keys in turn.
func cycle(n, keys int) []int {
	trace := make([]int, n)
	for i := range trace {
		trace[i] = i % keys
	}
	return trace
}

// mixture is Zipf, a cycle and recency at once, keys apart.
func mixture(n int) []int {
	a, b, c := zipf(n, 1.0, universe), cycle(n, 3000), recency(n, 700)
	rnd, trace := random("mixture"), make([]int, n)
	for i := range trace {
		switch rnd.IntN(3) {
		case 0:
			trace[i], a = 3*a[0], a[1:]
		case 1:
			trace[i], b = 3*b[0]+1, b[1:]
		default:
			trace[i], c = 3*c[0]+2, c[1:]
		}
	}
	return trace
}

// phases is one pattern after another, keys apart.
func phases(n int) []int {
	part := n / 4
	var trace []int
	for i, t := range [][]int{zipf(part, 1.0, universe), cycle(part, 2500), recency(part, 700), shifting(part)} {
		for _, k := range t {
			trace = append(trace, 4*k+i)
		}
	}
	return trace
}
