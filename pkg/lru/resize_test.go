package lru_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"eshop/pkg/lru"
)

// A cache that is made smaller holds no more than it may, tells of all that left, and takes as much again once it is
// made larger; whoever reads and stores meanwhile notices nothing.
func TestResize(t *testing.T) {
	const large, small = 64 << 20, 8 << 20
	var told atomic.Int64
	c, err := lru.New(lru.Config[int, int]{Bytes: large, Hash: hash, OnEvict: func(int, int, lru.Reason) { told.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	const size = 1000
	fill := func(from, n int) {
		for k := from; k < from+n; k++ {
			c.Put(k, k, size, never)
		}
	}
	fill(0, large/(size+lru.Overhead)*9/10)
	before := c.Len()
	if told.Load() != 0 && c.Bytes() < large/2 {
		t.Fatalf("%d entries of %d bytes are there to begin with", before, c.Bytes())
	}

	stop := make(chan struct{})
	var others sync.WaitGroup
	for i := range 2 {
		others.Go(func() {
			for k := 10_000_000 * (i + 1); ; k++ {
				select {
				case <-stop:
					return
				default:
				}
				if c.Put(k, k, size, never) {
					if v, ok := c.Get(k - 1); ok && v != k-1 {
						t.Errorf("%d is held under %d", v, k-1)
					}
				}
			}
		})
	}
	for _, bytes := range []int64{small, large, large / 4, small} {
		if err := c.Resize(bytes); err != nil {
			t.Errorf("resize to %d: %v", bytes, err)
		}
		if got := c.Bytes(); got > bytes {
			t.Errorf("%d bytes are held of %d", got, bytes)
		}
	}
	close(stop)
	others.Wait()
	kept := 0
	c.Range(func(int, int) bool { kept++; return true })
	if kept != c.Len() || kept > small/(size+lru.Overhead) {
		t.Errorf("%d entries are kept, %d counted", kept, c.Len())
	}
	if left := c.Evictions(lru.Capacity) + c.Evictions(lru.Replaced) + c.Evictions(lru.Expired); int64(left) != told.Load() {
		t.Errorf("%d entries left, %d were told of", left, told.Load())
	}

	if err := c.Resize(large); err != nil {
		t.Fatal(err)
	}
	fill(50_000_000, large/(size+lru.Overhead))
	if got := c.Bytes(); got <= large/2 || got > large {
		t.Errorf("%d bytes are held after it was made larger, of %d", got, large)
	}
	if !c.Put(1, 1, large/64-lru.Overhead, never) {
		t.Error("an entry as large as a shard's new share is not stored")
	}
}

// Too small a budget for so many shards is refused, and changes nothing.
func TestResizeRefuses(t *testing.T) {
	c, err := lru.New(lru.Config[int, int]{Bytes: 64 << 20, Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	for k := range 1000 {
		c.Put(k, k, 1000, never)
	}
	if err := c.Resize(1 << 20); err == nil {
		t.Error("64 shards share 1 MiB")
	}
	if c.Len() != 1000 {
		t.Errorf("%d of 1000 entries are left", c.Len())
	}
}

// The plans of a cache that was made much smaller are told apart as before: a loop that is somewhat larger than it
// has as many hits as in a cache that was as small from the start.
func TestResizeKeepsThePolicy(t *testing.T) {
	const large, small = 256 << 20, 16 << 20
	ratio := func(c *lru.Cache[int, int]) float64 {
		const size = 2000
		loop := small / (size + lru.Overhead) * 13 / 10
		hits, asked := 0, 0
		for round := range 40 {
			for k := range loop {
				_, ok := c.Get(k)
				if !ok {
					c.Put(k, k, size, never)
				}
				if round >= 20 {
					asked++
					if ok {
						hits++
					}
				}
			}
		}
		return float64(hits) / float64(asked)
	}
	was, err := lru.New(lru.Config[int, int]{Bytes: large, Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	for k := range large / (2000 + lru.Overhead) * 11 / 10 {
		was.Put(1_000_000+k, 0, 2000, never)
	}
	if err := was.Resize(small); err != nil {
		t.Fatal(err)
	}
	fresh, err := lru.New(lru.Config[int, int]{Bytes: small, Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	got, want := ratio(was), ratio(fresh)
	t.Logf("hits: %.2f, in a fresh cache %.2f", got, want)
	if got < want-0.15 || want < 0.3 {
		t.Errorf("hits: %.2f, in a fresh cache %.2f", got, want)
	}
}
