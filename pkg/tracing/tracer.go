package tracing

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Config of a Tracer. Zero values mean the defaults given.
type Config struct {
	// Endpoint is the collector's URL for OTLP over HTTP; without a path it is
	// /v1/traces there. Empty: no traces.
	Endpoint string
	// Ratio of the requests without a traceparent that begin a trace, from 0 to 1.
	Ratio float64
	// PerSecond bounds the traces that begin, or are taken over from outside, in a
	// second (100).
	PerSecond int
	// Queue is how many spans may wait to be sent (4096).
	Queue int
	// Interval is how long a span waits for company (1 s).
	Interval time.Duration
	// TLS for an https endpoint; nil: the system's certificates.
	TLS *tls.Config
	// Header tells of one more header for the collector, such as one with its token;
	// it is asked for each request. nil: none.
	Header func() (name, value string)

	// Service, Instance and Version are what spans say of their process.
	Service, Instance, Version string
}

// Deps of a Tracer; nil values mean no log and no metrics.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// scope names eshop as what made the spans.
const scope = "eshop"

// maxValue bounds the text of one attribute, in bytes.
const maxValue = 1024

// Tracer begins and takes over traces, and sends spans. nil is one that is off. It
// is safe for concurrent use.
type Tracer struct {
	cfg      Config
	log      *slog.Logger
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	queue    queue
	budget   budget
	exporter *otlptrace.Exporter
	client   *http.Client
	limited  prometheus.Counter
}

// Validate returns all that New would find wrong with the settings by themselves.
func (c Config) Validate() error {
	if c.Endpoint == "" {
		return nil
	}
	_, err := endpointOf(c.Endpoint)
	if !(c.Ratio >= 0 && c.Ratio <= 1) {
		err = errors.Join(err, fmt.Errorf("--trace.ratio %v must be from 0 to 1", c.Ratio))
	}
	return err
}

// New checks the settings; it does no I/O. Without an endpoint the Tracer is nil.
func New(cfg Config, deps Deps) (*Tracer, error) {
	if err := cfg.Validate(); cfg.Endpoint == "" || err != nil {
		return nil, err
	}
	endpoint, err := endpointOf(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	cfg.PerSecond = cmp.Or(cfg.PerSecond, 100)
	cfg.Queue = cmp.Or(cfg.Queue, 4096)
	cfg.Interval = cmp.Or(cfg.Interval, time.Second)
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tracer{cfg: cfg, log: deps.Log, budget: budget{limit: int64(cfg.PerSecond)}, client: newClient(cfg)}
	t.queue.init(cfg.Queue)
	t.limited = prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_traces_limited_total",
		Help: "Traces that were sampled and not begun, or not taken over, because there were too many in that second."})
	if deps.Registry != nil {
		for _, c := range append(t.queue.collectors(), t.limited) {
			if err := deps.Registry.Register(c); err != nil {
				return nil, fmt.Errorf("register the metrics of the traces: %w", err)
			}
		}
	}
	t.exporter = otlptracehttp.NewUnstarted(otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithHTTPClient(t.client),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression), otlptracehttp.WithTimeout(exportTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 5 * time.Second, MaxElapsedTime: retryTime}))
	about, err := resource.New(context.Background(), resource.WithFromEnv(), resource.WithTelemetrySDK(), resource.WithAttributes(
		semconv.ServiceNamespace("eshop"), semconv.ServiceName(cfg.Service), semconv.ServiceInstanceID(cfg.Instance), semconv.ServiceVersion(cfg.Version)))
	if err != nil {
		return nil, fmt.Errorf("describe this process for its traces (OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxValue
	// Enter has decided already: a span is made of what is sampled only.
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithSpanProcessor(&t.queue),
		sdktrace.WithResource(about), sdktrace.WithRawSpanLimits(limits))
	t.tracer = t.provider.Tracer(scope)
	return t, nil
}

// endpointOf completes and checks the collector's URL.
func endpointOf(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", fmt.Errorf("--trace.endpoint is not a URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf("--trace.endpoint %q must begin with http:// or https:// and a host", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("--trace.endpoint must have neither a user, nor a query, nor a fragment; a token belongs in --trace.header-file")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Entry says how a trace enters the process.
type Entry struct {
	Kind Kind
	Name string
	// At is when the work began; zero: now.
	At time.Time
	// Get reads a header of the request or message, "" if it has none. nil: there
	// are no headers.
	Get func(name string) string
	// Begins: this is where the fleet begins: a trace may be begun, and one from
	// outside is taken over within Config.PerSecond. Otherwise a trace is gone on
	// with, when there is one.
	Begins bool
	// Linked: the span is linked to its parent too, as that of a message's reader is.
	Linked bool
}

// Enter makes the span of a request or message that is to be traced. Without one
// the context still carries what the headers said, for Inject.
func (t *Tracer) Enter(ctx context.Context, e Entry) (context.Context, Span) {
	if t == nil {
		return ctx, Span{}
	}
	if e.Get != nil {
		ctx = propagator().Extract(ctx, carrier{get: e.Get})
	}
	from := trace.SpanContextFromContext(ctx)
	switch {
	case from.IsValid() && !from.IsSampled():
		return ctx, Span{}
	case !from.IsValid() && (!e.Begins || t.cfg.Ratio <= 0 || rand.Float64() >= t.cfg.Ratio):
		return ctx, Span{}
	case e.Begins && !t.budget.take(time.Now()):
		t.limited.Inc()
		if from.IsValid() { // those behind this process must not take it for sampled
			ctx = trace.ContextWithRemoteSpanContext(ctx, from.WithTraceFlags(from.TraceFlags().WithSampled(false)))
		}
		return ctx, Span{}
	}
	options := []trace.SpanStartOption{trace.WithSpanKind(e.Kind)}
	if !e.At.IsZero() {
		options = append(options, trace.WithTimestamp(e.At))
	}
	if e.Linked && from.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: from}))
	}
	ctx, span := t.tracer.Start(ctx, e.Name, options...)
	return ctx, Span{span}
}

// Wants reports, quickly and without a lock, whether Enter would take over the
// trace from outside that a traceparent header names. It is for those who have a
// quicker way for what is not traced.
func (t *Tracer) Wants(traceparent []byte, now time.Time) bool {
	return t != nil && SaysSampled(traceparent) && t.budget.has(now)
}

// SaysSampled reports whether a traceparent header, if it is well formed, is that
// of a trace that is sampled.
func SaysSampled(traceparent []byte) bool {
	const flags = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0")
	if len(traceparent) <= flags {
		return false
	}
	switch traceparent[flags] {
	case '1', '3', '5', '7', '9', 'b', 'd', 'f':
		return true
	}
	return false
}

// On reports whether there are traces at all.
func (t *Tracer) On() bool { return t != nil }
