package lru_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/lru"
)

// However calls interleave, every stored value either is in the cache at the
// end or was told to OnEvict once; none is lost, none doubled (PITFALL 30).
func TestEveryValueLeavesOnce(t *testing.T) {
	const workers, each = 8, 5000
	told := make([]atomic.Int32, workers*each)
	c, err := lru.New(lru.Config[int, int]{Bytes: 4 * 40 * lru.Overhead, Shards: 4, Hash: hash,
		OnEvict: func(_, v int, _ lru.Reason) { told[v].Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	stored := make([]bool, workers*each) // each element has one writer
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 2))
			for i := range each {
				k, v := rnd.IntN(300), w*each+i
				switch rnd.IntN(8) {
				case 0:
					c.Remove(k)
				case 1:
					c.Range(func(int, int) bool { return rnd.IntN(4) > 0 })
				case 2:
					c.Get(k)
					if rnd.IntN(200) == 0 {
						c.Purge()
					}
				default:
					expires := never
					if rnd.IntN(3) == 0 {
						expires = time.Now().Add(time.Duration(rnd.IntN(2000)) * time.Microsecond)
					}
					stored[v] = c.Put(k, v, rnd.Int64N(2*lru.Overhead), expires)
				}
			}
		})
	}
	wg.Wait()
	var counted uint64
	for _, why := range lru.Reasons() {
		counted += c.Evictions(why)
	}
	var left uint64
	for v := range told {
		if n := told[v].Load(); n > 1 || n == 1 && !stored[v] {
			t.Fatalf("value %d (stored: %v) was told to leave %d times", v, stored[v], n)
		}
		left += uint64(told[v].Load())
	}
	if left != counted {
		t.Errorf("OnEvict was told %d times, the counters say %d", left, counted)
	}
	c.Purge()
	for v := range told {
		want := int32(0)
		if stored[v] {
			want = 1
		}
		if got := told[v].Load(); got != want {
			t.Fatalf("value %d left %d times in the end, want %d", v, got, want)
		}
	}
	if c.Len() != 0 || c.Bytes() != 0 {
		t.Errorf("after Purge: %d entries of %d bytes", c.Len(), c.Bytes())
	}
}
