package gateway

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	runtimemetrics "runtime/metrics"
	"slices"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/fastpath"
)

// BenchmarkGrowth is a hit of the fast path on a random page of so many, of 1 KiB
// and with one document each. Beside the time it reports
//
//	B/page         what a page costs the heap beyond its own bytes and its document's, everything counted
//	gc-%           the collector's share of all CPU while one request in a hundred brings a new page (collectorShare)
//	p99.9-ns       of hits, one at a time
//	p99.9-in-gc-ns of hits while the heap is being collected all the time
//
// A million pages, with ESHOP_LONG=1, take about 4 GiB.
func BenchmarkGrowth(b *testing.B) {
	sizes := []int{1_000, 10_000}
	if os.Getenv("ESHOP_LONG") == "1" {
		sizes = append(sizes, 100_000, 1_000_000)
	}
	for _, n := range sizes {
		b.Run(fmt.Sprintf("pages=%d", n), func(b *testing.B) {
			g := newRig(b, func(c *Config, _ *Deps) { c.L1Bytes = int64(n) * 8 << 10 })
			before := heap()
			own := 0
			for id := range n {
				own += keepPage(b, g, int64(id+1))
			}
			perPage := float64(int64(heap()-before)-int64(own)) / float64(n)
			if held := g.l1.pages.Len(); held < n*99/100 {
				b.Fatalf("%d of %d pages are held", held, n)
			}
			q, a := &fastpath.Request{}, fastpath.NewAnswer()
			target := make([]byte, 0, 32)
			rnd := rand.New(rand.NewPCG(1, 2))
			hit := func() bool {
				a.Reset()
				target = fmt.Appendf(target[:0], "/product/%d", 1+rnd.IntN(n))
				q.Target, a.Now = target, time.Now()
				return g.answerHit(q, a)
			}
			b.ReportAllocs()
			misses := 0
			for b.Loop() {
				if !hit() {
					misses++
				}
			}
			b.StopTimer()
			b.ReportMetric(perPage, "B/page")
			b.ReportMetric(p999(func() { hit() }), "p99.9-ns")
			stop := make(chan struct{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					select {
					case <-stop:
						return
					default:
						runtime.GC()
					}
				}
			}()
			b.ReportMetric(p999(func() { hit() }), "p99.9-in-gc-ns")
			close(stop)
			<-done
			b.ReportMetric(100*collectorShare(b, g, n, func() { hit() }), "gc-%")
		})
	}
}

// keepPage puts a page of 1 KiB into L1, with the document it is made of, and returns
// the bytes of both.
func keepPage(tb testing.TB, g *rig, id int64) int {
	doc := catalog.Document{Key: catalog.Key{Kind: "product", ID: id}, State: catalog.Live, Stamp: catalog.Stamp{Version: 1, Token: id},
		Body: fmt.Appendf(nil, `{"id":%d}`, id)}
	now := time.Now()
	f, ok := g.l1.index.admit(doc, verification{at: now, soft: time.Hour})
	if !ok {
		tb.Fatal("the document was refused")
	}
	body := make([]byte, 1<<10)
	for i := range body {
		body[i] = byte('a' + rand.IntN(26))
	}
	p, err := g.newPage(pageKey{id: id}, body, []*flag{f}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	g.l1.putPage(p, now.Add(time.Hour))
	g.l1.put(&entry{flag: f, doc: doc}, time.Hour)
	return len(p.plain.body) + len(p.gzip.body) + len(doc.Body)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// p999 is the time that one in a thousand calls exceeds.
func p999(call func()) float64 {
	took := make([]time.Duration, 300_000)
	for i := range took {
		start := time.Now()
		call()
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return float64(took[len(took)*999/1000])
}

// collectorShare is the collector's part of the CPU that hits and one new page for
// every hundred of them take, without the network. At a million pages a collection
// comes once in a hundred million hits, so its cost is measured by itself, and how
// often it comes is reckoned: each time as much has been allocated as is alive.
func collectorShare(b *testing.B, g *rig, pages int, hit func()) float64 {
	const hits, collections = 200_000, 3
	live := heap()
	before := collectorCPU()
	for range collections {
		runtime.GC()
	}
	after := collectorCPU()
	each := (after - before) / collections

	var m0, m1 runtime.MemStats
	runtime.ReadMemStats(&m0)
	start := cpuTime(b)
	for i := range hits {
		if i%100 == 0 {
			pages++
			keepPage(b, g, int64(pages))
		}
		hit()
	}
	worked := (cpuTime(b) - start).Seconds()
	runtime.ReadMemStats(&m1)
	collected := float64(m1.NumGC - m0.NumGC) // those that came meanwhile
	worked -= collected * each
	spent := each * float64(m1.TotalAlloc-m0.TotalAlloc) / float64(live)
	return spent / (spent + worked)
}

// collectorCPU returns the seconds of CPU that collections took so far.
func collectorCPU() float64 {
	s := []runtimemetrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	runtimemetrics.Read(s)
	return s[0].Value.Float64()
}
