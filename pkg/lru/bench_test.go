package lru_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/lru"
	"eshop/pkg/ring"
)

type document struct{ Body []byte }

func filled(b testing.TB, n int) *lru.Cache[catalog.Key, *document] {
	c, err := lru.New(lru.Config[catalog.Key, *document]{Bytes: int64(n) * lru.Overhead,
		Hash: func(k catalog.Key) uint64 { return ring.Hash(k.Kind, k.ID) }})
	if err != nil {
		b.Fatal(err)
	}
	expires := time.Now().Add(time.Hour)
	for i := range n {
		c.Put(catalog.Key{Kind: "product", ID: int64(i + 1)}, &document{}, 0, expires)
	}
	return c
}

func BenchmarkHit(b *testing.B) {
	c := filled(b, 10_000)
	b.ReportAllocs()
	i := int64(0)
	for b.Loop() {
		if i++; i > 10_000 {
			i = 1
		}
		if _, ok := c.Get(catalog.Key{Kind: "product", ID: i}); !ok {
			b.Fatal("miss")
		}
	}
}

func BenchmarkHitOneKey(b *testing.B) {
	c := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Get(catalog.Key{Kind: "product", ID: 77}); !ok {
			b.Fatal("miss")
		}
	}
}

func BenchmarkHitAt(b *testing.B) {
	c := filled(b, 10_000)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.GetAt(catalog.Key{Kind: "product", ID: 77}, now); !ok {
			b.Fatal("miss")
		}
	}
}

func BenchmarkHitParallel(b *testing.B) {
	c := filled(b, 10_000)
	b.ReportAllocs()
	var seed atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		i := seed.Add(3571)
		for pb.Next() {
			i = i%10_000 + 1
			if _, ok := c.Get(catalog.Key{Kind: "product", ID: i}); !ok {
				b.Error("miss")
			}
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	c := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Get(catalog.Key{Kind: "shop", ID: 77}); ok {
			b.Fatal("hit")
		}
	}
}

func BenchmarkPutWithEviction(b *testing.B) {
	c := filled(b, 10_000)
	d := &document{}
	expires := time.Now().Add(time.Hour)
	b.ReportAllocs()
	i := int64(0)
	for b.Loop() {
		i++
		c.Put(catalog.Key{Kind: "product", ID: 1_000_000 + i}, d, 3*lru.Overhead, expires)
	}
}

// The stated overhead is at least what an entry costs the heap in a full cache. Go's maps
// double, so the cost swings by the size of the map; the mean counts.
func TestOverheadIsEnough(t *testing.T) {
	var cost, entries int64
	for _, n := range []int{30_000, 40_000, 50_000, 60_000} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		c, err := lru.New(lru.Config[catalog.Key, *document]{Bytes: int64(n) * lru.Overhead,
			Hash: func(k catalog.Key) uint64 { return ring.Hash(k.Kind, k.ID) }})
		if err != nil {
			t.Fatal(err)
		}
		shared := &document{}
		for i := range 4 * n { // each is used, so that what stays is protected, where it costs most
			k := catalog.Key{Kind: "product", ID: int64(i + 1)}
			c.Put(k, shared, 0, never)
			c.Get(k)
			c.Get(catalog.Key{Kind: "product", ID: int64(i+1) - int64(n/2)})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		cost += int64(after.HeapAlloc) - int64(before.HeapAlloc)
		entries += int64(c.Len())
		runtime.KeepAlive(c)
	}
	if got := cost / entries; got > lru.Overhead || got < lru.Overhead/2 {
		t.Errorf("an entry costs %d bytes of heap, the stated overhead is %d", got, lru.Overhead)
	} else {
		t.Logf("an entry costs %d bytes of heap", got)
	}
}
