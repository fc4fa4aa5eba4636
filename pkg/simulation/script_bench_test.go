package simulation

import (
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// BenchmarkCompareAndSet is one write: the script's text on the store of a node.
func BenchmarkCompareAndSet(b *testing.B) {
	s, err := newScript()
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	on := &store{}
	token := int64(0)
	for b.Loop() {
		token++
		doc := catalog.Document{Key: catalog.Key{Kind: "product", ID: 7}, State: catalog.Live, Body: []byte("{}"), Stamp: catalog.Stamp{Token: token}}
		answer, err := s.run(on, "product_info_7", rediscluster.Arguments(rediscluster.WriteRequest{Op: rediscluster.Put, Document: doc}, time.Hour))
		if err != nil {
			b.Fatal(err)
		}
		if out, _, err := rediscluster.ParseOutcome(answer); err != nil || !out.Accepted {
			b.Fatal(out, err)
		}
		on.log = on.log[:0]
	}
}
