package ring_test

import (
	"testing"

	"eshop/pkg/ring"
)

func BenchmarkHash(b *testing.B) {
	b.ReportAllocs()
	i, sum := int64(0), uint64(0)
	for b.Loop() {
		i++
		sum += ring.Hash("product", i)
	}
	_ = sum
}

func BenchmarkOwner(b *testing.B) {
	r := ring.New(members(10), 0)
	b.ReportAllocs()
	i := int64(0)
	for b.Loop() {
		i++
		r.Owner(ring.Hash("product", i))
	}
}

func BenchmarkOwnerBounded(b *testing.B) {
	r := ring.New(members(10), 0)
	load := func(ring.Member) int64 { return 3 }
	b.ReportAllocs()
	i := int64(0)
	for b.Loop() {
		i++
		r.OwnerBounded(ring.Hash("product", i), load, 1.25)
	}
}

func BenchmarkNew(b *testing.B) {
	all := members(10)
	b.ReportAllocs()
	for b.Loop() {
		ring.New(all, 0)
	}
}
