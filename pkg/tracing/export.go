package tracing

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// maxBatch spans go in one request.
	maxBatch = 512
	// exportTimeout bounds one request to the collector, retryTime how long a batch
	// is tried for.
	exportTimeout = 5 * time.Second
	retryTime     = 15 * time.Second
	// flushTimeout bounds the stop: what the collector has not taken by then is lost.
	flushTimeout = 3 * time.Second
)

// queue holds ended spans until Run sends them. It implements
// sdktrace.SpanProcessor; OnEnd never waits.
type queue struct {
	spans                     chan sdktrace.ReadOnlySpan
	exported, dropped, failed prometheus.Counter
}

func (q *queue) init(size int) {
	q.spans = make(chan sdktrace.ReadOnlySpan, size)
	counter := func(outcome string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_trace_spans_total",
			Help:        "Spans by what became of them: exported, dropped (the queue was full), failed (the collector did not take them).",
			ConstLabels: prometheus.Labels{"outcome": outcome}})
	}
	q.exported, q.dropped, q.failed = counter("exported"), counter("dropped"), counter("failed")
}

func (q *queue) collectors() []prometheus.Collector {
	return []prometheus.Collector{q.exported, q.dropped, q.failed,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eshop_trace_spans_waiting", Help: "Spans that wait to be sent."},
			func() float64 { return float64(len(q.spans)) })}
}

// OnStart implements sdktrace.SpanProcessor.
func (q *queue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	select {
	case q.spans <- s:
	default:
		q.dropped.Inc()
	}
}

// Shutdown implements sdktrace.SpanProcessor; Run ends by itself.
func (q *queue) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (q *queue) ForceFlush(context.Context) error { return nil }

// newClient makes the collector's HTTP client.
func newClient(cfg Config) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = cfg.TLS
	transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost = 1, 2
	return &http.Client{Transport: headed{cfg.Header, transport}, Timeout: exportTimeout,
		// What is sent may carry a token: it goes where it was configured to and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// headed adds the configured header to each request.
type headed struct {
	header func() (name, value string)
	*http.Transport
}

// RoundTrip implements http.RoundTripper.
func (h headed) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.header != nil {
		r = r.Clone(r.Context())
		name, value := h.header()
		r.Header.Set(name, value)
	}
	return h.Transport.RoundTrip(r)
}

// Run sends spans until ctx ends, then what there is by then, for at most three
// seconds. It returns nil.
func (t *Tracer) Run(ctx context.Context) error {
	if t == nil {
		<-ctx.Done()
		return nil
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(flushTimeout, end) })
	defer stop()
	defer t.client.CloseIdleConnections()
	if err := t.exporter.Start(life); err != nil {
		t.log.Warn("traces cannot be sent", "err", err)
	}
	tick := time.NewTicker(t.cfg.Interval)
	defer tick.Stop()
	var s sending
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case span := <-t.queue.spans:
			if s.batch = append(s.batch, span); len(s.batch) == maxBatch {
				t.send(life, &s)
			}
		case <-tick.C:
			t.send(life, &s)
		}
	}
	for len(t.queue.spans) > 0 {
		if s.batch = append(s.batch, <-t.queue.spans); len(s.batch) == maxBatch {
			t.send(life, &s)
		}
	}
	t.send(life, &s)
	if err := t.exporter.Shutdown(life); err != nil && life.Err() == nil {
		t.log.Warn("the exporter of traces did not stop cleanly", "err", err)
	}
	return nil
}

// sending is Run's own state.
type sending struct {
	batch []sdktrace.ReadOnlySpan
	down  bool // the last batch was not taken
}

// send gives a batch to the collector, or gives it up.
func (t *Tracer) send(ctx context.Context, s *sending) {
	if len(s.batch) == 0 {
		return
	}
	err := ctx.Err()
	if err == nil {
		err = t.exporter.ExportSpans(ctx, s.batch)
	}
	if err != nil {
		t.queue.failed.Add(float64(len(s.batch)))
		if !s.down {
			t.log.Warn("traces are lost: the collector does not take them; nothing else is affected", "endpoint", t.cfg.Endpoint, "spans", len(s.batch), "err", err)
		}
	} else {
		t.queue.exported.Add(float64(len(s.batch)))
		if s.down {
			t.log.Info("the collector takes traces again", "endpoint", t.cfg.Endpoint)
		}
	}
	s.down = err != nil
	clear(s.batch)
	s.batch = s.batch[:0]
}
