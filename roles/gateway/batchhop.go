package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/admission"
	"eshop/pkg/ring"
	"eshop/pkg/tracing"
)

// The hop of a batch: GET /api/v1/products?ids=… at the peer listener of the owner.
// Its answer is that of each page, in the order of the request, one after the
// other: the media type of that is application/http (RFC 9112, 10.2). So an owner
// says of a page the same, in the same words, whether it is asked for alone or
// with others, and both are read by the same function.

const applicationHTTP = "application/http"

// settleForwarded takes the outcomes that the owner of pages has and returns those
// that are to be loaded here instead.
func (r *Role) settleForwarded(ctx context.Context, keys []pageKey, open []int, out []outcome, owner ring.Member) (left []int) {
	asked := make([]forwardKey, len(open))
	for n, i := range open {
		asked[n] = forwardKey{pageKey: keys[i], owner: owner.ID}
	}
	wait, cancel := context.WithTimeout(ctx, r.cfg.WaitTimeout)
	defer cancel()
	own := false
	for n, got := range r.forwards.DoMany(wait, asked, func(ctx context.Context, keys []forwardKey, done func(int, *peerAnswer, error)) {
		r.forwardMany(ctx, keys, owner, done)
	}) {
		i := open[n]
		if got.Err != nil && !got.Shared && !own {
			own = true
			r.metrics.forwardFailed.Inc()
			r.log.DebugContext(ctx, "the owner did not answer, loading here", "owner", owner.ID, "page", r.router.target(keys[i]), "err", got.Err)
		}
		if got.Err != nil || !r.takes(keys[i], got.Value) {
			left = append(left, i)
			continue
		}
		out[i] = outcome{said: got.Value, owner: token(owner.ID), from: layerPeer, missing: keys[i].namesRelated() && !keptThere(got.Value.cacheStatus)}
	}
	return left
}

// forwardMany asks the owner for pages, once and together.
func (r *Role) forwardMany(ctx context.Context, keys []forwardKey, owner ring.Member, done func(int, *peerAnswer, error)) {
	r.metrics.forwarded.Inc()
	ctx, span := tracing.Start(ctx, tracing.Client, "ask the owner")
	pages := make([]pageKey, len(keys))
	for i, k := range keys {
		pages[i] = k.pageKey
	}
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	read := 0
	err := r.hop(ctx, string(r.router.appendBatch(nil, pages)), false, owner, resp)
	if err == nil {
		read, err = r.readMany(resp, len(keys), owner, done)
	}
	for i := read; i < len(keys); i++ {
		done(i, nil, err)
	}
	if span.On() {
		span.Set(r.documentsOf(pages))
		endCall(span, owner, &peerAnswer{code: resp.StatusCode()}, err)
	}
}

// readMany reads the answers for n pages and says how many it could.
func (r *Role) readMany(resp *fasthttp.Response, n int, owner ring.Member, done func(int, *peerAnswer, error)) (read int, err error) {
	fail := func(err error) (int, error) {
		return read, fmt.Errorf("read the answer of the owner %s at %s: %w", owner.ID, owner.Addr, err)
	}
	if resp.StatusCode() != fasthttp.StatusOK || string(resp.Header.ContentType()) != applicationHTTP {
		return fail(fmt.Errorf("status %d, %.60q", resp.StatusCode(), resp.Header.ContentType()))
	}
	all := bytes.NewReader(resp.Body())
	in := bufio.NewReaderSize(all, pageBuffer)
	var h fasthttp.ResponseHeader
	for ; read < n; read++ {
		h.Reset()
		if err := h.Read(in); err != nil {
			return fail(err)
		}
		size := h.ContentLength()
		if size < 0 || size > all.Len()+in.Buffered() {
			return fail(fmt.Errorf("an answer of %d bytes among %d", size, all.Len()+in.Buffered()))
		}
		body := make([]byte, size)
		if _, err := io.ReadFull(in, body); err != nil {
			return fail(err)
		}
		a, err := r.ownAnswer(&h, body, owner)
		done(read, a, err)
	}
	return read, nil
}

// servePeerBatch answers another gateway's batch. It never forwards (10). What
// takes longer than the other one waits is left out as what cannot be had: it
// will be loaded there.
func (r *Role) servePeerBatch(ctx *fasthttp.RequestCtx, query []byte, start time.Time) {
	b, bad := r.router.parseBatch(query, maxBatchIDs)
	if bad != nil {
		r.writeProblem(ctx, *bad, nil)
		return
	}
	held, out := make([]*page, len(b.keys)), make([]outcome, len(b.keys))
	r.traceBatch(ctx, b.keys, start, true)
	defer func() { r.leave(ctx, layerNone, fasthttp.StatusOK) }()
	for i, key := range b.keys {
		held[i], _ = r.l1.pages.GetAt(key, start)
	}
	open := r.settleL1(b.keys, held, all(len(b.keys)), out, start, true)
	room, why := r.overload.enter(len(open))
	defer r.overload.leave(room)
	for _, i := range open[room:] {
		out[i] = r.refuse(b.keys[i], fasthttp.StatusServiceUnavailable, why, admission.Spread(0), start, true)
	}
	r.settleLoaded(r.identity(ctx).ctx, b.keys, open[:room], out, r.cfg.PeerTimeout*3/4, true)

	// An answer is written as if it were alone, by who writes it then, in a context that is nobody's.
	one := new(fasthttp.RequestCtx)
	one.SetUserValue(identityKey{}, r.identity(ctx))
	var body bytes.Buffer
	w := bufio.NewWriterSize(&body, pageBuffer)
	now, most := time.Now(), r.live.batches.Load().bytes
	for i, key := range b.keys {
		one.Response.Reset()
		o := &out[i]
		if size := body.Len() + w.Buffered(); o.page != nil && size > 0 && size+len(o.page.plain.body) > most {
			o = &outcome{from: layerNone, code: fasthttp.StatusServiceUnavailable, retry: time.Second, status: cacheStatus{owner: r.id, fwd: "uri-miss", peer: true}}
		}
		r.write(one, key, o, now)
		_ = one.Response.Write(w) // a buffer takes everything
	}
	_ = w.Flush()
	ctx.Response.Header.SetContentType(applicationHTTP)
	ctx.Response.SetBodyRaw(body.Bytes())
}
