package hotcount

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// BenchmarkBacklog is the whole job of one process on real servers: it reads a
// backlog on 8 partitions, decodes, counts, evaluates the rule and publishes.
// Products follow a Zipf distribution of exponent 1.05 over 100,000; times are
// spread over a minute, so the windows move. The time of the process's CPU is
// measured, which nothing else uses meanwhile; the brokers are other processes.
//
//	requests  JSON records of one request each, about 600 bytes
//	counts    the records of 10 gateways that flush every 20 ms; ten hits for each record of the other mode
//
//	ESHOP_BACKLOG=3000000 go test ./roles/hotcount -run '^$' -bench Backlog -benchtime 3x
func BenchmarkBacklog(b *testing.B) {
	size := 100_000
	if text := os.Getenv("ESHOP_BACKLOG"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("requests", func(b *testing.B) { measureBacklog(b, func(l *backlog) { l.requests(size) }) })
	b.Run("counts", func(b *testing.B) { measureBacklog(b, func(l *backlog) { l.counts(10 * size) }) })
}

// backlogSpan is the time that a backlog covers.
const backlogSpan = time.Minute

// backlog fills a topic.
type backlog struct {
	w       *world
	zipf    *rand.Zipf
	begin   time.Time
	records int64
	entries int64 // products in the records
	hits    int64
	bytes   int64
}

func measureBacklog(b *testing.B, fill func(*backlog)) {
	w := newWorld(b, lab.KafkaNew(b).Addrs(), lab.ZooKeeper(b).Addrs(), 8)
	l := &backlog{w: w, zipf: rand.NewZipf(rand.New(rand.NewPCG(1, 5)), 1.05, 1, 99_999), begin: time.Now().Add(-backlogSpan)}
	fill(l)
	w.written()
	if dropped := w.producer.Dropped(); len(dropped) > 0 {
		b.Fatalf("dropped: %v", dropped)
	}
	l.read(b, w.name) // the first group of a cluster makes it create a topic
	var cpu, wall time.Duration
	n := 0.0
	for ; b.Loop(); n++ {
		c, d := l.read(b, fmt.Sprintf("%s.%v", w.name, n))
		cpu, wall = cpu+c, wall+d
	}
	b.ReportMetric(n*float64(l.hits)/cpu.Seconds(), "hits/core-s")
	b.ReportMetric(n*float64(l.records)/cpu.Seconds(), "records/core-s")
	b.ReportMetric(n*float64(l.hits)/wall.Seconds(), "hits/s")
	b.ReportMetric(float64(l.bytes)/float64(l.records), "B/record")
	b.ReportMetric(float64(l.entries)/float64(l.records), "entries/record")
	b.ReportMetric(float64(l.hits)/float64(l.entries), "hits/entry")
}

// read counts the whole backlog with a new process in a new group, and returns
// the CPU and the time that took.
func (l *backlog) read(b *testing.B, group string) (cpu, wall time.Duration) {
	cfg := l.w.config("bench")
	cfg.Group, cfg.ZooKeeper.Root, cfg.Rule = group, "/"+group, hotlist.DefaultRule()
	runtime.GC()
	before, begin := cpuTime(b), time.Now()
	p := l.w.prepare(cfg)
	p.holder.slack = time.Hour
	stop := p.run(b)
	for {
		done := int64(0)
		for _, part := range p.holder.holds() {
			done += part.next.Load()
		}
		if done == l.records {
			break
		}
		if time.Since(begin) > 10*time.Minute {
			b.Fatalf("after %v %d of %d records are read", time.Since(begin), done, l.records)
		}
		time.Sleep(2 * time.Millisecond)
	}
	cpu, wall = cpuTime(b)-before, time.Since(begin)
	l.w.until("all hits are counted", func() error {
		if n := p.counted(); n != l.hits {
			return fmt.Errorf("%d of %d", n, l.hits)
		}
		return nil
	})
	stop()
	return cpu, wall
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (l *backlog) product() int64 { return 1 + int64(l.zipf.Uint64()) }

// requests writes n records of one request each.
func (l *backlog) requests(n int) {
	redact := accesslog.NewRedaction()
	r := accesslog.Request{Method: []byte("GET"), HTTPVersion: []byte("HTTP/1.1"), Head: []byte("Host: shop.example.com\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip\r\n")}
	for i := range n {
		r.ID = l.product()
		key := strconv.AppendInt(nil, r.ID, 10)
		r.Target = append(append(r.Target[:0], "/product?requestPath=product&shopId=17&productId="...), key...)
		l.write(i, kafka.Record{Key: key, Value: accesslog.AppendRequest(nil, &r, redact), Time: l.at(i, n)})
		l.entries++
		l.hits++
	}
}

// counts writes the records of n hits.
func (l *backlog) counts(n int) {
	const gateways, flush = 10, 20 * time.Millisecond
	rounds := int(backlogSpan / flush)
	for i := range rounds {
		for g := range gateways {
			parts := make([]map[int64]int64, l.w.partitions)
			for p := range parts {
				parts[p] = map[int64]int64{}
			}
			for range n / rounds / gateways {
				id := l.product()
				parts[accesslog.Partition(id, l.w.partitions)][id]++
			}
			for _, counts := range parts {
				if len(counts) == 0 {
					continue
				}
				at := l.at(i, rounds)
				c := accesslog.Counts{Gateway: fmt.Sprintf("gateway-%d", g), Boot: 1, Sequence: uint64(i + 1), Time: at.UnixMilli()}
				for _, id := range sortedIDs(counts) {
					c.Counts = append(c.Counts, accesslog.Count{ID: id, N: counts[id]})
					l.hits += counts[id]
				}
				l.entries += int64(len(c.Counts))
				l.write(int(l.records), kafka.Record{Key: strconv.AppendInt(nil, c.Counts[0].ID, 10), Value: accesslog.AppendCounts(nil, &c), Time: at})
			}
		}
	}
}

// at is the time of the i-th of n records.
func (l *backlog) at(i, n int) time.Time {
	return l.begin.Add(time.Duration(float64(backlogSpan) * float64(i) / float64(n)))
}

func (l *backlog) write(i int, r kafka.Record) {
	for end := time.Now().Add(time.Minute); i%1000 == 0 && l.w.producer.Status().Records > 100_000 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	r.Topic = l.w.name
	l.w.producer.Offer(r)
	l.records++
	l.bytes += int64(len(r.Value))
}
