package gateway

import (
	"encoding/json"
	"html"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// Header names and values as bytes, so that setting them allocates nothing.
// They are constants in all but type.
type headers struct {
	cacheStatus, cacheControl, vary, etag, contentEncoding, nosniff, csp, stamps, retryAfter []byte
	revalidate, noStore, varyBy, varyEncoding, gzip, no, html, json, text, problem           []byte
}

const (
	busy       = "Too much is asked for right now. Please try again in a moment."
	unknownIDs = "Too many ids that do not exist have been asked for from this address."
)

func newHeaders() *headers {
	return &headers{
		cacheStatus: []byte("Cache-Status"), cacheControl: []byte("Cache-Control"), vary: []byte("Vary"), etag: []byte("Etag"),
		contentEncoding: []byte("Content-Encoding"), nosniff: []byte("X-Content-Type-Options"), csp: []byte("Content-Security-Policy"),
		stamps: []byte("Eshop-Stamps"), retryAfter: []byte("Retry-After"),
		// A browser or a proxy may keep the page but asks before each use: prices
		// change within milliseconds here, and a 304 costs one lookup.
		revalidate: []byte("public, no-cache"), noStore: []byte("no-store"),
		varyBy: []byte("Accept, Accept-Encoding"), varyEncoding: []byte("Accept-Encoding"), gzip: []byte("gzip"), no: []byte("nosniff"),
		html: []byte("text/html; charset=utf-8"), json: []byte("application/json; charset=utf-8"), text: []byte("text/plain; charset=utf-8"),
		problem: []byte("application/problem+json"),
	}
}

// writePage answers with a page, or 304 if the client has it. The bytes are
// shared, not copied: nobody changes a page.
func (r *Role) writePage(ctx *fasthttp.RequestCtx, p *page, s cacheStatus, now int64) int {
	h := &ctx.Response.Header
	f, zipped := &p.plain, false
	if p.gzip.body != nil && acceptsGzip(ctx.Request.Header.Peek(fasthttp.HeaderAcceptEncoding)) {
		f, zipped = &p.gzip, true
	}
	s.degraded = r.degraded.answered(p.key.page, s.peer)
	var buf [320]byte
	h.SetCanonical(r.headers.cacheStatus, s.append(buf[:0], p.deps[0], p.ttl(now), now))
	h.SetCanonical(r.headers.vary, r.headers.varyBy)
	if s.peer {
		h.SetCanonical(r.headers.stamps, appendStamps(nil, p.deps))
		if told := r.appendAnnounced(nil, p.deps); s.stale && len(told) > 0 {
			h.Set(announcedHeader, string(told))
		}
	}
	if s.partial || s.stale && !s.hit {
		h.SetCanonical(r.headers.cacheControl, r.headers.noStore)
	} else {
		h.SetCanonical(r.headers.cacheControl, r.headers.revalidate)
		h.SetCanonical(r.headers.etag, f.etag)
		if inm := ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch); len(inm) > 0 && matchesETag(inm, f.etag) {
			ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
			return fasthttp.StatusNotModified
		}
	}
	if zipped {
		h.SetContentEncodingBytes(r.headers.gzip)
	}
	h.SetCanonical(r.headers.nosniff, r.headers.no)
	if p.key.json {
		h.SetContentTypeBytes(r.headers.json)
	} else {
		h.SetContentTypeBytes(r.headers.html)
		if p.view != nil && p.view.csp != nil {
			h.SetCanonical(r.headers.csp, p.view.csp)
		}
	}
	ctx.Response.SetBodyRaw(f.body)
	return fasthttp.StatusOK
}

// problem is a small answer that is no page.
type problem struct {
	code   int
	title  string
	reason string
	json   bool          // RFC 9457, for programs
	retry  time.Duration // of a 503
}

const problemCSP = "default-src 'none'; style-src 'unsafe-inline'"

// writeProblem answers with an error a human or a program can read.
func (r *Role) writeProblem(ctx *fasthttp.RequestCtx, p problem, status []byte) int {
	h, id := &ctx.Response.Header, r.identity(ctx).id
	ctx.Response.SetStatusCode(p.code)
	if len(status) > 0 {
		h.SetCanonical(r.headers.cacheStatus, status)
	}
	h.SetCanonical(r.headers.vary, r.headers.varyBy)
	h.SetCanonical(r.headers.nosniff, r.headers.no)
	if p.code == fasthttp.StatusNotFound {
		h.SetCanonical(r.headers.cacheControl, r.headers.revalidate)
	} else {
		h.SetCanonical(r.headers.cacheControl, r.headers.noStore)
	}
	if p.retry > 0 {
		r.setRetryAfter(ctx, p.retry)
	}
	if p.json {
		h.SetContentTypeBytes(r.headers.problem)
		ctx.Response.SetBodyRaw(appendProblem(nil, p, id))
		return p.code
	}
	h.SetContentTypeBytes(r.headers.html)
	h.SetCanonical(r.headers.csp, []byte(problemCSP))
	ctx.Response.SetBodyString(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
		`<meta name="color-scheme" content="light dark"><title>` + html.EscapeString(p.title) + `</title>` +
		`<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem}</style><h1>` +
		html.EscapeString(p.title) + `</h1><p>` + html.EscapeString(p.reason) + "</p><p><small>Request " + id + "</small></p></html>\n")
	return p.code
}

// appendProblem writes a problem as RFC 9457 has it, with the request's id as a member of our own.
func appendProblem(b []byte, p problem, id string) []byte {
	b = appendJSONText(append(b, `{"title":`...), p.title)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(p.code), 10)
	b = appendJSONText(append(b, `,"detail":`...), p.reason)
	return append(append(append(b, `,"request":"`...), id...), "\"}\n"...) // an id has no character that JSON escapes
}

// appendJSONText writes a text, whatever it holds.
func appendJSONText(b []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string always has a form
	return append(b, quoted...)
}

// setRetryAfter says when to come back, in whole seconds, at least one.
func (r *Role) setRetryAfter(ctx *fasthttp.RequestCtx, after time.Duration) {
	ctx.Response.Header.SetCanonical(r.headers.retryAfter, strconv.AppendInt(nil, wholeSeconds(after), 10))
}

func wholeSeconds(d time.Duration) int64 { return int64(max(1, (d+time.Second-1)/time.Second)) }

func notFound(json bool) problem {
	return problem{code: fasthttp.StatusNotFound, title: "Not found", reason: "This product does not exist, or not any more.", json: json}
}

func unavailable(json bool, retry time.Duration) problem {
	return problem{code: fasthttp.StatusServiceUnavailable, title: "Please try again in a moment",
		reason: "The page cannot be shown right now.", json: json, retry: retry}
}
