package tracing

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// RequestIDHeader carries a request's id, inwards, onwards and in answers.
const RequestIDHeader = "X-Request-Id"

const (
	// maxRequestID bounds a foreign id, in bytes.
	maxRequestID = 128
	// maxTraceState bounds what other tracers add to a trace's identity, in bytes:
	// what W3C Trace Context wants to be passed on at the least.
	maxTraceState = 512
)

func propagator() propagation.TraceContext { return propagation.TraceContext{} }

// carrier reads or writes headers.
type carrier struct {
	get func(name string) string
	set func(name, value string)
}

// Get implements propagation.TextMapCarrier.
func (c carrier) Get(name string) string {
	value := c.get(name)
	if name == "tracestate" && len(value) > maxTraceState {
		return ""
	}
	return value
}

// Set implements propagation.TextMapCarrier.
func (c carrier) Set(name, value string) { c.set(name, value) }

// Keys implements propagation.TextMapCarrier; the propagator does not ask for them.
func (c carrier) Keys() []string { return nil }

// Inject sets the headers by which another process goes on with what is under way
// in ctx: the request's id, and the trace's identity.
func Inject(ctx context.Context, set func(name, value string)) {
	if id := RequestID(ctx); id != "" {
		set(RequestIDHeader, id)
	}
	propagator().Inject(ctx, carrier{set: set})
}

// InjectTrace sets the headers of a trace that is sampled, and nothing else.
func InjectTrace(ctx context.Context, set func(name, value string)) {
	if trace.SpanContextFromContext(ctx).IsSampled() {
		propagator().Inject(ctx, carrier{set: set})
	}
}

// Carry returns a context that lives as long as dst and is known by what src is:
// for work that outlives who asked for it.
func Carry(dst, src context.Context) context.Context {
	if span := trace.SpanFromContext(src); span.SpanContext().IsValid() {
		dst = trace.ContextWithSpan(dst, span)
	}
	if id := RequestID(src); id != "" {
		dst = WithRequestID(dst, id)
	}
	return dst
}

// Sampled reports whether what is under way in ctx is traced.
func Sampled(ctx context.Context) bool { return trace.SpanFromContext(ctx).IsRecording() }

type requestIDKey struct{}

// WithRequestID returns a context that carries a request's id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that ctx carries, "" if it has none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// RequestIDOr returns the id that a request came with if it is fit for logs, pages
// and headers, which is to say made of at most 128 letters, digits and the
// characters of "-_.:/+=@"; else a new one.
func RequestIDOr(given string) string {
	if given == "" || len(given) > maxRequestID {
		return newRequestID()
	}
	for i := range len(given) {
		switch c := given[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=', c == '@':
		default:
			return newRequestID()
		}
	}
	return given
}

// newRequestID returns 96 random bits in hexadecimal: customers read them to others.
func newRequestID() string {
	var b [12]byte
	binary.LittleEndian.PutUint64(b[:], rand.Uint64())
	binary.LittleEndian.PutUint32(b[8:], rand.Uint32())
	return hex.EncodeToString(b[:])
}
