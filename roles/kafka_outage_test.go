package roles_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/embedded"
	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// TestKafkaPaused stops every broker for a while (60 s with ESHOP_LONG, else 6)
// while pages are asked for: no page fails, the gateways' memory stays bounded,
// every request is afterwards either in the log or among the counted drops, and
// a product turns hot again without a restart of anything (invariants 9 and 12;
// PITFALLS 13, 14, 23, 24).
func TestKafkaPaused(t *testing.T) {
	outage := 6 * time.Second
	if os.Getenv("ESHOP_LONG") != "" {
		outage = time.Minute
	}
	brokers := lab.KafkaNew(t)
	f := newFleetOn(t, shapes[3], hotlist.DefaultRule(),
		embedded.Config{RedisAddrs: lab.Redis(t).Addrs(), ZooKeeperServers: lab.ZooKeeper(t).Addrs(), Kafka: kafka.Config{Brokers: brokers.Addrs()}})
	l := newLoad(f)
	s := l.begin(600, 0, func() string { return fmt.Sprintf("/product?productId=%d&shopId=1", 1+rand.N(900)) })
	f.until("the log has hits", func() (bool, string) {
		n := f.metric("eshop_accesslog_hits_total")
		return n > 600, fmt.Sprint(n)
	})
	before := f.memory()
	for _, n := range brokers.Nodes() {
		n.Pause()
	}
	<-time.After(outage)
	after := f.memory()
	for _, n := range brokers.Nodes() {
		n.Resume()
	}
	resumed := time.Now()
	if n := l.failed.Load(); n != 0 {
		t.Errorf("%d of %d requests failed", n, s.sent.Load())
	}
	if after-before > 64<<20 {
		t.Errorf("the gateways grew from %d to %d MiB", before>>20, after>>20)
	}
	// Asked for so often, the product is hot as soon as counting goes on.
	hot := l.begin(200, 0, func() string { return "/product?productId=950&shopId=1" })
	for _, g := range f.gateways {
		f.untilEvery(20*time.Millisecond, "hot again at "+g, func() (bool, string) {
			a := f.get(g, "/product?productId=950&shopId=1")
			hit, hot := hitHere(a)
			return hit && hot, a.header.Get("Cache-Status")
		})
	}
	t.Logf("outage %v: %d requests, %d failed; memory of the gateways %d → %d MiB; hot everywhere %v after it ended",
		outage, s.sent.Load(), l.failed.Load(), before>>20, after>>20, time.Since(resumed).Round(time.Millisecond))
	hot.close()
	s.close()

	// Every counted request is in the log, or dropped with its reason, or waits.
	var asked, logged, dropped float64
	f.until("nothing waits any more", func() (bool, string) {
		n := f.metric("eshop_accesslog_buffered_hits")
		return n == 0, fmt.Sprint(n)
	})
	asked, logged, dropped = f.metric("eshop_gateway_requests_total"), f.metric("eshop_accesslog_hits_total"), f.metric("eshop_accesslog_dropped_total")
	if asked != logged+dropped {
		t.Errorf("%v requests, %v in the log and %v dropped", asked, logged, dropped)
	}
	if n := f.logged(); n != int64(logged) {
		t.Errorf("the log holds %d hits, the gateways have %v acknowledged", n, logged)
	}
	t.Logf("%v requests = %v in the log + %v dropped", asked, logged, dropped)
}

// metric adds up a metric over its labels and the gateways.
func (f *fleet) metric(name string) float64 {
	f.t.Helper()
	sum := 0.0
	for _, admin := range f.admins {
		a := f.get(strings.TrimSuffix(strings.TrimPrefix(admin, "http://"), "/"), "/metrics")
		for lines := bufio.NewScanner(strings.NewReader(a.body)); lines.Scan(); {
			line := lines.Text()
			if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == '{' || rest[0] == ' ') {
				n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
				if err != nil {
					f.t.Fatalf("the metric %q: %v", line, err)
				}
				sum += n
			}
		}
	}
	return sum
}

// memory is the resident memory of the gateways, in bytes.
func (f *fleet) memory() int64 {
	f.t.Helper()
	var sum int64
	for _, pid := range f.pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			f.t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "VmRSS:")
		n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			f.t.Fatal(err)
		}
		sum += n << 10
	}
	return sum
}

// logged is how many hits the whole access log holds. A record that a producer
// had to write twice counts once, as hotcount has it.
func (f *fleet) logged() int64 {
	f.t.Helper()
	sum := hitSum{t: f.t, seen: map[string]bool{}}
	r, err := kafka.NewReader(kafka.ReaderConfig{Config: f.kafka, Topic: f.topic("access"), Replay: -1}, &sum, kafka.Deps{})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	f.until("the access log is read", func() (bool, string) { return r.CaughtUp(), fmt.Sprint(r.Status(), r.LastError()) })
	cancel()
	if err := <-done; err != nil {
		f.t.Fatal(err)
	}
	f.t.Logf("%d records stand in the log twice", sum.twice)
	return sum.hits
}

type hitSum struct {
	t           testing.TB
	mu          sync.Mutex
	decoder     accesslog.Decoder
	seen        map[string]bool
	hits, twice int64
}

func (s *hitSum) Record(r kafka.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.decoder.Decode(r.Value)
	if err != nil {
		s.t.Errorf("a record of the log: %v", err)
		return
	}
	name := fmt.Sprint(r.Partition, string(d.Gateway), d.Boot, d.Sequence)
	if s.seen[name] {
		s.twice++
		return
	}
	s.seen[name] = true
	s.hits += accesslog.Hits(r.Value)
}

func (s *hitSum) Gap(partition int32, from, to int64, reason string) {
	s.t.Errorf("the log of partition %d has a gap from %d to %d: %s", partition, from, to, reason)
}
