// Package tracing is what a request, or a change, is known by on its way through
// the fleet: an id that stands in log lines and error pages, and, for the few that
// are sampled, an OpenTelemetry trace.
//
// Where a trace begins, or is taken over from outside, a role has a Tracer and
// calls Enter. Everywhere below, Start makes a span of what the context says is
// under way; without a sampled one that is a look into the context and nothing
// else, so packages need neither a Tracer nor a setting. What calls another
// process puts both into its message with Inject.
//
// What decides whether a request is traced, in this order:
//
//	its traceparent says sampled   yes, within Config.PerSecond
//	its traceparent says not       no; the header is passed on
//	it has none                    Config.Ratio of those that may begin one, within PerSecond
//
// Spans wait in a queue of their own and are sent by Run, in batches. Nothing ever
// waits for the collector: what finds the queue full is dropped, what the collector
// does not take is given up, and both are counted.
//
//	eshop_trace_spans_total{outcome}  exported, dropped (the queue was full), failed (not taken)
//	eshop_trace_spans_waiting         in the queue
//	eshop_traces_limited_total        not begun or not taken over: more than PerSecond
//
// Files:
//
//	tracer.go      Config, New, Enter; budget.go: how many traces a second
//	export.go      the queue and Run
//	span.go        spans within a process
//	attributes.go  what spans say: the semantic conventions' names, and eshop's own
//	carry.go       headers of requests and messages, request ids
//	log.go         both in the lines of the log
package tracing
