package gateway

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/valyala/fasthttp"

	"eshop/pkg/degrade"
	"eshop/pkg/kafka"
)

// browse is a request as a browser sends it.
func browse(target string) *fasthttp.RequestCtx {
	ctx := &fasthttp.RequestCtx{}
	head := "GET " + target + " HTTP/1.1\r\nHost: shop.example\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
		"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: session=0123456789abcdef\r\n\r\n"
	if err := ctx.Request.Read(bufio.NewReader(strings.NewReader(head))); err != nil {
		panic(err)
	}
	return ctx
}

// BenchmarkHit is the public handler on a page in L1, as a browser asks for it.
func BenchmarkHit(b *testing.B) {
	for _, c := range []struct{ name, target string }{
		{"query", "/product?requestPath=product&productId=7&shopId=3"},
		{"path", "/product/7"},
		{"json", "/product/7.json"},
	} {
		b.Run(c.name, func(b *testing.B) {
			benchmarkHits(b, newRig(b, nil), c.target)
		})
	}
}

// BenchmarkQuickHit is the same by the fast path, without the network.
func BenchmarkQuickHit(b *testing.B) {
	for _, target := range []string{"/product?requestPath=product&productId=7&shopId=3", "/product/7", "/product/7.json"} {
		b.Run(target, func(b *testing.B) {
			g := newRig(b, nil)
			g.get(b, target)
			hit := quick(b, g, target)
			b.ReportAllocs()
			for b.Loop() {
				hit()
			}
		})
	}
}

// BenchmarkQuickHitEverywhere is the same from all cores at once, for one page and for
// a thousand: with -cpu 1,2 the time should halve.
func BenchmarkQuickHitEverywhere(b *testing.B) {
	for _, pages := range []int{1, 1000} {
		b.Run(fmt.Sprintf("pages=%d", pages), func(b *testing.B) {
			g := newRig(b, nil)
			for id := range pages {
				keepPage(b, g, int64(id+1))
			}
			var conns atomic.Uint64
			b.RunParallel(func(pb *testing.PB) {
				conn := conns.Add(1)
				hits := make([]func(), pages)
				for id := range hits {
					hits[id] = quickOn(b, g, conn, fmt.Sprintf("/product/%d", id+1))
				}
				for i := 0; pb.Next(); i++ {
					hits[i%pages]()
				}
			})
		})
	}
}

// BenchmarkHitDegraded is a hit while both degrade switches are set for all kinds.
func BenchmarkHitDegraded(b *testing.B) {
	g := newRig(b, nil)
	g.servePublic(browse("/product/7"))
	modes := new(pageModes)
	modes[0] = degrade.NoOrigin | degrade.StaleOnly
	g.degraded.pages.Store(modes)
	benchmarkHits(b, g, "/product/7")
}

func benchmarkHits(b *testing.B, g *rig, target string) {
	hit := func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Reset()
		g.servePublic(ctx)
	}
	ctx := browse(target)
	hit(ctx)
	hit(ctx)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		hit(ctx)
	}
	b.StopTimer()
	if ctx.Response.StatusCode() != 200 {
		b.Fatal(ctx.Response.StatusCode())
	}
}

// instant is a Kafka that takes no time: what the access log costs by itself.
type instant struct{ *books }

func (instant) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (instant) Partitions(string) int         { return 8 }
func (s instant) Offer(r kafka.Record) bool {
	s.acknowledged(r)
	return true
}

// BenchmarkHitLogged is a hit in each mode of the access log, its flusher at
// work, on one goroutine and on all cores at the same page.
func BenchmarkHitLogged(b *testing.B) {
	for _, log := range []AccessLog{{Mode: AccessOff}, {Mode: AccessCounts}, {Mode: AccessSampled, Sample: 100}, {Mode: AccessFull}} {
		running := func(b *testing.B) *rig {
			g := newRig(b, func(c *Config, _ *Deps) { c.AccessLog = log })
			g.access.out = instant{g.access.books}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- g.access.run(ctx) }()
			b.Cleanup(func() { cancel(); <-done })
			return g
		}
		b.Run(log.Mode+"/one", func(b *testing.B) { benchmarkHits(b, running(b), "/product/7") })
		b.Run(log.Mode+"/all", func(b *testing.B) {
			g := running(b)
			g.servePublic(browse("/product/7"))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				ctx := browse("/product/7")
				for pb.Next() {
					ctx.Response.Reset()
					g.servePublic(ctx)
				}
			})
		})
	}
}
