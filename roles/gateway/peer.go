package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/admin"
	"eshop/pkg/admission"
	"eshop/pkg/ring"
)

// peerServer returns the settings of the listener for other gateways.
func (r *Role) peerServer() *fasthttp.Server {
	s := r.publicServer()
	s.Handler = r.servePeer
	s.WriteBufferSize = peerBuffer // answers to requests that came together go together
	return s
}

// servePeer answers a gateway that is not the owner of a page. Nothing in here
// forwards, whatever the ring says: two gateways whose views of it differ ask
// each other at most once (invariant 10, PITFALL 16).
func (r *Role) servePeer(ctx *fasthttp.RequestCtx) {
	head := &ctx.Request.Header
	if !r.admitsPeer(head.Peek(fasthttp.HeaderAuthorization)) {
		ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, `Bearer realm="eshop peer"`)
		r.writeProblem(ctx, problem{code: fasthttp.StatusUnauthorized, title: "Unauthorized", reason: "The cluster token is missing or wrong.", json: true}, nil)
		return
	}
	if string(head.RequestURI()) == peerPing {
		ctx.Response.Header.Set(peerIDHeader, r.cfg.ID)
		ctx.Response.SetStatusCode(fasthttp.StatusNoContent)
		return
	}
	if r.fleet != nil && bytes.HasPrefix(head.RequestURI(), []byte(admin.FleetPath+"/")) {
		r.fleet(ctx)
		return
	}
	key, suffix, v := r.router.parse(head.RequestURI())
	if path, query, ok := splitTarget(head.RequestURI()); v == targetUnknown && ok && string(path) == productsPath && head.IsGet() {
		r.servePeerBatch(ctx, query, time.Now())
		return
	}
	if !head.IsGet() || v != targetOK {
		r.writeProblem(ctx, problem{code: fasthttp.StatusBadRequest, title: "Bad request", reason: "This is not how a gateway asks for a page. " + v.reason(), json: true}, nil)
		return
	}
	key.json = suffix
	start := time.Now()
	if r.peerTraced(head.Peek("traceparent"), start) {
		r.traceRequest(ctx, key, start, true)
	}
	from, code := r.servePeerPage(ctx, key, start)
	r.leave(ctx, from, code)
}

func (r *Role) servePeerPage(ctx *fasthttp.RequestCtx, key pageKey, start time.Time) (layer, int) {
	p, _ := r.l1.pages.GetAt(key, start)
	if from, code, done := r.serveL1(ctx, key, p, start, true); done {
		return from, code
	}
	if string(ctx.Request.Header.Peek(fasthttp.HeaderCacheControl)) == onlyIfCached { // behind it others wait in the pipe
		ctx.Response.SetStatusCode(fasthttp.StatusGatewayTimeout)
		return layerNone, fasthttp.StatusGatewayTimeout
	}
	if _, why := r.overload.enter(1); why != "" { // the one who asks loads the page itself
		o := r.refuse(key, fasthttp.StatusServiceUnavailable, why, admission.Spread(0), start, true)
		return o.from, r.write(ctx, key, &o, start)
	}
	defer r.overload.leave(1)
	r.traceRequest(ctx, key, start, true)
	from, code, _ := r.serveLoaded(ctx, key, true)
	return from, code
}

// onlyIfCached is the Cache-Control of a request for what is in L1, which is
// answered at once: 504 if that is nothing.
const onlyIfCached = "only-if-cached"

// peerPing is what a gateway that ejected this one asks to see whether it is back.
const (
	peerPing     = "/-/ping"
	peerIDHeader = "Eshop-Id"
)

// admitsPeer reports whether another gateway has shown the fleet's token.
func (r *Role) admitsPeer(authorization []byte) bool { return r.tokens.Admits(authorization) }

// probe asks an ejected gateway whether it answers again. It must be the same
// one: a port may have found a new tenant.
func (r *Role) probe(ctx context.Context, m ring.Member) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + m.Addr + peerPing)
	if show := r.tokens.Header(); show != "" {
		req.Header.Set(fasthttp.HeaderAuthorization, show)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(r.cfg.PeerTimeout)
	}
	if err := r.probes.at(m.Addr).DoDeadline(req, resp, deadline); err != nil {
		return fmt.Errorf("probe the gateway %s at %s: %w", m.ID, m.Addr, err)
	}
	if resp.StatusCode() != fasthttp.StatusNoContent || string(resp.Header.Peek(peerIDHeader)) != m.ID {
		return errors.New("probe the gateway " + m.ID + " at " + m.Addr + ": another process answers there")
	}
	return nil
}
