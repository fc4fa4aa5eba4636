package roles_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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
	f := newFleet(b, shapes[3])
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
// requests at once for a key that nobody has: origin pulls, and how long the
// slowest waiters take beyond the origin's own 100 ms.
//
//	go test ./roles -run '^$' -bench ColdKey -benchtime 20x
func BenchmarkColdKey(b *testing.B) {
	const clients, origin = 1000, 100 * time.Millisecond
	f := newFleet(b, shapes[3])
	// The connections are open beforehand: what is measured is the wait.
	crowd := func(path string) []time.Duration {
		times := make([]time.Duration, clients)
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for c := range clients {
			wg.Go(func() {
				<-begin
				start := time.Now()
				if a := f.get(f.gateways[c%len(f.gateways)], path); a.status != http.StatusOK {
					b.Errorf("%d: %.200s", a.status, a.body)
				}
				times[c] = time.Since(start)
			})
		}
		close(begin)
		wg.Wait()
		return times
	}
	var waits, hits []time.Duration
	pulls := int64(0)
	for i := 0; b.Loop(); i++ {
		id := int64(300 + i)
		f.shop.SetDelay(0)
		crowd(page(1000))
		hits = append(hits, crowd(page(1000))...)
		f.shop.SetDelay(origin)
		for _, t := range crowd(fmt.Sprintf("/product?productId=%d&shopId=50", id)) {
			waits = append(waits, t-origin)
		}
		pulls += f.shop.Count("product", id)
	}
	b.ReportMetric(float64(pulls)/float64(b.N), "pulls/key")
	b.ReportMetric(percentile(waits, 0.50), "p50-wait-ms")
	b.ReportMetric(percentile(waits, 0.99), "p99-wait-ms")
	b.ReportMetric(percentile(hits, 0.99), "p99-hit-crowd-ms")
}
