package gateway

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/catalog"
)

// BenchmarkBatch is the JSON of products over loopback, all of it in L1, asked for
// by eight clients that each wait for their answer: one product by a request (one),
// or fifty of them (batch). cpu-ns/product is what the whole process spends for
// each: the gateway, and a client that writes ready bytes and counts those that
// come back. A page is compressed once, when it is made, the answer to a batch each
// time.
//
//	go test ./roles/gateway -run '^$' -bench Batch -count 5
func BenchmarkBatch(b *testing.B) {
	for _, kib := range []int{1, 10} {
		for _, encoding := range []string{"plain", "gzip"} {
			for _, ids := range []int{1, 50} {
				b.Run(fmt.Sprintf("%dKiB/%s/%s", kib, encoding, map[int]string{1: "one", 50: "batch"}[ids]), func(b *testing.B) {
					benchmarkBatch(b, kib, encoding, ids)
				})
			}
		}
	}
}

func benchmarkBatch(b *testing.B, kib int, encoding string, each int) {
	const products, clients = 500, 8
	g := newRig(b, func(c *Config, _ *Deps) { c.L1Bytes = 256 << 20 })
	for id := int64(1); id <= products; id++ {
		g.redis.set(catalog.Document{Key: catalog.Key{Kind: "product", ID: id}, State: catalog.Live, Stamp: catalog.Stamp{Version: 1, Token: 1000}, Pulled: time.Now(),
			Body: fmt.Appendf(nil, `{"id":%d,"name":"No. %d","price":"%d.90","shopId":1,"text":%q}`, id, id, id, words(uint32(id), kib<<10-120))})
	}
	g.redis.set(shopNo(1))
	for id := range products {
		if ctx := g.get(b, fmt.Sprintf("/api/v1/products/%d", id+1)); ctx.Response.StatusCode() != 200 || len(ctx.Response.Body()) < kib<<10-200 {
			b.Fatalf("product %d: status %d, %d bytes", id+1, ctx.Response.StatusCode(), len(ctx.Response.Body()))
		}
	}
	addr, _ := serveLoopback(b, g)
	requests := make([]string, products/each)
	for n := range requests {
		target := fmt.Sprintf("%s/%d", productsPath, n+1)
		if each > 1 {
			var ids []string
			for i := range each {
				ids = append(ids, fmt.Sprint(n*each+i+1))
			}
			target = productsPath + "?ids=" + strings.Join(ids, ",")
		}
		requests[n] = "GET " + target + " HTTP/1.1\r\nHost: shop\r\n\r\n"
		if encoding == "gzip" {
			requests[n] = strings.Replace(requests[n], "\r\n\r\n", "\r\nAccept-Encoding: gzip\r\n\r\n", 1)
		}
	}
	var left, asked atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	ask := func(c net.Conn, first int) {
		buf := make([]byte, 1<<20)
		for n := first; left.Add(-int64(each)) > -int64(each); n++ {
			if err := askRaw(c, buf, requests[n%len(requests)]); err != nil {
				b.Error(err)
				return
			}
			asked.Add(int64(each))
			if !bytes.Contains(buf[:400], []byte("eshop; hit; ")) || bytes.Contains(buf[:400], []byte("gzip")) != (encoding == "gzip") {
				b.Errorf("not as it should be: %.400q", buf)
				return
			}
		}
	}
	conns := make([]net.Conn, clients)
	for i := range conns {
		c := transport{}.dial(b, addr)
		if err := c.SetDeadline(time.Time{}); err != nil {
			b.Fatal(err)
		}
		conns[i] = c
	}
	b.ResetTimer()
	before := cpuTime(b)
	for i, c := range conns {
		wg.Go(func() { ask(c, i*len(requests)/clients) })
	}
	wg.Wait()
	b.ReportMetric(float64(cpuTime(b)-before)/float64(asked.Load()), "cpu-ns/product")
}

// words is so much text, different for each seed, that compresses about as text does.
func words(seed uint32, size int) string {
	var b strings.Builder
	for b.Len() < size {
		seed = seed*1664525 + 1013904223
		fmt.Fprintf(&b, "%s%d ", []string{"steel", "kettle", "of", "with", "a", "watt", "lid", "handle"}[seed>>29], seed>>24&31)
	}
	return b.String()[:size]
}
