package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/ring"
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
func (r *Role) serveForwarded(ctx *fasthttp.RequestCtx, key pageKey, owner ring.Member) (from layer, code int, missing, done bool) {
	wait, cancel := context.WithTimeout(r.base, r.cfg.WaitTimeout)
	defer cancel()
	fk := forwardKey{pageKey: key, gzip: acceptsGzip(ctx.Request.Header.Peek(fasthttp.HeaderAcceptEncoding)), owner: owner.ID}
	a, shared, err := r.forwards.Do(wait, fk, func(ctx context.Context) (*peerAnswer, error) {
		r.metrics.forwarded.Inc()
		return r.forward(ctx, fk, owner)
	})
	if err != nil {
		if !shared {
			r.metrics.forwardFailed.Inc()
			r.log.Debug("the owner did not answer, loading here", "owner", owner.ID, "page", r.router.target(key), "err", err)
		}
		return 0, 0, false, false
	}
	if a.code != fasthttp.StatusOK && a.code != fasthttp.StatusNotFound {
		return 0, 0, false, false
	}
	for _, s := range a.stamps {
		if !r.floor.Admits(s.key, s.stamp) && !r.degraded.admits(key.page, s.key, a.announced) {
			r.metrics.forwardBelowFloor.Inc()
			return 0, 0, false, false
		}
	}
	return layerPeer, r.writePeer(ctx, key, a, owner), key.namesRelated() && !keptThere(a.cacheStatus), true
}

func (r *Role) writePeer(ctx *fasthttp.RequestCtx, key pageKey, a *peerAnswer, owner ring.Member) int {
	h := &ctx.Response.Header
	r.degraded.answered(key.page, false) // the owner's member says so
	status := appendForwarded(a.cacheStatus, r.forwardReason(key, time.Now()), token(owner.ID), r.hot.has(key))
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
	ctx.Response.SetBodyRaw(a.body)
	return fasthttp.StatusOK
}

// appendForwarded adds this gateway's own member to the owner's Cache-Status: its
// time to live, version and age are those of the owner's last member; whether
// the product is hot is for each gateway to say.
func appendForwarded(theirs []byte, reason, owner string, hot bool) []byte {
	facts := []byte(`; detail="`)
	if i := bytes.LastIndex(theirs, []byte("; ttl=")); i >= 0 {
		if f, _, ok := bytes.Cut(theirs[i:], []byte("owner=")); ok {
			facts = bytes.TrimSuffix(f, []byte("hot; "))
		}
	}
	b := append(append(bytes.Clone(theirs), ", eshop; fwd="...), reason...)
	b = append(b, facts...)
	if hot {
		b = append(b, "hot; "...)
	}
	b = append(b, "peer; owner="...)
	return append(append(b, owner...), '"')
}

// dialTimeout is how long a peer may take to accept: peers are near.
const dialTimeout = 500 * time.Millisecond

// maxPeerBody bounds one page on the way between gateways, in bytes.
const maxPeerBody = 32 << 20

// hosts keeps one pool of connections for each peer.
type hosts struct {
	connections int           // to one peer at most
	wait        time.Duration // for one of them; 0: none
	mu          sync.Mutex
	m           map[string]*fasthttp.HostClient
}

func newHosts(connections int, wait time.Duration) *hosts {
	return &hosts{connections: connections, wait: wait, m: map[string]*fasthttp.HostClient{}}
}

func (h *hosts) at(addr string) *fasthttp.HostClient {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.m[addr]
	if c == nil {
		if len(h.m) >= 256 { // addresses of gateways long gone
			h.closeLocked()
		}
		c = &fasthttp.HostClient{
			Addr: addr, MaxConns: h.connections, MaxConnWaitTimeout: h.wait, MaxIdleConnDuration: 10 * time.Second,
			MaxIdemponentCallAttempts: 2, // a kept connection may have been closed by the other side
			MaxResponseBodySize:       maxPeerBody, NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
			Dial: func(addr string) (net.Conn, error) { return net.DialTimeout("tcp", addr, dialTimeout) },
		}
		h.m[addr] = c
	}
	return c
}

func (h *hosts) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closeLocked()
}

func (h *hosts) closeLocked() {
	for addr, c := range h.m {
		c.CloseIdleConnections()
		delete(h.m, addr)
	}
}

// forward asks the owner, once: its peer listener never forwards (10, PITFALL 16).
func (r *Role) forward(ctx context.Context, k forwardKey, owner ring.Member) (*peerAnswer, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + owner.Addr + r.router.target(k.pageKey))
	if r.cfg.ClusterToken != "" {
		req.Header.Set(fasthttp.HeaderAuthorization, "Bearer "+r.cfg.ClusterToken)
	}
	if k.gzip {
		req.Header.Set(fasthttp.HeaderAcceptEncoding, "gzip")
	}
	deadline := time.Now().Add(r.cfg.PeerTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := r.hosts.at(owner.Addr).DoDeadline(req, resp, deadline); err != nil {
		if ctx.Err() == nil && r.unreachable(ctx, owner, err) {
			r.peers.Eject(owner.ID, err)
		}
		return nil, fmt.Errorf("ask the owner %s at %s: %w", owner.ID, owner.Addr, err)
	}
	a := &peerAnswer{code: resp.StatusCode(), gzip: bytes.Equal(resp.Header.ContentEncoding(), r.headers.gzip)}
	if a.code != fasthttp.StatusOK && a.code != fasthttp.StatusNotFound {
		return a, nil
	}
	var err error
	if a.stamps, err = parseStamps(string(resp.Header.PeekBytes(r.headers.stamps))); err != nil {
		return nil, fmt.Errorf("read the answer of the owner %s at %s: %w", owner.ID, owner.Addr, err)
	}
	if told := string(resp.Header.Peek(announcedHeader)); told != "" {
		if a.announced, err = parseStamps(told); err != nil {
			return nil, fmt.Errorf("read the answer of the owner %s at %s: %w", owner.ID, owner.Addr, err)
		}
	}
	// The answer's buffers go back to a pool; what is shared is copied out.
	a.body = bytes.Clone(resp.Body())
	a.etag = bytes.Clone(resp.Header.PeekBytes(r.headers.etag))
	a.csp = bytes.Clone(resp.Header.PeekBytes(r.headers.csp))
	a.cacheStatus = bytes.Clone(resp.Header.PeekBytes(r.headers.cacheStatus))
	a.cacheControl = bytes.Clone(resp.Header.PeekBytes(r.headers.cacheControl))
	return a, nil
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
		b = append(append(append(b, f.key.String()...), '@'), f.stamp.String()...)
	}
	return b
}

func parseStamps(text string) ([]keyStamp, error) {
	var out []keyStamp
	for part := range strings.FieldsSeq(text) {
		name, stamp, _ := strings.Cut(part, "@")
		kind, id, _ := strings.Cut(name, "/")
		n, err := catalog.ParseID(id)
		if err != nil {
			return nil, err
		}
		s, err := catalog.ParseStamp(stamp)
		if err != nil {
			return nil, err
		}
		if out = append(out, keyStamp{catalog.Key{Kind: kind, ID: n}, s}); len(out) > maxRelated+1 {
			return nil, fmt.Errorf("the header Eshop-Stamps names more than %d documents", maxRelated+1)
		}
	}
	if len(out) == 0 {
		return nil, errNoStamps
	}
	return out, nil
}
