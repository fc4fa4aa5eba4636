package roles_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/embedded"
	"eshop/pkg/hotlist"
	"eshop/pkg/lab"
)

// BenchmarkMiss measures what a request for a page of about 10 KiB costs by how
// far it has to go, on two gateways and two cache processes, with a real Redis
// Cluster if one is installed and with embedded servers besides:
//
//	hit    the gateway that is asked has the page
//	hop    the other gateway has it and owns it: one hop
//	redis  the gateway that owns the page has nothing of it, Redis has all
//	cold   nor has Redis, so the cache role pulls the product from the shop
//
// gateway-us and cache-us are the CPU of all gateways and of all cache processes
// for a request, above what they use when nobody asks; the servers', the shop's
// and the clients' is not in it. p50-us and p99-us are seen by one of so many
// clients, each of which waits for its answer.
//
// Where the time goes, by such profiles:
//
//	hop    the owner has a quarter of the CPU, half of that writing the page; of the
//	       other gateway's share a fifth each is reading the owner's answer, asking
//	       for it and passing it on, and answering the client
//	redis  of the gateway's, three fifths make the page (template 23 %, reading the
//	       JSON 21 %, compressing 17 %), a fifth is the Redis client, a tenth HTTP
//	cold   half is the gateway's: the same, and a fifth of it asking the cache role;
//	       of the cache process's a fifth is the pull from the origin, the search
//	       for the version in the body included, and a fifth Redis
//
// With PROFILES=directory the CPU profiles of the gateways, and of the first cache
// process, are written there, of five seconds or what each takes.
//
//	go test ./roles -run '^$' -bench Miss -benchtime 5000x -count 5
func BenchmarkMiss(b *testing.B) {
	given := embedded.Config{}
	if lab.Missing("redis") == "" {
		given.RedisAddrs = lab.Redis(b).Addrs()
	}
	b.Run("kept", func(b *testing.B) { // L1 has room for all pages
		m := newMisses(b, given, usual)
		for _, clients := range []int{1, 32} {
			m.run(b, "hit", clients, 0, "eshop; hit;", nil)
			m.run(b, "hop", clients, 1, "peer; owner=gateway-0", nil)
		}
	})
	b.Run("not-kept", func(b *testing.B) { // and here for hardly one
		m := newMisses(b, given, usual, "--gateway.l1-bytes", "1MiB")
		for _, clients := range []int{1, 32} {
			m.run(b, "redis", clients, 0, "eshop-redis; hit", nil)
		}
		m.run(b, "cold", 1, 0, "fwd=uri-miss", func() {
			for _, id := range m.ids {
				lab.RedisCommand(b, m.redis, "DEL", fmt.Sprintf("%s:product_info_%d", m.name, id))
			}
		})
	})
}

// BenchmarkLoopback measures what a hit costs the gateway with so many connections,
// each of which waits for its answer, for pages of 10 KiB, and with 64 connections
// for pages of other sizes. The columns are BenchmarkMiss's.
//
//	go test ./roles -run '^$' -bench Loopback -benchtime 200000x
func BenchmarkLoopback(b *testing.B) {
	template := filepath.Join(b.TempDir(), "template.html")
	if err := os.WriteFile(template, []byte("{{.productSpecification}}"), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("10KiB", func(b *testing.B) {
		m := newMisses(b, embedded.Config{}, 10<<10, "--gateway.template", template)
		for _, connections := range []int{1, 10, 100, 1000, 8000} {
			m.run(b, "hit", connections, 0, "eshop; hit;", nil)
		}
	})
	for _, kib := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("%dKiB", kib), func(b *testing.B) {
			newMisses(b, embedded.Config{}, kib<<10, "--gateway.template", template).run(b, "hit", 64, 0, "eshop; hit;", nil)
		})
	}
}

// usual is the part of a page that differs in size, of BenchmarkMiss's pages.
const usual = 7000

// misses is a fleet with large products, of which ids belong to the first gateway.
type misses struct {
	*fleet
	ids []int
}

// newMisses begins one whose products have a specification of so many bytes.
func newMisses(b *testing.B, given embedded.Config, bytes int, flags ...string) *misses {
	s := shape{split: true, gateways: 2, flags: flags, cacheFlags: []string{"--cache.l1-bytes", "1MiB"}}
	m := &misses{fleet: newFleetOn(b, s, hotlist.DefaultRule(), given)}
	for id := 1; id <= 600; id++ {
		m.edit(http.MethodPut, fmt.Sprintf("/products/%d", id), fmt.Sprintf(`{"name":"Product %d","price":1,"specification":%q}`, id, strings.Repeat("specified ", bytes/10)))
		a := m.get(m.gateways[0], m.path(id))
		if a.status != http.StatusOK || len(a.body) < bytes/10*10 {
			b.Fatalf("product %d: %d, %d bytes", id, a.status, len(a.body))
		}
		if status := a.header.Get("Cache-Status"); strings.Contains(status, "owner=gateway-0") {
			m.ids = append(m.ids, id)
		}
	}
	return m
}

func (m *misses) path(id int) string { return fmt.Sprintf("/product?productId=%d&shopId=1", id) }

// run has clients ask a gateway for pages of the first one, each as often as any
// other; says is what Cache-Status tells of nearly all of them. before is called,
// outside the time, before each walk over all pages.
func (m *misses) run(b *testing.B, name string, clients, gateway int, says string, before func()) {
	b.Run(fmt.Sprintf("%s/clients=%d", name, clients), func(b *testing.B) {
		l := newLoad(m.fleet)
		conns := make([]*client, clients)
		for i := range conns {
			conns[i] = l.dial(m.gateways[gateway])
			defer conns[i].Close()
			for j, id := range m.ids[:min(len(m.ids), 100)] {
				if i == 0 || j == 0 {
					conns[i].get(m.path(id))
				}
			}
		}
		idle, quiet := m.used(b), time.Now()
		<-time.After(2 * time.Second)
		idle, pause := minus(m.used(b), idle), time.Since(quiet)

		var mu sync.Mutex
		var times []time.Duration
		var other atomic.Int64
		var spent [2]time.Duration
		var busy time.Duration
		profiled := m.profile(b, strings.NewReplacer("/", "-").Replace(b.Name()))
		b.ResetTimer()
		for left := b.N; left > 0; {
			part := left
			if before != nil {
				part = min(left, len(m.ids))
				b.StopTimer()
				before()
				b.StartTimer()
			}
			left -= part
			begun, start := m.used(b), time.Now()
			var next atomic.Int64
			var all sync.WaitGroup
			for _, c := range conns {
				all.Go(func() {
					var mine []time.Duration
					for i := next.Add(1) - 1; i < int64(part); i = next.Add(1) - 1 {
						sent := time.Now()
						code, status := c.get(m.path(m.ids[int(i)%len(m.ids)]))
						mine = append(mine, time.Since(sent))
						if code != http.StatusOK {
							b.Errorf("status %d %s", code, status)
							return
						}
						if !strings.Contains(status, says) {
							other.Add(1)
						}
					}
					mu.Lock()
					times = append(times, mine...)
					mu.Unlock()
				})
			}
			all.Wait()
			now := minus(m.used(b), begun)
			spent[0], spent[1], busy = spent[0]+now[0], spent[1]+now[1], busy+time.Since(start)
		}
		b.StopTimer()
		profiled()
		if len(times) == 0 {
			return
		}
		for i, unit := range []string{"gateway-us/op", "cache-us/op"} {
			own := spent[i] - time.Duration(float64(idle[i])*busy.Seconds()/pause.Seconds())
			b.ReportMetric(float64(own.Microseconds())/float64(b.N), unit)
		}
		b.ReportMetric(1000*percentile(times, 0.50), "p50-us")
		b.ReportMetric(1000*percentile(times, 0.99), "p99-us")
		b.ReportMetric(100*float64(other.Load())/float64(b.N), "otherwise-%")
	})
}

// profile begins to write profiles, if that is asked for, and returns what waits
// for the end of it.
func (m *misses) profile(b *testing.B, name string) (wait func()) {
	var all sync.WaitGroup
	dir := os.Getenv("PROFILES")
	if dir == "" || b.N < 100 {
		return all.Wait
	}
	for i, admin := range append(m.admins[:len(m.admins):len(m.admins)], "http://"+m.inner[1]+"/") {
		all.Go(func() {
			a := m.get(strings.TrimSuffix(strings.TrimPrefix(admin, "http://"), "/"), "/debug/pprof/profile?seconds=5")
			if err := os.WriteFile(fmt.Sprintf("%s/%s-%d.pprof", dir, name, i), []byte(a.body), 0o600); err != nil || a.status != http.StatusOK {
				b.Errorf("profile %s: %d, %v", name, a.status, err)
			}
		})
	}
	return all.Wait
}

// used is the CPU that the gateways, and the cache processes, have used so far.
func (m *misses) used(b *testing.B) (sum [2]time.Duration) {
	for i, pids := range [2][]int{m.pids, m.cachePids} {
		for _, pid := range pids {
			tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
			if err != nil {
				if os.Getenv("ESHOP_TEST_STRICT") == "1" {
					b.Fatal(err)
				}
				b.Skipf("the CPU of a process is read on Linux only: %v", err)
			}
			for _, task := range tasks { // to the nanosecond, where stat counts in hundredths of a second
				text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
				if err != nil {
					continue // it has ended; the runtime's threads hardly ever do
				}
				ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
				if err != nil {
					b.Fatal(err)
				}
				sum[i] += time.Duration(ns)
			}
		}
	}
	return sum
}

func minus(a, b [2]time.Duration) [2]time.Duration { return [2]time.Duration{a[0] - b[0], a[1] - b[1]} }
