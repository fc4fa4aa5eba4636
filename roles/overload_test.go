package roles_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/hotlist"
	"eshop/pkg/lab"
)

// long scales the tests of overload to the numbers that the product promises.
func long(quick, promised int) int {
	if os.Getenv("ESHOP_LONG") != "" {
		return promised
	}
	return quick
}

// latencies are those of requests that got their answer.
type latencies struct {
	mu   sync.Mutex
	all  []time.Duration
	lost atomic.Int64 // requests that were not answered 200
}

func (l *latencies) took(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

func (l *latencies) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return "no requests"
	}
	all := slices.Clone(l.all)
	return fmt.Sprintf("%d requests, %d failed; p50 %.2f ms, p99 %.2f ms, max %.1f ms", int64(len(all))+l.lost.Load(), l.lost.Load(),
		percentile(all, 0.5), percentile(all, 0.99), percentile(all, 1))
}

// steady asks every gateway, at the rate in all, for known products until end
// is called, each request at its own time whatever became of the others.
func (f *fleet) steady(rate int, path func() string) (l *latencies, end func()) {
	l = &latencies{}
	const each = 4
	stop := make(chan struct{})
	var wg sync.WaitGroup
	load := newLoad(f)
	pause := time.Second * time.Duration(each*len(f.gateways)) / time.Duration(rate)
	for i := range each * len(f.gateways) {
		c := load.dial(f.gateways[i%len(f.gateways)])
		wg.Go(func() {
			defer c.Close()
			tick := time.NewTicker(pause)
			defer tick.Stop()
			for {
				select {
				case <-tick.C:
				case <-stop:
					return
				}
				begin := time.Now()
				if status, _ := c.get(path()); status != 200 {
					l.lost.Add(1)
					continue
				}
				l.took(time.Since(begin))
			}
		})
	}
	end = sync.OnceFunc(func() { close(stop); wg.Wait() })
	f.t.Cleanup(end)
	return l, end
}

// TestColdKeyWithManyWaiters has 2,500 clients (500 without ESHOP_LONG) of each of
// four gateways ask for the same product, which nobody has asked for before, of
// an origin that takes a second: one pull, and everybody is answered.
func TestColdKeyWithManyWaiters(t *testing.T) {
	each, delay := long(500, 2500), time.Second
	s := shapes[3]
	s.gateways = 4
	s.cacheFlags = []string{"--origin.timeout", "4s"} // one machine has all of them to do
	f := newFleet(t, s, hotlist.DefaultRule())
	const id = 900
	path := fmt.Sprintf("/product?productId=%d&shopId=45", id)
	l := newLoad(f)
	var clients []*client
	for range each {
		for _, g := range f.gateways {
			c := l.dial(g)
			t.Cleanup(func() { c.Close() })
			clients = append(clients, c)
		}
	}
	before := f.memory()
	f.shop.SetDelay(delay)
	waited := &latencies{}
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, c := range clients {
		all.Go(func() {
			<-start
			begin := time.Now()
			if status, why := c.get(path); status != 200 {
				t.Errorf("a waiter got %d %s", status, why)
				waited.lost.Add(1)
				return
			}
			waited.took(time.Since(begin))
		})
	}
	close(start)
	most, peak := 0.0, before
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for running := true; running; {
		most, peak = max(most, f.metric("eshop_gateway_beyond_requests")), max(peak, f.memory())
		select {
		case <-done:
			running = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	product, shop := f.shop.Count("product", id), f.shop.Count("shop", 45)
	t.Logf("4 gateways × %d clients, origin %v: %d pulls of the product, %d of the shop; %v waited at once; %v; memory of the gateways %d → %d MiB",
		each, delay, product, shop, most, waited, before>>20, peak>>20)
	if product != 1 || shop != 1 {
		t.Errorf("%d pulls of the product and %d of the shop, want one of each", product, shop)
	}
}

// TestUnknownIDs floods the gateways with a million (8,000 without ESHOP_LONG)
// ids that do not exist: half of them from one address, half from as many
// addresses as there are requests, behind a load balancer. No product that L1
// had leaves it, all requests for these are answered, Redis gets no key, and the
// origin hears of few (invariants 5 and 9, PITFALL 12).
func TestUnknownIDs(t *testing.T) {
	const known = 600
	n := long(8_000, 1_000_000)
	s := shapes[3]
	const rate = 50 // pulls a second that may end in 404, of each cache process
	s.flags = []string{"--gateway.trusted-proxies", "127.0.0.1"}
	s.cacheFlags = []string{"--cache.unknown-rate", strconv.Itoa(rate)}
	f := newFleet(t, s, hotlist.DefaultRule())
	path := func(id int64) string { return fmt.Sprintf("/product?productId=%d&shopId=1", id) }
	for id := int64(1); id <= known; id++ {
		for _, g := range f.gateways {
			f.get(g, path(id))
		}
	}
	held := map[string][]int64{} // by gateway: what it serves from its own memory
	for _, g := range f.gateways {
		for id := int64(1); id <= known; id++ {
			if hit, _ := hitHere(f.get(g, path(id))); hit {
				held[g] = append(held[g], id)
			}
		}
	}
	pulls, keys, memory := f.pulls(), f.redisKeys(), f.memory()
	normal, end := f.steady(200, func() string { return path(1 + rand.Int64N(known)) })
	flood := func(name string, client func(i int) string) {
		before, begin := f.pulls(), time.Now()
		var statuses [600]atomic.Int64
		l := newLoad(f)
		var wg sync.WaitGroup
		const connections = 48
		for c := range connections {
			conn := l.dial(f.gateways[c%len(f.gateways)])
			wg.Go(func() {
				defer conn.Close()
				for i := c; i < n/2; i += connections {
					status, why := conn.getAs(path(1_000_000+rand.Int64N(1<<50)), client(i))
					if statuses[status].Add(1); status == 0 {
						t.Errorf("%s: %s", name, why)
						return
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(begin)
		t.Logf("%s: %d ids in %v: %d × 404, %d × 429, %d × 503; %d pulls of the origin", name, n/2, took.Round(time.Millisecond),
			statuses[404].Load(), statuses[429].Load(), statuses[503].Load(), f.pulls()-before)
		// Each cache process has saved up ten seconds' worth and goes into debt by as
		// much at most; an id that the batch form leaves out is asked for once more.
		if limit := 2 * fleetCaches * (20*rate + int64(took.Seconds()*rate)); f.pulls()-before > limit {
			t.Errorf("%s: %d pulls of the origin, at most %d may be", name, f.pulls()-before, limit)
		}
		if n := statuses[200].Load(); n > 0 {
			t.Errorf("%s: %d ids that do not exist were answered with a page", name, n)
		}
	}
	flood("from one address", func(int) string { return "198.51.100.7" })
	flood("from as many addresses", func(i int) string { return fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff) })
	end()
	lost := 0
	for g, ids := range held {
		for _, id := range ids {
			if hit, _ := hitHere(f.get(g, path(id))); !hit {
				lost++
			}
		}
	}
	grown := f.redisKeys() - keys
	t.Logf("normal traffic meanwhile: %v; %d known pages left L1; Redis has %d more keys; %d pulls in all; memory of the gateways %d → %d MiB",
		normal, lost, grown, f.pulls()-pulls, memory>>20, f.memory()>>20)
	if lost != 0 || grown != 0 || normal.lost.Load() != 0 {
		t.Errorf("%d known pages left L1, Redis has %d more keys, %d requests for known products failed; want none", lost, grown, normal.lost.Load())
	}
}

// pulls is how many documents the shop was asked for.
func (f *fleet) pulls() (n int64) {
	for _, c := range f.shop.Pulls() {
		n += c
	}
	return n
}

// redisKeys counts the keys of this fleet in Redis.
func (f *fleet) redisKeys() (n int) {
	f.t.Helper()
	cluster := lab.Redis(f.t)
	seen := map[*lab.Node]bool{}
	for slot := 0; slot < 16384; slot += 512 {
		node := cluster.Master(slot)
		if seen[node] {
			continue
		}
		seen[node] = true
		ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
		text, err := cluster.Do(ctx, node, "EVAL", "return #redis.call('keys', ARGV[1])", "0", f.name+":*")
		cancel()
		count, bad := strconv.Atoi(strings.TrimPrefix(text, ":"))
		if err != nil || bad != nil {
			f.t.Fatalf("count the keys of %s: %v %v", node.Addr(), err, bad)
		}
		n += count
	}
	return n
}
