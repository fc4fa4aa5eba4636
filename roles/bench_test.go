package roles_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

// percentile of unsorted durations, in milliseconds.
func percentile(all []time.Duration, p float64) float64 {
	slices.Sort(all)
	return float64(all[min(len(all)-1, int(float64(len(all))*p))]) / 1e6
}

// BenchmarkChangeToLastGateway measures, on real servers and separate processes,
// the time from producing a change message as a console producer would to the
// moment the last of three gateways serves the new page.
//
//	go test ./roles -run '^$' -bench ChangeToLastGateway -benchtime 500x
func BenchmarkChangeToLastGateway(b *testing.B) {
	f := newFleet(b, shapes[3], hotlist.DefaultRule())
	times := make([]time.Duration, 0, b.N)
	for i := 0; b.Loop(); i++ {
		id := 100 + i%300
		path, name := fmt.Sprintf("/product?productId=%d&shopId=1", id), fmt.Sprintf("change-%d-of-%d", i, b.N)
		for _, g := range f.gateways {
			f.get(g, path)
		}
		f.edit(http.MethodPut, fmt.Sprintf("/products/%d", id), fmt.Sprintf(`{"name":%q}`, name))
		start := time.Now()
		f.change(fmt.Sprintf(`{"serviceId":"productInfoService","productId":%d,"shopId":1}`, id))
		for _, g := range f.gateways {
			f.until("the change shows", func() (bool, string) {
				a := f.get(g, path)
				return strings.Contains(a.body, name), a.body
			})
		}
		times = append(times, time.Since(start))
	}
	b.ReportMetric(percentile(times, 0.50), "p50-ms")
	b.ReportMetric(percentile(times, 0.99), "p99-ms")
}

// BenchmarkColdKey measures, on real servers and separate processes, 1,000
// requests at once for a key that nobody has: origin pulls, and how much longer
// than the origin's own 200 ms the requests take. The clients share the two
// cores with the servers, so p99-hit, the same crowd on a page that is cached,
// says what the crowd alone costs.
//
//	go test ./roles -run '^$' -bench ColdKey -benchtime 20x
func BenchmarkColdKey(b *testing.B) {
	const origin = 200 * time.Millisecond
	f := newFleet(b, shapes[3], hotlist.DefaultRule())
	c := newCrowd(b, f, 1000)
	var waits, hits []time.Duration
	pulls := int64(0)
	for i := 0; b.Loop(); i++ {
		id := int64(300 + i)
		f.shop.SetDelay(0)
		hits = append(hits, c.ask(b, "/product?productId=1000&shopId=50")...)
		f.shop.SetDelay(origin)
		for _, t := range c.ask(b, fmt.Sprintf("/product?productId=%d&shopId=50", id)) {
			waits = append(waits, t-origin)
		}
		pulls += f.shop.Count("product", id)
	}
	b.ReportMetric(float64(pulls)/float64(b.N), "pulls/key")
	b.ReportMetric(percentile(waits, 0.50), "p50-wait-ms")
	b.ReportMetric(percentile(waits, 0.99), "p99-wait-ms")
	b.ReportMetric(percentile(hits, 0.99), "p99-hit-ms")
}

// crowd is many clients with open connections, spread over the gateways. They
// write bytes made beforehand and look at no more of an answer than they must,
// so that little of what is measured is theirs.
type crowd struct{ conns []net.Conn }

func newCrowd(b *testing.B, f *fleet, clients int) *crowd {
	c := &crowd{}
	for i := range clients {
		conn, err := net.Dial("tcp", f.gateways[i%len(f.gateways)])
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		c.conns = append(c.conns, conn)
	}
	for range 3 { // the servers' goroutines and buffers for so many connections
		c.ask(b, "/product?productId=1000&shopId=50")
	}
	return c
}

// ask sends the request on every connection and returns how long each answer
// took from the moment the first was sent.
func (c *crowd) ask(b *testing.B, path string) []time.Duration {
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: shop\r\n\r\n")
	times := make([]time.Duration, len(c.conns))
	start := time.Now()
	for _, conn := range c.conns {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for i, conn := range c.conns {
		wg.Go(func() {
			page := make([]byte, 0, 8<<10)
			for !bytes.HasSuffix(page, []byte("</html>\n")) {
				n, err := conn.Read(page[len(page):cap(page)])
				if err != nil || n == 0 || len(page) == 0 && !bytes.HasPrefix(page[:n], []byte("HTTP/1.1 200 ")) {
					b.Errorf("client %d: %v: %.200s", i, err, page[:len(page)+n])
					return
				}
				page = page[:len(page)+n]
			}
			times[i] = time.Since(start)
		})
	}
	wg.Wait()
	return times
}
