package lru_test

import (
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/lru"
)

// No plan that is fixed passes: the one to begin with fails the first two, that
// of a larger window and plain LRU the first, contest the second.
func TestPolicyAdapts(t *testing.T) {
	const uses, entries = 50_000, 500
	for _, c := range []struct {
		name  string
		trace []int
		least func(lru, best float64) float64
	}{
		{"a cycle larger than the cache", cycle(uses, 625), func(_, best float64) float64 { return best - 8 }},
		{"only recency tells", recency(uses, 175), func(lru, _ float64) float64 { return lru - 1 }},
		{"frequencies stay", zipf(uses, 0.8, universe), func(lru, _ float64) float64 { return lru + 8 }},
		{"scans", scans(uses), func(lru, _ float64) float64 { return lru + 7 }},
		{"popularity shifts", shifting(uses), func(lru, _ float64) float64 { return lru - 1 }},
	} {
		least := c.least(hitRatio(openLRU(entries), c.trace), belady(entries, c.trace))
		if got := hitRatio(openOurs(entries), c.trace); got < least {
			t.Errorf("%s: the hit ratio is %.2f %%, want at least %.2f", c.name, got, least)
		} else {
			t.Logf("%s: the hit ratio is %.2f %%, at least %.2f was wanted", c.name, got, least)
		}
	}
}

// With the recorded traces at hand, no row is more than half a point below the best
// of the three others, and the mean is above each of theirs.
func TestRecordedTraces(t *testing.T) {
	if os.Getenv(tracesVariable) == "" {
		t.Logf("%s names no directory: nothing to play", tracesVariable)
		return
	}
	others := rivals()[:3]
	sums, sum := make([]float64, len(others)), 0.0
	for _, w := range recorded(t) {
		for _, entries := range w.capacities {
			best := 0.0
			for i, r := range others {
				got := hitRatio(r.open(entries), w.trace)
				sums[i] += got
				best = max(best, got)
			}
			got := hitRatio(openOurs(entries), w.trace)
			sum += got
			if got < best-0.5 {
				t.Errorf("%s, %d entries: the hit ratio is %.2f %%, the best of the others %.2f", w.name, entries, got, best)
			}
		}
	}
	for i, r := range others {
		if sum <= sums[i] {
			t.Errorf("the sum of the hit ratios is %.2f, that of %s %.2f", sum, r.name, sums[i])
		}
	}
}

// What is used again and again stays when ten times as many keys as the cache
// holds come once each in between.
func TestFloodOfKeysUsedOnce(t *testing.T) {
	const popular, entries = 100, 200
	c := openOurs(entries)
	once, hits := popular, 0
	for round := range 20 {
		hits = 0
		for k := range popular {
			for range 2 {
				if c.get(k) {
					hits++
				} else {
					c.put(k)
				}
			}
			if round >= 10 {
				for range 20 {
					once++
					c.put(once)
				}
			}
		}
	}
	if want := 2 * popular * 9 / 10; hits < want {
		t.Errorf("%d of %d uses of popular keys hit in the last round of the flood, want at least %d", hits, 2*popular, want)
	}
}

// Whatever the policy decides: what was stored is there at once, what is there is
// what was stored last, the budget is kept, the accounting is exact, and each entry
// that leaves is told once.
func TestAdaptiveCacheKeepsTheRules(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			type stored struct {
				key   int
				bytes int64
			}
			held := map[int]stored{} // by value
			latest := map[int]int{}  // key: value
			limit := int64(10+rnd.IntN(300)) * lru.Overhead
			c, err := lru.New(lru.Config[int, int]{Bytes: limit, Shards: 1 << rnd.IntN(3), Hash: hash,
				OnEvict: func(k, v int, why lru.Reason) {
					if s, ok := held[v]; !ok || s.key != k {
						t.Fatalf("told that %d = %d left (%v), which is not held", k, v, why)
					}
					delete(held, v)
				}})
			if err != nil {
				t.Fatal(err)
			}
			for step := range 3000 {
				k := rnd.IntN(20 << rnd.IntN(6))
				switch rnd.IntN(12) {
				case 0:
					time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
				case 1:
					c.Remove(k)
					delete(latest, k)
				case 2, 3, 4, 5:
					bytes, expires := rnd.Int64N(2*lru.Overhead), never
					if rnd.IntN(3) == 0 {
						expires = time.Now().Add(time.Duration(1+rnd.IntN(100)) * time.Millisecond)
					}
					held[step] = stored{k, bytes + lru.Overhead}
					if !c.Put(k, step, bytes, expires) {
						delete(held, step)
						delete(latest, k)
						break
					}
					latest[k] = step
					if v, ok := c.Get(k); !ok || v != step {
						t.Fatalf("seed %d, step %d: got %d, %v just after the put", seed, step, v, ok)
					}
				default:
					if v, ok := c.Get(k); ok && v != latest[k] {
						t.Fatalf("seed %d, step %d: got %d, want %d or nothing", seed, step, v, latest[k])
					}
				}
				var bytes int64
				for _, s := range held {
					bytes += s.bytes
				}
				if c.Len() != len(held) || c.Bytes() != bytes || bytes > limit {
					t.Fatalf("seed %d, step %d: got %d entries of %d bytes, want %d of %d, at most %d", seed, step, c.Len(), c.Bytes(), len(held), bytes, limit)
				}
			}
			c.Purge()
			if len(held) != 0 || c.Len() != 0 || c.Bytes() != 0 {
				t.Errorf("seed %d: %d values never left; %d entries of %d bytes after a purge", seed, len(held), c.Len(), c.Bytes())
			}
		})
	}
}
