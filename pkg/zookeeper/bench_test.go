package zookeeper_test

import (
	"context"
	"fmt"
	"testing"

	embedded "eshop/pkg/embedded/zookeeper"
	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

// BenchmarkLock takes and releases an uncontended lock.
func BenchmarkLock(b *testing.B) {
	onBothBench(b, func(b *testing.B, s *zookeeper.Session) {
		for i := 0; b.Loop(); i++ {
			ticket, err := s.Enqueue(b.Context(), fmt.Sprint("product-", i%100))
			if err != nil {
				b.Fatal(err)
			}
			if err := ticket.Wait(b.Context()); err != nil {
				b.Fatal(err)
			}
			ticket.Release()
		}
	})
}

// BenchmarkToken takes a token without a lock.
func BenchmarkToken(b *testing.B) {
	onBothBench(b, func(b *testing.B, s *zookeeper.Session) {
		for b.Loop() {
			if _, err := s.Token(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func onBothBench(b *testing.B, body func(*testing.B, *zookeeper.Session)) {
	run := func(b *testing.B, addrs []string) {
		s, err := zookeeper.New(zookeeper.Config{Servers: addrs, Root: "/" + lab.Name(b)}, zookeeper.Deps{})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		if _, err := s.Token(b.Context()); err != nil {
			b.Fatal(err)
		}
		body(b, s)
		cancel()
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
	b.Run("embedded", func(b *testing.B) {
		server, err := embedded.Start(b.Context(), embedded.Config{}, embedded.Deps{})
		if err != nil {
			b.Fatal(err)
		}
		defer server.Close()
		run(b, []string{server.Addr()})
	})
	b.Run("real", func(b *testing.B) { run(b, lab.ZooKeeper(b).Addrs()) })
}
