package gateway

import (
	"fmt"
	"testing"

	"github.com/valyala/fasthttp"
)

// BenchmarkHotHit is a hit on a hot page, as BenchmarkHit is one on another; a new set of hot products
// each time is what the lookup costs that it saves otherwise.
func BenchmarkHotHit(b *testing.B) {
	for _, changes := range []bool{false, true} {
		b.Run(fmt.Sprintf("changes=%v", changes), func(b *testing.B) {
			g := newRig(b, nil)
			ctx := &fasthttp.RequestCtx{}
			ctx.Request.SetRequestURI(seedForm)
			ctx.Request.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
			ctx.Request.Header.Set("Accept-Encoding", "gzip, deflate, br")
			g.servePublic(ctx)
			g.hot.take(viewOf(7, 8, 9))
			set := *g.hot.set.Load()
			b.ReportAllocs()
			for b.Loop() {
				if changes {
					set.generation++
					g.hot.set.Store(&set) // in place: nobody else reads it
				}
				ctx.Response.Reset()
				g.servePublic(ctx)
			}
			if ctx.Response.StatusCode() != 200 {
				b.Fatal(ctx.Response.StatusCode())
			}
		})
	}
}

// BenchmarkBring is what one hot product costs when it is new: two documents from a Redis that takes no
// time, one rendering, two pages.
func BenchmarkBring(b *testing.B) {
	g := newRig(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		g.l1.pages.Purge()
		g.l1.docs.Purge()
		if !g.hot.keep.bring(b.Context(), 7) {
			b.Fatal("it could not be had")
		}
	}
}
