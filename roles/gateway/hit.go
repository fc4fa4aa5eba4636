package gateway

import (
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"eshop/pkg/fastpath"
)

// fastpath puts quick answers from L1 before a listener's server. failed is told of
// TLS handshakes that did not succeed.
func (r *Role) fastpath(l net.Listener, answer func(*fastpath.Request, *fastpath.Answer) bool, failed func(net.Addr, error)) *fastpath.Listener {
	limits := r.cfg.Limits
	return fastpath.Listen(l, fastpath.Config{Answer: answer, IdleTimeout: limits.IdleTimeout, ReadTimeout: limits.ReadTimeout,
		WriteTimeout: limits.WriteTimeout, HandshakeFailed: failed})
}

// answerHit answers a request with a page that L1 has and that needs no look
// elsewhere, which is what serveL1 does for all others. It says the same with the
// same headers; a page brings those that do not change as bytes. No lock that is
// shared by more than a shard, no wait (invariant 6), and no allocation but for the
// record of a request that the access log may want.
func (r *Role) answerHit(q *fastpath.Request, a *fastpath.Answer) bool {
	key, suffix, v := r.router.parse(q.Target)
	if v != targetOK {
		return false
	}
	key.json = suffix || prefersJSON(q.Accept)
	p, isStale := r.quickPage(key, a.Now)
	if p == nil {
		return false
	}
	r.access.simpleRequest(q, key, p)
	code := r.answerPage(q, a, p, cacheStatus{hit: true, stale: isStale})
	r.metrics.requests.count(q.Conn, layerL1, code, time.Since(a.Now))
	return true
}

// answerPeer is answerHit for another gateway.
func (r *Role) answerPeer(q *fastpath.Request, a *fastpath.Answer) bool {
	key, suffix, v := r.router.parse(q.Target)
	if v != targetOK || q.Head || !r.admitsPeer(q.Authorization) {
		return false
	}
	key.json = suffix
	p, isStale := r.quickPage(key, a.Now)
	if p == nil {
		return false
	}
	r.answerPage(q, a, p, cacheStatus{hit: true, stale: isStale, peer: true})
	return true
}

// quickPage returns the page for a key if L1 has it and it may be served as it is.
func (r *Role) quickPage(key pageKey, at time.Time) (p *page, isStale bool) {
	p, ok := r.l1.pages.GetAt(key, at)
	if !ok {
		return nil, false
	}
	now := at.UnixNano()
	switch r.look(p, now) {
	case fresh:
		return p, false
	case stale:
		if !r.degraded.fromMemory(key.page) {
			r.refreshSoon(p, now)
		}
		return p, true
	}
	return nil, false
}

// answerPage writes what writePage does for a hit and returns its status.
func (r *Role) answerPage(q *fastpath.Request, a *fastpath.Answer, p *page, s cacheStatus) (code int) {
	now := a.Now.UnixNano()
	s.owner, s.hot, s.degraded = r.id, r.hot.shows(p), r.degraded.answered(p.key.page, s.peer)
	f := &p.plain
	if p.gzip.body != nil && acceptsGzip(q.AcceptEncoding) {
		f = &p.gzip
	}
	b, body, code := a.Head(), f.body, 200
	if len(q.IfNoneMatch) > 0 && matchesETag(q.IfNoneMatch, f.etag) {
		b = append(append(b, "HTTP/1.1 304 Not Modified\r\n"...), f.head[f.shared:]...)
		body, code = nil, 304
	} else {
		b = append(b, f.head...)
	}
	b = r.date.append(b, a.Now)
	if s.peer {
		b = append(appendStamps(append(append(b, r.headers.stamps...), ": "...), p.deps), "\r\n"...)
		if s.stale {
			if told := r.appendAnnounced(nil, p.deps); len(told) > 0 {
				b = append(append(append(b, announcedHeader+": "...), told...), "\r\n"...)
			}
		}
	}
	b = s.append(append(b, "Cache-Status: "...), p.deps[0], p.ttl(now), now)
	b = append(b, "\r\n\r\n"...)
	if q.Head {
		body = nil
	}
	a.Send(b, body)
	return code
}

// simpleRequest is request for one that the fast path answers.
func (l *accessLog) simpleRequest(q *fastpath.Request, key pageKey, p *page) {
	switch {
	case !l.counted[key.page]:
	case l.cfg.Mode == AccessCounts:
		l.hits.page(p)
	default:
		l.recorder.recordSimple(q, key.id)
	}
}

// recordSimple is record for a request that the fast path answers.
func (w *recorder) recordSimple(q *fastpath.Request, id int64) {
	s := w.chosen(id)
	if s == nil {
		return
	}
	s.room = append(append(s.room[:0], q.Method()...), q.Protocol()...)
	n := len(q.Method())
	s.request.Method, s.request.HTTPVersion = s.room[:n], s.room[n:]
	s.request.Target, s.request.Head = q.Target, q.Fields
	if s.form.client {
		if addr, err := netip.ParseAddrPort(q.Remote.String()); err == nil {
			s.request.Client = addr.Addr().Unmap().WithZone("")
		}
	}
	w.send(s)
}

// form is a page's body in one encoding, with what an answer says of it.
type form struct {
	body []byte // nil: there is no such form
	// head is the status line and the headers that are the same in each answer of
	// the fast path. Those from shared on go with a 304 too.
	head   []byte
	shared int
	etag   []byte // strong, quotes included
}

// bytes is what the form is charged.
func (f *form) bytes() int { return len(f.body) + len(f.head) + len(f.etag) }

// newForm writes a form's head. encoding and csp may be empty.
func (r *Role) newForm(body []byte, etag, encoding string, json bool, csp []byte) form {
	b := make([]byte, 0, 512)
	field := func(name, value []byte) {
		if len(value) > 0 {
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
	}
	kind := r.headers.html
	if json {
		kind = r.headers.json
	}
	b = append(b, "HTTP/1.1 200 OK\r\n"...)
	field([]byte("Content-Type"), kind)
	field([]byte("Content-Length"), strconv.AppendInt(nil, int64(len(body)), 10))
	field(r.headers.contentEncoding, []byte(encoding))
	field(r.headers.nosniff, r.headers.no)
	field(r.headers.csp, csp)
	f := form{body: body, shared: len(b), etag: []byte(etag)}
	field(r.headers.vary, r.headers.varyBy)
	field(r.headers.cacheControl, r.headers.revalidate)
	field(r.headers.etag, f.etag)
	f.head = append([]byte(nil), b...)
	return f
}

// date is the Date header of the present second.
type date struct{ line atomic.Pointer[dateLine] }

type dateLine struct {
	second int64
	text   []byte
}

// append appends the header of a moment; it is made once in a second.
func (d *date) append(b []byte, now time.Time) []byte {
	line := d.line.Load()
	if second := now.Unix(); line == nil || line.second != second {
		line = &dateLine{second: second, text: now.UTC().AppendFormat(nil, "Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n")}
		d.line.Store(line)
	}
	return append(b, line.text...)
}
