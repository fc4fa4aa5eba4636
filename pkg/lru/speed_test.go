package lru_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// BenchmarkRivals is the time of a use in each cache, at 2 and at 64 goroutines:
// hits only, of keys drawn from 10,000 that all have room; and Zipf 1.0 over
// 200,000 keys with room for a tenth of them, where a miss is followed by a put.
//
//	go test ./pkg/lru -run '^$' -bench Rivals -cpu 2 -count 5
func BenchmarkRivals(b *testing.B) {
	const held, room = 10_000, 20_000
	mixed := zipf(1<<18, 1.0, 10*room)
	hits := make([]int, 1<<18)
	for i := range hits {
		hits[i] = rand.IntN(held)
	}
	for _, kind := range []struct {
		name string
		keys []int
	}{{"hits", hits}, {"mixed", mixed}} {
		for _, goroutines := range []int{2, 64} {
			for _, r := range rivals() {
				b.Run(fmt.Sprintf("%s/%d/%s", kind.name, goroutines, r.name), func(b *testing.B) {
					c := r.shared(room)
					for k := range held {
						c.put(k)
					}
					b.SetParallelism(max(1, goroutines/2))
					b.ReportAllocs()
					b.ResetTimer()
					b.RunParallel(func(pb *testing.PB) {
						for i := rand.IntN(len(kind.keys)); pb.Next(); i++ {
							if k := kind.keys[i%len(kind.keys)]; !c.get(k) {
								c.put(k)
							}
						}
					})
				})
			}
		}
	}
}
