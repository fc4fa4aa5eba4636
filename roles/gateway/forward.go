package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/ring"
	"eshop/pkg/tracing"
)

// group is what routing asks of the membership; *membership.Group has it.
type group interface {
	Ring() *ring.Ring
	Eject(id string, reason error)
}

// remoteOwner returns the gateway that owns a page's root, if it is another one.
func (r *Role) remoteOwner(key pageKey) (ring.Member, bool) {
	rg := r.peers.Ring()
	if rg == nil {
		return ring.Member{}, false
	}
	m, ok := rg.Owner(ring.Hash(r.cat.Pages()[key.page].Root, key.id))
	return m, ok && m.ID != r.cfg.ID && m.Addr != ""
}

// forwardKey is a page in one encoding at one owner: what requests may share.
type forwardKey struct {
	pageKey
	gzip  bool
	owner string
}

// peerAnswer is what an owner said. It is not kept: the owner has it.
type peerAnswer struct {
	code                         int
	body, etag, cacheStatus, csp []byte
	cacheControl                 []byte
	gzip                         bool
	borrowed                     bool // the body is to be copied
	stamps, announced            []keyStamp
}

type keyStamp struct {
	key   catalog.Key
	stamp catalog.Stamp
}

// serveForwarded answers with what the owner says. It reports false when the
// page should be loaded here instead: the owner is unreachable, has nothing, or
// has not heard yet of a change that is known here (invariant 3). With stale-only
// a copy that the owner knows to be older, and says so, is better than none.
// missing tells that the request named a related document that does not exist.
//
// The owner is asked twice for what it has to load, first for what it has and
// then by a request that may wait, which those who want the same share.
func (r *Role) serveForwarded(ctx *fasthttp.RequestCtx, key pageKey, owner ring.Member) (from layer, code int, missing, done bool) {
	fk := forwardKey{pageKey: key, gzip: acceptsGzip(ctx.Request.Header.Peek(fasthttp.HeaderAcceptEncoding)), owner: owner.ID}
	v := r.identity(ctx)
	a, q, err := r.askKept(v.ctx, fk, owner)
	defer r.hosts.done(q) // a points into it
	shared := false
	if errors.Is(err, errNotKept) {
		wait, cancel := context.WithTimeout(v.ctx, r.cfg.WaitTimeout)
		defer cancel()
		var p *peerAnswer
		p, shared, err = r.forwards.Do(wait, fk, func(ctx context.Context) (*peerAnswer, error) {
			r.metrics.forwarded.Inc()
			return r.forward(ctx, fk, owner)
		})
		if shared {
			v.span.Set(tracing.Shared(true))
		}
		if err == nil {
			a = *p
		}
	}
	if err != nil {
		if !shared {
			r.metrics.forwardFailed.Inc()
			r.log.DebugContext(v.ctx, "the owner did not answer, loading here", "owner", owner.ID, "page", r.router.target(key), "err", err)
		}
		return 0, 0, false, false
	}
	if !r.takes(key, &a) {
		return 0, 0, false, false
	}
	return layerPeer, r.writePeer(ctx, key, &a, owner), key.namesRelated() && !keptThere(a.cacheStatus), true
}

// takes reports whether an owner's answer may be shown: it is one, and not older
// than a change that is known here.
func (r *Role) takes(key pageKey, a *peerAnswer) bool {
	if a.code != fasthttp.StatusOK && a.code != fasthttp.StatusNotFound {
		return false
	}
	for _, s := range a.stamps {
		if !r.floor.Admits(s.key, s.stamp) && !r.degraded.admits(key.page, s.key, a.announced) {
			r.metrics.forwardBelowFloor.Inc()
			return false
		}
	}
	return true
}

func (r *Role) writePeer(ctx *fasthttp.RequestCtx, key pageKey, a *peerAnswer, owner ring.Member) int {
	h := &ctx.Response.Header
	r.degraded.answered(key.page, false) // the owner's member says so
	var buf [512]byte
	status := appendForwarded(buf[:0], a.cacheStatus, r.forwardReason(key, time.Now()), token(owner.ID), r.hot.has(key))
	if a.code == fasthttp.StatusNotFound {
		return r.writeProblem(ctx, notFound(key.json), status)
	}
	h.SetCanonical(r.headers.cacheStatus, status)
	h.SetCanonical(r.headers.vary, r.headers.varyBy)
	h.SetCanonical(r.headers.cacheControl, a.cacheControl)
	if len(a.etag) > 0 {
		h.SetCanonical(r.headers.etag, a.etag)
		if matchesETag(ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch), a.etag) {
			ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
			return fasthttp.StatusNotModified
		}
	}
	if a.gzip {
		h.SetContentEncodingBytes(r.headers.gzip)
	}
	h.SetCanonical(r.headers.nosniff, r.headers.no)
	if key.json {
		h.SetContentTypeBytes(r.headers.json)
	} else {
		h.SetContentTypeBytes(r.headers.html)
	}
	if len(a.csp) > 0 {
		h.SetCanonical(r.headers.csp, a.csp)
	}
	if a.borrowed {
		ctx.Response.SetBody(a.body)
	} else {
		ctx.Response.SetBodyRaw(a.body)
	}
	return fasthttp.StatusOK
}

// appendForwarded appends to b, after the owner's Cache-Status, this gateway's own
// member: its time to live, version and age are those of the owner's last member; whether
// the product is hot is for each gateway to say.
func appendForwarded(b, theirs []byte, reason, owner string, hot bool) []byte {
	facts := []byte(`; detail="`)
	if i := bytes.LastIndex(theirs, []byte("; ttl=")); i >= 0 {
		if f, _, ok := bytes.Cut(theirs[i:], []byte("owner=")); ok {
			facts = bytes.TrimSuffix(f, []byte("hot; "))
		}
	}
	b = append(append(append(b, theirs...), ", eshop; fwd="...), reason...)
	b = append(b, facts...)
	if hot {
		b = append(b, "hot; "...)
	}
	b = append(b, "peer; owner="...)
	return append(append(b, owner...), '"')
}

// forward asks the owner, once: its peer listener never forwards (10, PITFALL 16).
func (r *Role) forward(ctx context.Context, k forwardKey, owner ring.Member) (answer *peerAnswer, err error) {
	ctx, span := tracing.Start(ctx, tracing.Client, "ask the owner")
	defer func() { endCall(span, owner, answer, err) }()
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	if err := r.hop(ctx, r.router.target(k.pageKey), k.gzip, owner, resp); err != nil {
		return nil, err
	}
	return r.ownAnswer(&resp.Header, bytes.Clone(resp.Body()), owner)
}

// hop asks the owner for a target.
func (r *Role) hop(ctx context.Context, target string, gzip bool, owner ring.Member, resp *fasthttp.Response) error {
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	req.SetRequestURI("http://" + owner.Addr + target)
	if show := r.tokens.Header(); show != "" {
		req.Header.Set(fasthttp.HeaderAuthorization, show)
	}
	if gzip {
		req.Header.Set(fasthttp.HeaderAcceptEncoding, "gzip")
	}
	tracing.Inject(ctx, req.Header.Set)
	deadline := time.Now().Add(r.cfg.PeerTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := r.hosts.do(owner.Addr, req, resp, deadline); err != nil {
		if ctx.Err() == nil && r.unreachable(ctx, owner, err) {
			r.peers.Eject(owner.ID, err)
		}
		return fmt.Errorf("ask the owner %s at %s: %w", owner.ID, owner.Addr, err)
	}
	return nil
}

// ownAnswer reads an owner's answer, of which the body is nobody else's. Its header
// goes back to a pool, so what is shared is copied out.
func (r *Role) ownAnswer(h *fasthttp.ResponseHeader, body []byte, owner ring.Member) (*peerAnswer, error) {
	a, err := r.readPeer(h, owner)
	if err != nil {
		return nil, err
	}
	a.body = body
	a.etag, a.csp = bytes.Clone(a.etag), bytes.Clone(a.csp)
	a.cacheStatus, a.cacheControl = bytes.Clone(a.cacheStatus), bytes.Clone(a.cacheControl)
	return &a, nil
}

// readPeer reads all but the body of an owner's answer; the result points into h.
func (r *Role) readPeer(h *fasthttp.ResponseHeader, owner ring.Member) (a peerAnswer, err error) {
	a.code = h.StatusCode()
	if a.code != fasthttp.StatusOK && a.code != fasthttp.StatusNotFound {
		return a, nil
	}
	a.gzip = bytes.Equal(h.ContentEncoding(), r.headers.gzip)
	a.etag, a.csp = h.PeekBytes(r.headers.etag), h.PeekBytes(r.headers.csp)
	a.cacheStatus, a.cacheControl = h.PeekBytes(r.headers.cacheStatus), h.PeekBytes(r.headers.cacheControl)
	if a.stamps, err = r.parseStamps(h.PeekBytes(r.headers.stamps)); err == nil {
		if told := h.Peek(announcedHeader); len(told) > 0 {
			a.announced, err = r.parseStamps(told)
		}
	}
	if err != nil {
		return a, fmt.Errorf("read the answer of the owner %s at %s: %w", owner.ID, owner.Addr, err)
	}
	return a, nil
}

// errNotKept: the owner is to be asked by a request that may wait, for it has
// nothing at hand, or could not be asked for that.
var errNotKept = errors.New("the owner has nothing at hand")

// askKept asks the owner for what it has in L1. The answer stands in the question.
func (r *Role) askKept(ctx context.Context, k forwardKey, owner ring.Member) (a peerAnswer, q *question, err error) {
	ctx, span := tracing.Start(ctx, tracing.Client, "ask the owner's memory")
	if span.On() {
		defer func() { endCall(span, owner, &a, err) }()
	}
	q, err = r.hosts.ask(owner.Addr, r.cfg.PeerTimeout, func(b []byte) []byte {
		b = r.router.appendTarget(append(b, "GET "...), k.pageKey)
		b = append(append(b, " HTTP/1.1\r\nHost: "...), owner.Addr...)
		b = append(b, "\r\nCache-Control: "+onlyIfCached...)
		if show := r.tokens.Header(); show != "" {
			b = append(append(b, "\r\nAuthorization: "...), show...)
		}
		if k.gzip {
			b = append(b, "\r\nAccept-Encoding: gzip"...)
		}
		if span.On() { // otherwise nobody there asks who it was: it is a hit, or is told that it is none
			tracing.Inject(ctx, headerLine(&b))
		}
		return append(b, "\r\n\r\n"...)
	})
	var timeout net.Error
	switch {
	case errors.Is(err, fasthttp.ErrNoFreeConns):
		return a, q, err
	case errors.As(err, &timeout) && timeout.Timeout():
		if r.base.Err() == nil && r.unreachable(r.base, owner, fasthttp.ErrTimeout) {
			r.peers.Eject(owner.ID, err)
		}
		return a, q, fmt.Errorf("ask the owner %s: %w", owner.ID, err)
	case err != nil, q.header.StatusCode() == fasthttp.StatusGatewayTimeout:
		return a, q, errNotKept
	}
	r.metrics.forwarded.Inc()
	a, err = r.readPeer(&q.header, owner)
	a.body, a.borrowed = q.body, true
	return a, q, err
}

// endCall ends the span of a question to an owner.
func endCall(span tracing.Span, owner ring.Member, a *peerAnswer, err error) {
	if !span.On() {
		return
	}
	span.Set(tracing.Owner(owner.ID, owner.Addr)...)
	switch {
	case errors.Is(err, errNotKept):
		span.Set(tracing.Outcome("not there"))
	case err != nil:
		span.Fail(err)
	default:
		span.Set(tracing.HTTPStatus(a.code))
		if len(a.stamps) > 0 {
			span.Set(tracing.Document(a.stamps[0].key), tracing.Stamp(a.stamps[0].stamp), tracing.Version(a.stamps[0].stamp.Version))
		}
	}
	span.End()
}

// unreachable tells a peer that is gone from one that waits for a slow origin:
// only the first does not answer a probe either. A request that found every
// connection taken, or the answer too large, says nothing about the peer; nor
// does a probe that found as many others under way.
func (r *Role) unreachable(ctx context.Context, m ring.Member, err error) bool {
	switch {
	case errors.Is(err, fasthttp.ErrNoFreeConns), errors.Is(err, fasthttp.ErrBodyTooLarge):
		return false
	case !errors.Is(err, fasthttp.ErrTimeout):
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	err = r.probe(ctx, m)
	return err != nil && !errors.Is(err, fasthttp.ErrNoFreeConns) && !errors.Is(ctx.Err(), context.Canceled)
}

var errNoStamps = errors.New("it does not say how old it is (no header Eshop-Stamps)")

// appendStamps writes "product/7@0.1.2 shop/3@0.0.0".
func appendStamps(b []byte, deps []*flag) []byte {
	for i, f := range deps {
		if i > 0 {
			b = append(b, ' ')
		}
		b = f.stamp.Append(append(f.key.Append(b), '@'))
	}
	return b
}

// parseStamps reads what appendStamps wrote. It allocates the result alone.
func (r *Role) parseStamps(text []byte) ([]keyStamp, error) {
	var few [maxRelated + 1]keyStamp
	out := few[:0]
	for len(text) > 0 {
		var part []byte
		part, text, _ = bytes.Cut(text, []byte(" "))
		if len(part) == 0 {
			continue
		}
		name, stamp, _ := bytes.Cut(part, []byte("@"))
		kind, id, _ := bytes.Cut(name, []byte("/"))
		k, n := r.cat.Kind(string(kind)), int64(0)
		s, ok := catalog.ParseStampBytes(stamp)
		if ok {
			n, ok = catalog.ParseIDBytes(id)
		}
		switch {
		case !ok || k == nil:
			return nil, fmt.Errorf("%.80q is no stamp of a document", part)
		case len(out) == len(few):
			return nil, fmt.Errorf("it names more than %d documents", len(few))
		}
		out = append(out, keyStamp{catalog.Key{Kind: k.Name, ID: n}, s})
	}
	if len(out) == 0 {
		return nil, errNoStamps
	}
	return slices.Clone(out), nil
}
