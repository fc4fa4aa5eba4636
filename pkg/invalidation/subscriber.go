package invalidation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/kafka"
	"eshop/pkg/tracing"
)

// Config configures NewSubscriber.
type Config struct {
	Kafka kafka.Config
	// Topic is --kafka.topic.invalidate.
	Topic string
	// Replay is how far back reading starts (DefaultReplay): what a fill that is
	// under way when this process starts could still be older than.
	Replay time.Duration
	// MaxStaleness is how old the watermark may grow before copies count as
	// unverified (default 30 s).
	MaxStaleness time.Duration
}

// DefaultReplay is how far back a process reads the topic when it starts.
const DefaultReplay = 5 * time.Minute

// Deps are the subscriber's collaborators.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	// Trace goes on with the traces that messages carry; nil: none.
	Trace *tracing.Tracer
	// Now is the clock (default time.Now).
	Now func() time.Time
}

// Subscriber reads the whole topic with its own offsets and keeps the
// watermark: every message sent before it has been handled here.
type Subscriber struct {
	cfg       Config
	staleness atomic.Int64 // Config.MaxStaleness
	log       *slog.Logger
	now       func() time.Time
	trace     *tracing.Tracer
	receiver  *Receiver
	reader    *kafka.Reader
	lag       prometheus.Histogram
	bad       prometheus.Counter
}

// maxWait is how long a broker holds a fetch that finds nothing. It answers at
// once when there is something; with shorter waits a thousand gateways would
// keep the brokers busy with nothing.
const maxWait = 500 * time.Millisecond

// NewSubscriber does no I/O.
func NewSubscriber(cfg Config, floor *Floor, handler Handler, deps Deps) (*Subscriber, error) {
	if cfg.Replay <= 0 {
		cfg.Replay = DefaultReplay
	}
	if cfg.MaxStaleness <= 0 {
		cfg.MaxStaleness = 30 * time.Second
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &Subscriber{cfg: cfg, log: deps.Log, now: deps.Now, trace: deps.Trace, receiver: NewReceiver(floor, handler)}
	s.SetMaxStaleness(cfg.MaxStaleness)
	s.lag = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eshop_invalidation_lag_seconds",
		Help: "Time from sending an invalidation to having applied it here.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)})
	s.bad = prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_invalidation_malformed_total",
		Help: "Messages of the invalidation topic that could not be read."})
	watermark := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eshop_invalidation_watermark_age_seconds",
		Help: "Age of the oldest partition's newest heartbeat; -1 before the first."}, func() float64 {
		if w := s.Watermark(); !w.IsZero() {
			return s.now().Sub(w).Seconds()
		}
		return -1
	})
	floorKeys := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eshop_floor_keys",
		Help: "Recently changed keys whose highest stamp is remembered."}, func() float64 { return float64(floor.Len()) })
	floorLost := prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "eshop_floor_evicted_total",
		Help: "Keys the floor forgot for want of room."}, func() float64 { return float64(floor.Evicted()) })
	if deps.Registry != nil {
		for _, c := range []prometheus.Collector{s.lag, s.bad, watermark, floorKeys, floorLost} {
			if err := deps.Registry.Register(c); err != nil {
				return nil, fmt.Errorf("register the metrics of the invalidation bus: %w", err)
			}
		}
	}
	var err error
	s.reader, err = kafka.NewReader(kafka.ReaderConfig{Config: cfg.Kafka, Topic: cfg.Topic, Replay: cfg.Replay, MaxWait: maxWait}, events{s},
		kafka.Deps{Log: deps.Log, Registry: deps.Registry})
	if err != nil {
		return nil, fmt.Errorf("read the topic %s: %w", cfg.Topic, err)
	}
	return s, nil
}

// Run reads until ctx ends; broker outages are waited out.
func (s *Subscriber) Run(ctx context.Context) error { return s.reader.Run(ctx) }

// CaughtUp reports whether everything that stood in the topic when reading
// began has been handled.
func (s *Subscriber) CaughtUp() bool { return s.reader.CaughtUp() }

// LastError says why reading does not get on, if it does not.
func (s *Subscriber) LastError() error {
	if err := s.reader.LastError(); err != nil {
		return err
	}
	return errors.New("not at its end yet")
}

// Status tells where each partition stands.
func (s *Subscriber) Status() []kafka.PartitionStatus { return s.reader.Status() }

// Watermark is the lowest over the partitions of the newest heartbeat; zero
// while any partition has none.
func (s *Subscriber) Watermark() time.Time { return s.receiver.Watermark(s.reader.Status()) }

// SetMaxStaleness changes Config.MaxStaleness, which must be above zero.
func (s *Subscriber) SetMaxStaleness(d time.Duration) { s.staleness.Store(int64(d)) }

// Behind reports whether the bus has been silent for longer than MaxStaleness:
// then a copy counts as verified only by Redis. Before the first heartbeat it
// is behind: nothing has vouched for the copies yet.
func (s *Subscriber) Behind() bool {
	return s.now().Sub(s.Watermark()) > time.Duration(s.staleness.Load())
}

// events keeps the reader's callbacks off the Subscriber's own method set.
type events struct{ s *Subscriber }

func (e events) Record(r kafka.Record) {
	s, ctx := e.s, context.Background()
	var span tracing.Span
	if len(r.Headers) > 0 { // those of a traced change only
		ctx, span = s.trace.Enter(ctx, tracing.Entry{Kind: tracing.Consumer, Name: "apply invalidation", Get: r.Header, Linked: true})
		defer span.End()
	}
	inv, err := s.receiver.Record(r.Partition, r.Value, s.now())
	if span.On() {
		span.Set(tracing.Message("process", r.Topic, r.Partition, r.Offset, string(r.Key))...)
		span.Set(tracing.Document(inv.Key), tracing.Stamp(inv.Stamp), tracing.Version(inv.Stamp.Version))
		span.Fail(err)
	}
	switch {
	case err != nil:
		s.bad.Inc()
		s.log.WarnContext(ctx, "a message of the invalidation topic is unreadable and skipped", "partition", r.Partition, "offset", r.Offset, "err", err)
	case inv.Heartbeat == "":
		s.lag.Observe(max(0, s.now().Sub(inv.SentTime()).Seconds()))
	}
}

func (e events) Gap(partition int32, from, to int64, reason string) {
	e.s.receiver.Gap(e.s.cfg.Topic, partition, from, to, reason)
}
