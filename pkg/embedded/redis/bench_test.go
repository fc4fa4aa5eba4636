package redis_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"eshop/pkg/embedded/redis"
)

// BenchmarkHeapPerKey reports what a stored document of 1 KiB costs in heap and
// what the estimate says.
func BenchmarkHeapPerKey(b *testing.B) {
	s := start(b, redis.Config{MaxKeys: 1 << 30, MaxBytes: 1 << 40})
	c := dial(b, s)
	body := strings.Repeat("x", 1024)
	const keys = 20_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		c.do("FLUSHALL")
		before := heap()
		for i := range keys {
			c.do("HSET", fmt.Sprint("product_info_", i), "b", body, "e", "0", "v", "1700000000000", "t", "4294967297", "f", "modifiedTime", "s", "live", "p", "1700000000000")
		}
		b.ReportMetric(float64(heap()-before)/keys, "heap-B/key")
		var used int
		fmt.Sscanf(c.do("INFO", "memory")[len("# Memory\r\nused_memory:"):], "%d", &used)
		b.ReportMetric(float64(used)/keys, "estimate-B/key")
	}
}

func BenchmarkGet(b *testing.B) {
	for _, keys := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(keys, "-keys"), func(b *testing.B) {
			c := dial(b, start(b, redis.Config{}))
			for i := range keys {
				c.do("HSET", fmt.Sprint("k", i), "b", "x")
			}
			i := 0
			for b.Loop() {
				c.do("HGET", fmt.Sprint("k", i%keys), "b")
				i++
			}
		})
	}
}
