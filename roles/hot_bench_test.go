package roles_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

// BenchmarkHotDetection measures, on real servers and separate processes, how
// long a product that nobody has asked for lately takes until each of three
// gateways serves its own copy of it, with 300 requests a second for other
// products beside it. The first warmUp products are not counted: the brokers and
// the ensemble were started a moment ago and compile what they run. A product
// follows the one before after half a second: more of them at once would be more
// than one in twenty of the products in the window, and then the rule's factor
// decides, not its floor.
//
//	crossing: from the request that crosses the floor of 200 in the window; 1,000 requests a second
//	burst:    from the first of 5,000 requests a second
//
//	go test ./roles -run '^$' -bench HotDetection -benchtime 200x
func BenchmarkHotDetection(b *testing.B) {
	for _, c := range []struct {
		name string
		rate int
		from int64 // which request the clock starts with
	}{{"crossing", 1000, 200}, {"burst", 5000, 1}} {
		b.Run(c.name, func(b *testing.B) {
			f := newFleet(b, shapes[3], hotlist.DefaultRule())
			l := newLoad(f)
			l.begin(300, 0, func() string { return fmt.Sprintf("/product?productId=%d&shopId=1", 500+rand.N(500)) })
			const warmUp = 40
			pace := time.NewTicker(500 * time.Millisecond)
			defer pace.Stop()
			for i := range warmUp {
				l.detect(1+i, c.rate, c.from)
				<-pace.C
			}
			var times []time.Duration
			for i := 0; b.Loop(); i++ {
				times = append(times, l.detect(1+(warmUp+i)%499, c.rate, c.from))
				<-pace.C
			}
			b.ReportMetric(percentile(times, 0.50), "p50-ms")
			b.ReportMetric(percentile(times, 0.99), "p99-ms")
			if n := l.failed.Load(); n > 0 {
				b.Errorf("%d requests failed", n)
			}
		})
	}
}

// detect makes a product hot and returns how long after the given request the
// last gateway served its own copy.
func (l *load) detect(id, rate int, from int64) time.Duration {
	path := fmt.Sprintf("/product?productId=%d&shopId=1", id)
	s := l.begin(rate, from, func() string { return path })
	defer s.close()
	probes := make([]*client, len(l.f.gateways))
	for i, g := range l.f.gateways {
		probes[i] = l.dial(g)
		defer probes[i].Close()
	}
	var seen time.Time
	for i, c := range probes {
		l.f.until(fmt.Sprintf("product %d is hot at gateway %d", id, i), func() (bool, string) {
			s.count() // it is a request like the others
			_, status := c.get(path)
			hit, hot := hitHere(answer{header: map[string][]string{"Cache-Status": {status}}})
			seen = time.Now()
			return hit && hot, status
		})
	}
	at := s.at.Load()
	if at == 0 {
		l.f.t.Fatalf("product %d is hot after %d requests, before the %dth", id, s.sent.Load(), from)
	}
	return seen.Sub(time.Unix(0, at))
}

// BenchmarkCoolDown measures how long after the last request a hot product is
// dropped by the last of three gateways: within the window, the hold time and a
// second, 16 s.
//
//	go test ./roles -run '^$' -bench CoolDown -benchtime 5x
func BenchmarkCoolDown(b *testing.B) {
	f := newFleet(b, shapes[3], hotlist.DefaultRule())
	l := newLoad(f)
	l.begin(300, 0, func() string { return fmt.Sprintf("/product?productId=%d&shopId=1", 500+rand.N(500)) })
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		l.detect(1+i, 500, 1)
		end := time.Now()
		f.untilEvery(50*time.Millisecond, "cool everywhere", func() (bool, string) { // asks the admin listeners, which counts nothing
			n := f.metric("eshop_gateway_hot_keys")
			return n == 0, fmt.Sprint(n)
		})
		times = append(times, time.Since(end))
	}
	b.ReportMetric(percentile(times, 0.50)/1e3, "p50-s")
	b.ReportMetric(percentile(times, 1)/1e3, "max-s")
}
