package lru_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/lru"
)

// Whatever was put, replaced, evicted and removed before, a draw brings each live
// entry equally often and nothing else: chi squared of the counts stays within
// five standard deviations of its mean.
func TestSampleIsUniform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(7, 7))
		c, err := lru.New(lru.Config[int, int]{Bytes: 4 * 60 * lru.Overhead, Shards: 4, Hash: hash})
		if err != nil {
			t.Fatal(err)
		}
		for step := range 5000 {
			k := rnd.IntN(400)
			switch rnd.IntN(5) {
			case 0:
				c.Remove(k)
			case 1:
				c.Put(k, step, 0, time.Now().Add(time.Duration(1+rnd.IntN(100))*time.Millisecond))
			default:
				c.Put(k, step, rnd.Int64N(lru.Overhead), never)
			}
			if step == 2500 {
				c.Purge()
			}
		}
		time.Sleep(50 * time.Millisecond) // some have expired, and nobody noticed
		live := map[int]int{}
		c.Range(func(k, v int) bool { live[k] = v; return true })
		if len(live) < 50 {
			t.Fatalf("only %d live entries to draw from", len(live))
		}
		const each = 2000
		seen := map[int]int{}
		for drawn := 0; drawn < each*len(live); {
			c.Sample(100, func(k, v int) {
				drawn++
				seen[k]++
				if want, ok := live[k]; !ok || v != want {
					t.Fatalf("drew %d = %d, want %d (live: %v)", k, v, want, ok)
				}
			})
		}
		chi := 0.0
		for k := range live {
			d := float64(seen[k]) - each
			chi += d * d / each
		}
		freedom := float64(len(live) - 1)
		if limit := freedom + 5*math.Sqrt(2*freedom); chi > limit {
			t.Errorf("chi squared is %.1f for %d entries, want at most %.1f", chi, len(live), limit)
		}
	})
}

func TestSampleUsesNothing(t *testing.T) {
	c := single(t, 2, nil)
	c.Sample(3, func(int, string) { t.Error("drew from an empty cache") })
	c.Put(1, "a", 0, never)
	c.Put(2, "b", 0, never)
	n := 0
	c.Sample(100, func(k int, _ string) {
		n++
		c.Sample(1, func(int, string) {}) // no lock is held
	})
	c.Put(3, "c", 0, never)
	if _, ok := c.Get(1); ok || n != 100 {
		t.Errorf("the oldest entry is still there (%v) after %d draws, want it gone after 100", ok, n)
	}
}

func TestSampleMeetsOnlyExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := single(t, 10, nil)
		for k := range 10 {
			c.Put(k, "v", 0, time.Now().Add(time.Second))
		}
		time.Sleep(time.Second)
		c.Sample(5, func(k int, _ string) { t.Errorf("drew %d, which has expired", k) })
	})
}

func BenchmarkSample(b *testing.B) {
	c := filled(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		c.Sample(10, func(catalog.Key, *document) {})
	}
}
