package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/ring"
)

// pageBuffer is as large as most pages with their head, so that one that is not
// answered by the fast path goes out in one call too.
const pageBuffer = 16 << 10

// maxServed is no bound: the one of connections is the listener's, which can be changed.
const maxServed = 1 << 24

// publicServer returns the listener's settings.
func (r *Role) publicServer() *fasthttp.Server {
	l := r.cfg.Limits
	return &fasthttp.Server{
		Handler:            r.servePublic,
		ErrorHandler:       r.brokenRequest,
		Logger:             serverLog{r.log},
		ReadBufferSize:     l.HeaderBytes,
		WriteBufferSize:    pageBuffer,
		MaxRequestBodySize: l.BodyBytes,
		Concurrency:        maxServed,
		ReadTimeout:        l.ReadTimeout,
		WriteTimeout:       l.WriteTimeout,
		IdleTimeout:        l.IdleTimeout,

		TCPKeepalive:                 true,
		LazyRequestTime:              true,
		CloseOnShutdown:              true,
		NoDefaultServerHeader:        true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true, // requests carry cookies
	}
}

// serverLog passes what fasthttp says on: connection troubles of clients.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Printf(format string, args ...any) {
	l.log.Debug("http server", "says", format, "args", args)
}

// brokenRequest answers what could not be read as a request.
func (r *Role) brokenRequest(ctx *fasthttp.RequestCtx, err error) {
	p := problem{code: fasthttp.StatusBadRequest, title: "Bad request", reason: "The request could not be read."}
	switch err.(type) {
	case *fasthttp.ErrSmallBuffer:
		p.code, p.reason = fasthttp.StatusRequestHeaderFieldsTooLarge, "The request line and headers are too long."
	default:
		var timeout net.Error
		switch {
		case err == fasthttp.ErrBodyTooLarge:
			p.code, p.reason = fasthttp.StatusRequestEntityTooLarge, "The request's body is too long."
		case errors.As(err, &timeout) && timeout.Timeout():
			// Also on a connection that was opened in advance and never used: a client that sends its
			// first request at this very moment knows from a 408, and from nothing else, that the answer is not to it.
			p.code, p.reason, p.title = fasthttp.StatusRequestTimeout, "The request did not arrive in time.", "Too late"
		}
	}
	r.writeProblem(ctx, p, nil)
	ctx.Response.SetConnectionClose()
	r.metrics.requests.count(ctx.ConnID(), layerNone, p.code, -1)
}

// servePublic is the handler of the public listener.
func (r *Role) servePublic(ctx *fasthttp.RequestCtx) {
	start := time.Now()
	from, code := r.serve(ctx, start)
	r.leave(ctx, from, code)
	r.metrics.requests.count(ctx.ConnID(), from, code, time.Since(start))
}

func (r *Role) serve(ctx *fasthttp.RequestCtx, start time.Time) (layer, int) {
	head := &ctx.Request.Header
	if !head.IsGet() && !head.IsHead() {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD")
		return layerNone, r.writeProblem(ctx, problem{code: fasthttp.StatusMethodNotAllowed, title: "Method not allowed",
			reason: "Pages are read with GET or HEAD.", json: isAPI(head.RequestURI())}, nil)
	}
	key, suffix, v := r.router.parse(head.RequestURI())
	key.json = suffix || prefersJSON(head.Peek(fasthttp.HeaderAccept))
	if v != targetOK {
		if from, code, done := r.serveAPI(ctx, start); done {
			return from, code
		}
		p := problem{code: fasthttp.StatusBadRequest, title: "Bad request", reason: v.reason(), json: key.json || isAPI(head.RequestURI())}
		if v == targetUnknown {
			p.code, p.title = fasthttp.StatusNotFound, "Not found"
		}
		return layerNone, r.writeProblem(ctx, p, nil)
	}
	p, _ := r.l1.pages.GetAt(key, start)
	r.access.request(ctx, key, p) // first of all, so that no way to an answer is left out
	if r.trace.On() && r.trace.Wants(head.Peek("traceparent"), start) {
		r.traceRequest(ctx, key, start, false)
	}
	if from, code, done := r.serveL1(ctx, key, p, start, false); done {
		return from, code
	}
	r.traceRequest(ctx, key, start, false)
	return r.serveBeyond(ctx, key, start)
}

// serveL1 answers from the heap, which has the page p or nil, when that needs no
// look elsewhere. A hit is one lookup: no network, no log, no lock held over I/O
// (invariant 6).
func (r *Role) serveL1(ctx *fasthttp.RequestCtx, key pageKey, p *page, start time.Time, peer bool) (layer, int, bool) {
	o, done := r.judgeL1(key, p, start, peer)
	if !done {
		return 0, 0, false
	}
	return o.from, r.write(ctx, key, &o, start), true
}

// serveLoaded loads the page here and answers with it, or with an older copy,
// marked, if that fails. missing tells that the request named a related document
// that does not exist.
func (r *Role) serveLoaded(ctx *fasthttp.RequestCtx, key pageKey, peer bool) (from layer, code int, missing bool) {
	reason, wait := r.forwardReason(key, time.Now()), r.cfg.WaitTimeout
	if p, ok := r.l1.pages.Get(key); ok && peer && r.look(p, time.Now().UnixNano()) != expired {
		// The one who asks gives up after PeerTimeout, and may have nothing at all:
		// until then it is to have at least what is here.
		wait = min(wait, r.cfg.PeerTimeout*3/4)
	}
	// A hot page is not asked of its owner first. Should it be slow to be had here,
	// the owner may still have it.
	var owner ring.Member
	elsewhere := false
	if !peer && r.hot.has(key) {
		if owner, elsewhere = r.remoteOwner(key); elsewhere {
			wait = min(wait, r.cfg.PeerTimeout)
		}
	}
	a, err := r.await(r.identity(ctx).ctx, key, wait)
	now := time.Now()
	if o, ok := r.keptBetter(key, a, err, now, peer); ok {
		return o.from, r.write(ctx, key, &o, now), false
	}
	if err != nil && elsewhere {
		if from, code, missing, ok := r.serveForwarded(ctx, key, owner); ok {
			return from, code, missing
		}
		a, err = r.await(r.identity(ctx).ctx, key, r.cfg.WaitTimeout)
		now = time.Now()
	}
	o := r.judgeLoaded(r.identity(ctx).ctx, key, a, err, reason, now, peer)
	return o.from, r.write(ctx, key, &o, now), o.missing
}

// await loads a page. The wait ends with the process or with its own limit. Its
// context is an identity's, not the server's own, which must not outlive the handler
// (PITFALL 41).
func (r *Role) await(ctx context.Context, key pageKey, limit time.Duration) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return r.load(ctx, key)
}

// forwardReason says why a request is not answered from L1, as RFC 9211 has it.
func (r *Role) forwardReason(key pageKey, now time.Time) string {
	if p, ok := r.l1.pages.Get(key); ok && r.look(p, now.UnixNano()) != expired {
		return "stale"
	}
	return "uri-miss"
}
