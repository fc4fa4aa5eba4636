package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
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
	r.metrics.requests.count(ctx.ConnID(), from, code, time.Since(start))
}

func (r *Role) serve(ctx *fasthttp.RequestCtx, start time.Time) (layer, int) {
	head := &ctx.Request.Header
	if !head.IsGet() && !head.IsHead() {
		ctx.Response.Header.Set(fasthttp.HeaderAllow, "GET, HEAD")
		return layerNone, r.writeProblem(ctx, problem{code: fasthttp.StatusMethodNotAllowed, title: "Method not allowed",
			reason: "Pages are read with GET or HEAD."}, nil)
	}
	key, suffix, v := r.router.parse(head.RequestURI())
	key.json = suffix || prefersJSON(head.Peek(fasthttp.HeaderAccept))
	if v != targetOK {
		p := problem{code: fasthttp.StatusBadRequest, title: "Bad request", reason: v.reason(), json: key.json}
		if v == targetUnknown {
			p.code, p.title = fasthttp.StatusNotFound, "Not found"
		}
		return layerNone, r.writeProblem(ctx, p, nil)
	}
	p, _ := r.l1.pages.GetAt(key, start)
	r.access.request(ctx, key, p) // first of all, so that no way to an answer is left out
	if from, code, done := r.serveL1(ctx, key, p, start, false); done {
		return from, code
	}
	return r.serveBeyond(ctx, key, start)
}

// serveL1 answers from the heap, which has the page p or nil, when that needs no
// look elsewhere. A hit is one lookup: no network, no log, no lock held over I/O
// (invariant 6).
func (r *Role) serveL1(ctx *fasthttp.RequestCtx, key pageKey, p *page, start time.Time, peer bool) (layer, int, bool) {
	now := start.UnixNano()
	if p == nil {
		return r.serveAbsent(ctx, key, start, peer)
	}
	s := cacheStatus{hit: true, hot: r.hot.shows(p), owner: r.id, peer: peer}
	switch state := r.look(p, now); state {
	case fresh:
	case stale:
		s.stale = true
		if !r.degraded.fromMemory(key.page) {
			r.refreshSoon(p, now)
		}
	case unverified, outdated:
		// Only when a look elsewhere is not allowed or has just failed. An outdated
		// page may be made better from memory.
		if now >= p.failed.Load() && (state == outdated || !r.degraded.fromMemory(key.page)) {
			if state == outdated {
				return 0, 0, false
			}
			if r.checks.take(start) {
				r.metrics.revalidations.Inc()
				return 0, 0, false
			}
			r.metrics.revalidationsSkipped.Inc()
		}
		s.stale = true
		r.metrics.staleServed.Inc()
	default:
		return 0, 0, false
	}
	return layerL1, r.writePage(ctx, p, s, now), true
}

// serveAbsent answers 404 from a negative entry: no lock, no wait (PITFALL 12).
func (r *Role) serveAbsent(ctx *fasthttp.RequestCtx, key pageKey, now time.Time, peer bool) (layer, int, bool) {
	root := catalog.Key{Kind: r.cat.Pages()[key.page].Root, ID: key.id}
	e, ok := r.l1.absents.Get(root)
	if !ok || !r.usable(e, now) {
		return 0, 0, false
	}
	return layerL1, r.writeAbsent(ctx, key, e.flag, cacheStatus{hit: true, hot: r.hot.has(key), owner: r.id, peer: peer}, now), true
}

func (r *Role) writeAbsent(ctx *fasthttp.RequestCtx, key pageKey, root *flag, s cacheStatus, now time.Time) int {
	if s.peer {
		ctx.Response.Header.SetCanonical(r.headers.stamps, appendStamps(nil, []*flag{root}))
	}
	s.degraded = r.degraded.answered(key.page, s.peer)
	ttl := time.Duration(root.soft.Load() - now.UnixNano())
	return r.writeProblem(ctx, notFound(key.json), s.append(nil, root, ttl, now.UnixNano()))
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
	a, err := r.await(key, wait)
	now := time.Now()
	if err != nil || a.page != nil && (a.stale || a.partial) {
		if from, code, ok := r.serveOlder(ctx, key, a, now, peer, true); ok {
			return from, code, false
		}
	}
	if err != nil && elsewhere {
		if from, code, missing, ok := r.serveForwarded(ctx, key, owner); ok {
			return from, code, missing
		}
		a, err = r.await(key, r.cfg.WaitTimeout)
		now = time.Now()
	}
	if err != nil {
		if why, retry, refused := refusal(err); refused {
			from, code = r.refuse(ctx, key, fasthttp.StatusServiceUnavailable, why, retry, now, peer)
			return from, code, false
		}
		r.log.Debug("a page cannot be had", "page", r.router.target(key), "err", err)
		return layerNone, r.writeProblem(ctx, unavailable(key.json, retryAfter(err)), cacheStatus{fwd: reason, hot: r.hot.has(key), owner: r.id,
			degraded: r.degraded.answered(key.page, peer)}.append(nil, nil, 0, 0)), false
	}
	s := cacheStatus{fwd: reason, stored: a.stored, stale: a.stale, partial: a.partial, hot: r.hot.has(key), layer: a.layer, owner: r.id, peer: peer}
	if a.page == nil {
		return a.layer, r.writeAbsent(ctx, key, a.deps[0], s, now), false
	}
	if a.stale {
		r.metrics.staleServed.Inc()
	}
	if a.partial {
		r.metrics.partialServed.Inc()
	}
	return a.layer, r.writePage(ctx, a.page, s, now.UnixNano()), a.missing
}

// await loads a page. The wait ends with the process or with its own limit. The
// request's context is not used: it must not outlive the handler (PITFALL 41).
func (r *Role) await(key pageKey, limit time.Duration) (*answer, error) {
	ctx, cancel := context.WithTimeout(r.base, limit)
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

// serveOlder answers with the page L1 still has after a load that failed (a is
// nil) or brought less. A new page without a part, or with a part that could
// not be checked, is better than one of which a document has changed since; the
// one that L1 has is better otherwise. tried tells that there was a load: others
// need not try again for a second then.
func (r *Role) serveOlder(ctx *fasthttp.RequestCtx, key pageKey, a *answer, now time.Time, peer, tried bool) (layer, int, bool) {
	p, ok := r.l1.pages.Get(key)
	if !ok || r.look(p, now.UnixNano()) == expired {
		return 0, 0, false
	}
	if a != nil && a.page.newer(p) {
		return 0, 0, false
	}
	if tried {
		p.failed.Store(now.Add(time.Second).UnixNano())
	}
	r.metrics.staleServed.Inc()
	return layerL1, r.writePage(ctx, p, cacheStatus{fwd: "stale", stale: true, hot: r.hot.has(key), owner: r.id, peer: peer}, now.UnixNano()), true
}
