package gateway

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/fastpath"
	"eshop/pkg/tracing"
)

// identity is what a request is known by that is more than a plain hit: an id, and a
// span if it is traced. A plain hit has neither. Its answer is the bytes that were
// prepared.
type identity struct {
	id   string
	ctx  context.Context // the role's own, which outlives the handler, with id and span
	span tracing.Span
	seen bool // it was decided whether it is traced
}

type identityKey struct{}

// identity returns that of a request. The first call makes it, with the id that the
// request came with if that is fit, and tells the client.
func (r *Role) identity(ctx *fasthttp.RequestCtx) *identity {
	if v, ok := ctx.UserValue(identityKey{}).(*identity); ok {
		return v
	}
	v := &identity{id: tracing.RequestIDOr(string(ctx.Request.Header.Peek(tracing.RequestIDHeader)))}
	v.ctx = tracing.WithRequestID(r.base, v.id)
	ctx.SetUserValue(identityKey{}, v)
	ctx.Response.Header.Set(tracing.RequestIDHeader, v.id)
	return v
}

// traceRequest makes the span of a request for a page, if it is to have one.
func (r *Role) traceRequest(ctx *fasthttp.RequestCtx, key pageKey, start time.Time, peer bool) {
	route := r.router.routes[key.page].path
	if span := r.enter(ctx, route, start, peer); span.On() {
		span.Set(tracing.HTTPRequest(string(ctx.Method()), r.router.path(key), route)...)
		span.Set(tracing.Document(r.rootOf(key)))
	}
}

// traceBatch is traceRequest for several products.
func (r *Role) traceBatch(ctx *fasthttp.RequestCtx, keys []pageKey, start time.Time, peer bool) {
	if span := r.enter(ctx, productsPath, start, peer); span.On() {
		span.Set(tracing.HTTPRequest(string(ctx.Method()), productsPath, productsPath)...)
		span.Set(r.documentsOf(keys))
	}
}

// enter decides, once, whether a request is traced, and returns the span that it
// makes then, from the request's beginning on. A peer's request begins no trace.
func (r *Role) enter(ctx *fasthttp.RequestCtx, route string, start time.Time, peer bool) tracing.Span {
	v := r.identity(ctx)
	if v.seen || !r.trace.On() {
		return tracing.Span{}
	}
	v.seen = true
	head := &ctx.Request.Header
	v.ctx, v.span = r.trace.Enter(v.ctx, tracing.Entry{Kind: tracing.Server, Name: string(head.Method()) + " " + route, At: start, Begins: !peer,
		Get: func(name string) string { return string(head.Peek(name)) }})
	if v.span.On() {
		v.span.Set(tracing.Request(v.id))
	}
	return v.span
}

// leave ends the request's span.
func (r *Role) leave(ctx *fasthttp.RequestCtx, from layer, code int) {
	v, ok := ctx.UserValue(identityKey{}).(*identity)
	if !ok || !v.span.On() {
		return
	}
	v.span.Set(tracing.HTTPStatus(code), tracing.Layer(from.String()))
	if code >= fasthttp.StatusInternalServerError && code != fasthttp.StatusGatewayTimeout { // with which a peer is told that nothing is at hand
		v.span.Fail(errors.New("answered " + strconv.Itoa(code)))
	}
	v.span.End()
}

// untraced leaves requests that are traced to the server, which makes their spans.
// Without traces it is the function itself, so nothing changes for a hit; with them
// a hit without a traceparent header pays for a look at a slice that is empty.
func (r *Role) untraced(traced func(traceparent []byte, now time.Time) bool, answer func(*fastpath.Request, *fastpath.Answer) bool) func(*fastpath.Request, *fastpath.Answer) bool {
	if !r.trace.On() {
		return answer
	}
	return func(q *fastpath.Request, a *fastpath.Answer) bool {
		return (len(q.Traceparent) == 0 || !traced(q.Traceparent, a.Now)) && answer(q, a)
	}
}

// peerTraced is Wants for what another gateway has decided.
func (r *Role) peerTraced(traceparent []byte, _ time.Time) bool {
	return r.trace.On() && tracing.SaysSampled(traceparent)
}

// rootOf names a page's root document.
func (r *Role) rootOf(key pageKey) catalog.Key {
	return catalog.Key{Kind: r.cat.Pages()[key.page].Root, ID: key.id}
}

// documentsOf names the root documents of pages.
func (r *Role) documentsOf(keys []pageKey) tracing.Attr {
	roots := make([]catalog.Key, len(keys))
	for i, key := range keys {
		roots[i] = r.rootOf(key)
	}
	return tracing.Documents(roots)
}

// headerLine appends a header to a request that is written by hand.
func headerLine(b *[]byte) func(name, value string) {
	return func(name, value string) {
		*b = append(append(append(append(*b, "\r\n"...), name...), ": "...), value...)
	}
}
