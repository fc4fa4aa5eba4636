package roles_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/hotlist"
	"eshop/pkg/zookeeper"
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
			pace := func() { <-time.After(450*time.Millisecond + rand.N(100*time.Millisecond)) } // in step with no other clock
			for i := range warmUp {
				l.detect(1+i, c.rate, c.from)
				pace()
			}
			var times []time.Duration
			for i := 0; b.Loop(); i++ {
				times = append(times, l.detect(1+(warmUp+i)%499, c.rate, c.from))
				pace()
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

// BenchmarkHotFlapping counts how often products turn hot and cool while three of
// them are asked for just so often, at random, that their hits in the window sit on
// the floor, a tenth below and a tenth above it, and the others with a long tail,
// Zipf 1.0 over 997 products at 1,000 requests a second in all. An iteration is a second.
//
//	go test ./roles -run '^$' -bench HotFlapping -benchtime 60x
func BenchmarkHotFlapping(b *testing.B) {
	const rate, others = 1000, 997
	f := newFleet(b, shapes[3], hotlist.DefaultRule())
	onFloor := float64(f.rule.Floor) / time.Duration(f.rule.Window).Seconds() / rate
	session, err := zookeeper.New(zookeeper.Config{Servers: f.zk, Root: "/" + f.name}, zookeeper.Deps{Log: testLog(), Registry: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	background(b, "session", session.Run)
	var mu sync.Mutex
	begun, ended, hot := map[int64]int{}, 0, map[int64]hotlist.Key{}
	background(b, "watch", func(ctx context.Context) error {
		hotlist.New(hotlist.Deps{Session: session, Log: testLog()}).Watch(ctx, func(v *hotlist.View) {
			mu.Lock()
			defer mu.Unlock()
			for id := range v.Hot {
				if _, was := hot[id]; !was {
					begun[id]++
				}
			}
			for id := range hot {
				if _, is := v.Hot[id]; !is {
					ended++
				}
			}
			hot = v.Hot
		})
		return nil
	})
	l := newLoad(f)
	l.begin(rate, 0, func() string {
		id, at := others, rand.Float64()
		for _, share := range []float64{0.9, 1, 1.1} {
			id++
			if at -= share * onFloor; at < 0 {
				break
			}
		}
		if at >= 0 {
			id = int(math.Pow(others+1, rand.Float64()))
		}
		return fmt.Sprintf("/product?productId=%d&shopId=1", id)
	})
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for b.Loop() {
		<-second.C
	}
	mu.Lock()
	defer mu.Unlock()
	onTheFloor, again := 0, 0
	for id, n := range begun {
		if id > others {
			onTheFloor++
		}
		again += n - 1
	}
	b.ReportMetric(float64(len(begun)), "turned-hot")
	b.ReportMetric(float64(onTheFloor), "of-them-on-the-floor")
	b.ReportMetric(float64(ended), "cooled")
	b.ReportMetric(float64(again), "hot-again")
}
