package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"eshop/pkg/accesslog"
	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
)

// accessLog tells the topic of requests for products. What a request pays for
// it is a count (hits.go) or a record (accesslog_record.go); a goroutine of its
// own sends the counts (accesslog_counts.go). It may lose hits, but never
// without counting them (accesslog_books.go), and never makes a request wait.
type accessLog struct {
	cfg     AccessLog
	gateway string
	topic   string
	log     *slog.Logger
	boot    time.Time
	counted []bool // by page type: a request for it is told of

	out   sink // nil in tests without Kafka
	hits  *hits
	books *books
	// records and bytes that the producer may hold.
	records, bytes int64
	// partitions of the topic, 0 while unknown. Written by run.
	partitions atomic.Int64
	floor      atomic.Int64 // of the hot rule

	// hot and gateways say what is hot already, and how many share the traffic.
	// The role sets them before run.
	hot      func(id int64) bool
	gateways func() int

	counts   counts
	recorder recorder
}

// sink is what the access log asks of a producer; *kafka.Producer has it.
type sink interface {
	Offer(kafka.Record) bool
	Partitions(topic string) int
	Run(ctx context.Context) error
}

const (
	// defaultFloor is the hot rule's floor until setHotFloor tells of another.
	defaultFloor = 200
	// shareOfFloor and minShare: a product with an eighth of the floor's hits
	// since the last sweep, but at least 8, is worth an early one.
	shareOfFloor = 8
	minShare     = 8
)

// Bounds of the log's own producer: what is buffered while Kafka is away.
const (
	accessRecords = 50_000
	accessBytes   = 32 << 20
	// accessFlush bounds the stop: what Kafka has not taken by then is dropped.
	accessFlush = 3 * time.Second
)

func newAccessLog(cfg *Config, cat *catalog.Catalog, log *slog.Logger) *accessLog {
	l := &accessLog{cfg: cfg.AccessLog, gateway: cfg.ID, topic: cfg.TopicAccess, log: log, boot: time.Now(), books: newBooks(),
		records: accessRecords, bytes: accessBytes}
	for _, p := range cat.Pages() {
		l.counted = append(l.counted, l.on() && p.Root == accesslog.Kind)
	}
	l.hits = newHits(func(n int64) { l.books.lose(lostKeys, n) })
	l.recorder.init(l)
	l.hot, l.gateways = func(int64) bool { return false }, func() int { return 1 }
	l.counts.init(l)
	l.setFloor(defaultFloor)
	return l
}

// connect makes the log's own producer, so that it can neither delay nor
// displace anything else this process sends.
func (l *accessLog) connect(cfg kafka.Config, reg prometheus.Registerer) error {
	if !l.on() {
		return nil
	}
	if cfg.ClientID == "" {
		cfg.ClientID = "eshop"
	}
	cfg.ClientID += "-access-log"
	// Every replica acknowledges: what a leader alone has, it can lose, and then the
	// books are wrong; and only so do the brokers know the copies that retries make.
	// It costs no time until a product is found hot, for a reader is not shown a
	// record before every replica has it.
	pc := kafka.ProducerConfig{Config: cfg, MaxRecords: int(l.records), MaxBytes: l.bytes, FlushTimeout: accessFlush,
		ManualPartition: l.cfg.Mode == AccessCounts, OnDrop: l.books.dropped, OnAck: l.books.acknowledged}
	p, err := kafka.NewProducer(pc, kafka.Deps{Log: l.log, Registry: reg})
	if err != nil {
		return fmt.Errorf("set up the producer of the access log: %w", err)
	}
	l.out = p
	return nil
}

func (l *accessLog) on() bool { return l.cfg.Mode != AccessOff }

// request tells of a request on the public listener; p is the page that is held
// for it, nil if there is none.
func (l *accessLog) request(ctx *fasthttp.RequestCtx, key pageKey, p *page) {
	switch {
	case !l.counted[key.page]:
	case l.cfg.Mode != AccessCounts:
		l.recorder.record(ctx, key.id)
	case p != nil:
		l.hits.page(p)
	default:
		l.hits.miss(key.id)
	}
}

// setHotFloor tells the access log of the hot rule's floor, in hits.
func (r *Role) setHotFloor(floor int64) { r.access.setFloor(floor) }

func (l *accessLog) setFloor(floor int64) {
	l.floor.Store(floor)
	l.hits.share.Store(max(minShare, floor/shareOfFloor))
}

const (
	// sweepEvery is the rhythm of counts, earlyEvery the shortest time between an
	// early sweep and the one before.
	sweepEvery = 20 * time.Millisecond
	earlyEvery = 2 * time.Millisecond
	// followEvery is how often full mode looks at the number of partitions.
	followEvery = 250 * time.Millisecond
)

// run sends until ctx ends, then what there is by then.
func (l *accessLog) run(ctx context.Context) error {
	if !l.on() {
		<-ctx.Done()
		return nil
	}
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan error, 1)
	go func() { done <- l.out.Run(sending) }()
	if l.cfg.Mode == AccessCounts {
		l.counts.run(ctx)
	} else {
		l.recorder.run(ctx)
	}
	gone := l.books.gone.Load()
	if l.cfg.Mode == AccessCounts {
		l.counts.flush(time.Now(), true)
	}
	stop()
	err := <-done
	if n := l.books.gone.Load() - gone; n > 0 {
		l.log.Warn("the end of the access log could not be sent", "hits", n)
	}
	if err != nil {
		return fmt.Errorf("send the access log: %w", err)
	}
	return nil
}

// status is the log's part of the gateway's section of /api/status.
func (l *accessLog) status() any {
	return map[string]any{"mode": l.cfg.Mode, "topic": l.topic, "partitions": l.partitions.Load(), "buffered": l.books.held.Load()}
}
