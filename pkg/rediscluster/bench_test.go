package rediscluster_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"eshop/pkg/catalog"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
)

func BenchmarkStore(b *testing.B) {
	for _, backend := range []struct {
		name  string
		addrs func() []string
	}{
		{"embedded", func() []string { return []string{embedded(b).Addr()} }},
		{"cluster", func() []string { return lab.Redis(b).Addrs() }},
	} {
		b.Run(backend.name, func(b *testing.B) {
			const keys = 1000
			s, _ := open(b, rediscluster.Config{Addrs: backend.addrs()}, shop(b))
			body := strings.Repeat("x", 1024)
			var all []catalog.Key
			for id := int64(1); id <= keys; id++ {
				write(b, s, put, doc(id, 1, 1, body))
				all = append(all, product(id))
			}
			var n atomic.Int64
			n.Store(1)
			b.Run("Get", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					get(b, s, all[n.Add(1)%keys], rediscluster.FromReplica)
				}
			})
			// A page's two documents, the product one of 10 KiB.
			large := doc(keys+1, 1, 1, strings.Repeat("x", 10<<10))
			write(b, s, put, large)
			pageKeys := []catalog.Key{large.Key, product(1)}
			b.Run("GetMany-page", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if r := s.GetMany(b.Context(), pageKeys, rediscluster.FromReplica); r[0].Err != nil || len(r[0].Document.Body) != 10<<10 {
						b.Fatal(r[0])
					}
				}
			})
			b.Run("GetMany-100", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					at := n.Add(100) % (keys - 100)
					s.GetMany(b.Context(), all[at:at+100], rediscluster.FromReplica)
				}
			})
			b.Run("Write", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					t := n.Add(1)
					if o := write(b, s, put, doc(t%keys+1, 1, t, body)); !o.Accepted {
						b.Fatalf("refused: %+v", o)
					}
				}
			})
			b.Run("Write-parallel", func(b *testing.B) {
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						t := n.Add(1)
						if _, err := s.Write(b.Context(), put, doc(t%keys+1, 1, t, body)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
			b.Run("WriteMany-100", func(b *testing.B) {
				requests := make([]rediscluster.WriteRequest, 100)
				for b.Loop() {
					for i := range requests {
						t := n.Add(1)
						requests[i] = rediscluster.WriteRequest{Op: put, Document: doc(t%keys+1, 1, t, body)}
					}
					s.WriteMany(b.Context(), requests)
				}
			})
		})
	}
}
