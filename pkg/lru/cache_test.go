package lru_test

import (
	"math"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/lru"
)

func hash(k int) uint64 { return uint64(k) }

// single is a plain LRU of one shard with room for n entries of no bytes of their own.
func single(t *testing.T, n int, onEvict func(int, string, lru.Reason)) *lru.Cache[int, string] {
	t.Helper()
	c, err := lru.New(lru.Config[int, string]{Bytes: int64(n) * lru.Overhead, Shards: 1, Hash: hash, LeastRecent: true, OnEvict: onEvict})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var never time.Time

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]lru.Config[int, string]{
		"no hash":                {Bytes: 1 << 20},
		"three shards":           {Bytes: 1 << 20, Shards: 3, Hash: hash},
		"negative shards":        {Bytes: 1 << 20, Shards: -2, Hash: hash},
		"too many shards":        {Bytes: 1 << 40, Shards: 8192, Hash: hash},
		"no room for an entry":   {Bytes: lru.Overhead - 1, Hash: hash},
		"no room in a shard":     {Bytes: 16*lru.Overhead - 1, Shards: 16, Hash: hash},
		"no bytes":               {Hash: hash},
		"a negative byte budget": {Bytes: -1, Hash: hash},
	} {
		if c, err := lru.New(cfg); err == nil {
			t.Errorf("%s: got a cache %p, want an error", name, c)
		}
	}
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	var gone []string
	c := single(t, 3, func(k int, v string, why lru.Reason) {
		gone = append(gone, strconv.Itoa(k)+v+" "+why.String())
	})
	c.Put(1, "a", 0, never)
	c.Put(2, "b", 0, never)
	c.Put(3, "c", 0, never)
	c.Get(1)
	c.Put(4, "d", 0, never)            // evicts 2, the least recently used
	c.Put(5, "e", lru.Overhead, never) // needs two places: evicts 3 and 1
	if want := []string{"2b capacity", "3c capacity", "1a capacity"}; !slices.Equal(gone, want) {
		t.Errorf("evicted: got %v, want %v", gone, want)
	}
	if got := c.Evictions(lru.Capacity); got != 3 {
		t.Errorf("counted: got %d evictions, want 3", got)
	}
	if c.Len() != 2 || c.Bytes() != 3*lru.Overhead {
		t.Errorf("got %d entries of %d bytes, want 2 of %d", c.Len(), c.Bytes(), 3*lru.Overhead)
	}
}

func TestTooLargeIsNotStoredAndTheOldValueIsGone(t *testing.T) {
	var gone []lru.Reason
	c := single(t, 2, func(_ int, _ string, why lru.Reason) { gone = append(gone, why) })
	c.Put(1, "old", 0, never)
	c.Put(2, "other", 0, never)
	for _, bytes := range []int64{lru.Overhead + 1, math.MaxInt64} {
		if c.Put(1, "new", bytes, never) {
			t.Errorf("an entry of %d bytes was stored, the whole cache has %d", bytes, 2*lru.Overhead)
		}
	}
	if v, ok := c.Get(1); ok {
		t.Errorf("the value that was to be replaced is still served: %q", v)
	}
	if _, ok := c.Get(2); !ok {
		t.Error("another entry was evicted for one that did not fit")
	}
	if want := []lru.Reason{lru.Replaced}; !slices.Equal(gone, want) {
		t.Errorf("told: got %v, want %v", gone, want)
	}
	if !c.Put(1, "fits", lru.Overhead, never) {
		t.Error("an entry of exactly a shard's share was not stored")
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone []string
		c := single(t, 10, func(k int, _ string, why lru.Reason) { gone = append(gone, strconv.Itoa(k)+" "+why.String()) })
		soon := time.Now().Add(time.Minute)
		for k := range 5 {
			c.Put(k, "v", 0, soon)
		}
		c.Put(9, "v", 0, never)
		if c.Put(8, "v", 0, time.Now()) {
			t.Error("an entry that expires now was stored")
		}
		if c.Put(8, "v", 0, time.Unix(0, 0)) {
			t.Error("an entry that expired long ago was stored")
		}
		time.Sleep(time.Minute - 1)
		if _, ok := c.Get(0); !ok {
			t.Error("a nanosecond before its time the entry is a miss")
		}
		if _, ok := c.GetAt(0, time.Now()); !ok {
			t.Error("a nanosecond before its time the entry is a miss at that time")
		}
		time.Sleep(time.Nanosecond)
		if _, ok := c.GetAt(5, time.Now()); ok {
			t.Error("a key that was never stored is a hit")
		}
		if _, ok := c.Get(0); ok {
			t.Error("at its time the entry is a hit")
		}
		c.Put(6, "v", 0, time.Now().Add(time.Second))
		if _, ok := c.GetAt(6, time.Now().Add(time.Second)); ok {
			t.Error("at the given time the entry has expired, but it is a hit")
		}
		c.Put(1, "w", 0, never) // PITFALL 30 (#189): the callback hears of an expired entry that is overwritten
		if c.Remove(2) {
			t.Error("Remove says that an expired entry was there")
		}
		n := 0
		c.Range(func(int, string) bool { n++; return true })
		if n != 2 {
			t.Errorf("Range met %d entries, want the 2 that live", n)
		}
		for k := range 9 {
			c.Put(100+k, "v", 0, never) // pushes out 3 and 4, which expired unnoticed
		}
		want := []string{"0 expired", "6 expired", "1 expired", "2 expired", "3 expired", "4 expired", "9 capacity"}
		if !slices.Equal(gone, want) {
			t.Errorf("told: got %v, want %v", gone, want)
		}
		if got := c.Evictions(lru.Expired); got != 6 {
			t.Errorf("counted: got %d expired, want 6", got)
		}
	})
}

func TestRemoveAndPurge(t *testing.T) {
	var told int
	c := single(t, 10, func(_ int, _ string, why lru.Reason) {
		if why != lru.Removed {
			t.Errorf("told the reason %v, want removed", why)
		}
		told++
	})
	for k := range 5 {
		c.Put(k, "v", 0, never)
	}
	if !c.Remove(0) || c.Remove(0) || c.Remove(77) {
		t.Error("Remove must be true exactly for what is there")
	}
	c.Purge()
	c.Purge()
	if c.Len() != 0 || c.Bytes() != 0 || told != 5 || c.Evictions(lru.Removed) != 5 {
		t.Errorf("after Purge: got %d entries, %d bytes, told %d, counted %d, want 0 0 5 5", c.Len(), c.Bytes(), told, c.Evictions(lru.Removed))
	}
}

// The callback runs outside the lock: it may use the cache, even the same key.
func TestOnEvictMayUseTheCache(t *testing.T) {
	var c *lru.Cache[int, string]
	var seen []string
	c = single(t, 2, func(k int, _ string, why lru.Reason) {
		v, _ := c.Get(k)
		seen = append(seen, why.String()+" now "+v)
	})
	c.Put(1, "a", 0, never)
	c.Put(1, "b", 0, never)
	c.Remove(1)
	if want := []string{"replaced now b", "removed now "}; !slices.Equal(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
}

func TestRangeStopsAndUsesNothing(t *testing.T) {
	c := single(t, 3, nil)
	for k := range 3 {
		c.Put(k, "v", 0, never)
	}
	n := 0
	c.Range(func(int, string) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("Range went on for %d entries after it was told to stop at 2", n)
	}
	c.Range(func(int, string) bool { return true })
	c.Put(3, "v", 0, never)
	if _, ok := c.Get(0); ok {
		t.Error("the least recently used entry survived: Range used it")
	}
}

// Ids in sequence, multiples of the shard count and hashes that differ in few
// bits must all use every shard.
func TestShardsFillEvenly(t *testing.T) {
	for name, step := range map[string]int{"sequence": 1, "multiples of 16": 16, "multiples of 65536": 1 << 16} {
		c, err := lru.New(lru.Config[int, int]{Bytes: 16 * 500 * lru.Overhead, Hash: hash})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 4000 { // half full on the mean
			c.Put(i*step, i, 0, never)
		}
		if got := c.Len(); got < 3950 {
			t.Errorf("%s: %d of 4000 entries are left in a cache of 8000: one shard overflows", name, got)
		}
	}
}

func TestHitAllocatesNothing(t *testing.T) {
	c := single(t, 10, nil)
	c.Put(1, "v", 0, time.Now().Add(time.Hour))
	if n := testing.AllocsPerRun(1000, func() {
		if _, ok := c.Get(1); !ok {
			t.Fatal("miss")
		}
	}); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
}

func TestReasonWords(t *testing.T) {
	var got []string
	for _, r := range lru.Reasons() {
		got = append(got, r.String())
	}
	if want := []string{"capacity", "expired", "replaced", "removed"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	c := single(t, 1, nil)
	if got := c.Evictions(lru.Reason(99)); got != 0 {
		t.Errorf("an unknown reason counts %d", got)
	}
}
