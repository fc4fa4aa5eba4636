package gateway

import (
	"testing"

	"github.com/valyala/fasthttp"
)

// BenchmarkHit is the public handler on a page in L1, as a browser asks for it.
func BenchmarkHit(b *testing.B) {
	for _, c := range []struct{ name, target string }{
		{"query", "/product?requestPath=product&productId=7&shopId=3"},
		{"path", "/product/7"},
		{"json", "/product/7.json"},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := newRig(b, nil)
			hit := func(ctx *fasthttp.RequestCtx) {
				ctx.Response.Reset()
				g.servePublic(ctx)
			}
			ctx := &fasthttp.RequestCtx{}
			ctx.Request.SetRequestURI(c.target)
			ctx.Request.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
			ctx.Request.Header.Set("Accept-Encoding", "gzip, deflate, br")
			ctx.Request.Header.Set("User-Agent", "Mozilla/5.0")
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
		})
	}
}
