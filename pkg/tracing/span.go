package tracing

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Kind of a span, as OpenTelemetry has them.
type Kind = trace.SpanKind

// The kinds.
const (
	Internal = trace.SpanKindInternal
	Server   = trace.SpanKindServer
	Client   = trace.SpanKindClient
	Producer = trace.SpanKindProducer
	Consumer = trace.SpanKindConsumer
)

// Span is a piece of work in a trace; the zero value is one that nobody traces, and
// all its methods do nothing.
type Span struct{ span trace.Span }

// Start makes a span below the one that is under way in ctx. If there is none that
// is sampled, it returns ctx itself and the zero Span. Whoever has attributes looks
// at On before making them.
func Start(ctx context.Context, kind Kind, name string) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, Span{}
	}
	ctx, span := parent.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, Span{span}
}

// Current returns the span that is under way in ctx.
func Current(ctx context.Context) Span {
	if s := trace.SpanFromContext(ctx); s.IsRecording() {
		return Span{s}
	}
	return Span{}
}

// On reports whether the span is recorded.
func (s Span) On() bool { return s.span != nil }

// Set adds attributes.
func (s Span) Set(attributes ...Attr) {
	if s.span != nil {
		s.span.SetAttributes(attributes...)
	}
}

// Rename is for a name that is not known at the start.
func (s Span) Rename(name string) {
	if s.span != nil {
		s.span.SetName(name)
	}
}

// Event notes something at this moment.
func (s Span) Event(name string) {
	if s.span != nil {
		s.span.AddEvent(name)
	}
}

// Fail marks the span as failed; nil does nothing.
func (s Span) Fail(err error) {
	if s.span == nil || err == nil {
		return
	}
	text := err.Error()
	if len(text) > maxValue {
		text = text[:maxValue]
	}
	s.span.SetStatus(codes.Error, text)
}

// End ends the span.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}
