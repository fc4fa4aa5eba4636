package gateway

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
)

// partialHeader marks an answer that lacks something which may be had later; the
// body says what.
const partialHeader = "Eshop-Partial"

// What an entry of a batch may be.
const (
	entryFound       = "found"
	entryAbsent      = "absent"      // there is no such product, or not any more
	entryUnavailable = "unavailable" // it cannot be had right now
	entryBad         = "bad"         // it is no id
)

// facts are what an entry says of its product.
type facts struct {
	status     string
	body, etag []byte // of a product that was found: what /product/P.json has
	stamp      catalog.Stamp
	age        int64 // seconds since it was last vouched for
	ttl        int64 // seconds until it is refreshed; 0 or below: it should be
	stale      bool
	partial    bool
	keep       bool // the answer may be kept, as that for the page may
	detail     string
	retry      time.Duration
}

// facts are an outcome's.
func (o *outcome) facts(now time.Time) facts {
	switch {
	case o.page != nil:
		f, root := &o.page.plain, o.page.deps[0]
		return facts{status: entryFound, body: f.body, etag: f.etag, stamp: root.stamp, age: max(0, (now.UnixNano()-root.verified.Load())/int64(time.Second)),
			ttl: int64(o.page.ttl(now.UnixNano()) / time.Second), stale: o.status.stale, partial: o.status.partial,
			keep: !o.status.partial && (!o.status.stale || o.status.hit)}
	case o.isAbsent():
		return facts{status: entryAbsent, keep: true}
	case o.said != nil:
		last := lastMember(o.said.cacheStatus)
		return facts{status: entryFound, body: o.said.body, etag: o.said.etag, stamp: o.said.stamps[0].stamp, age: numberAfter(last, "age="), ttl: numberAfter(last, "ttl="),
			stale: bytes.Contains(last, []byte("stale; ")), partial: bytes.Contains(last, []byte("partial; ")), keep: string(o.said.cacheControl) != "no-store"}
	}
	f := facts{status: entryUnavailable, detail: "It cannot be had right now.", retry: o.retry}
	switch {
	case o.why == whyUnknown:
		f.detail = unknownIDs
	case o.why != "":
		f.detail = busy
	}
	return f
}

// lastMember is the last member of a Cache-Status: what the gateway says that sent it.
func lastMember(status []byte) []byte {
	if i := bytes.LastIndex(status, []byte("eshop; ")); i >= 0 {
		return status[i:]
	}
	return status
}

// numberAfter reads the whole number that follows a name; 0 without it.
func numberAfter(text []byte, name string) int64 {
	_, text, _ = bytes.Cut(text, []byte(name))
	end := 0
	for end < len(text) && (text[end] == '-' && end == 0 || text[end] >= '0' && text[end] <= '9') {
		end++
	}
	n, _ := strconv.ParseInt(string(text[:end]), 10, 64)
	return n
}

// summary is what an answer says of all its entries together.
type summary struct {
	statuses map[string]int
	from     [layers]int   // of those that were found or are absent
	far      layer         // the farthest of them
	partial  bool          // something may be had later
	keep     bool          // the answer may be kept
	stale    bool          // one is
	age, ttl int64         // of the oldest and of the one that is refreshed first
	retry    time.Duration // until the first that cannot be had may be
	unknown  bool          // all that cannot be had are refused for asking for unknown ids
}

// sumUp gathers the facts, and cuts off what is beyond the bound of an answer.
func (r *Role) sumUp(b *batch, out []outcome, now time.Time) ([]facts, summary) {
	all := make([]facts, len(b.entries))
	s := summary{statuses: map[string]int{}, keep: true, unknown: true}
	size, first, most := 0, true, r.live.batches.Load().bytes
	for i, e := range b.entries {
		f := &all[i]
		if e.at < 0 {
			*f = facts{status: entryBad, keep: true, detail: targetBadID.reason()}
			s.statuses[f.status]++
			continue
		}
		o := &out[e.at]
		*f = o.facts(now)
		if size > 0 && size+len(f.body) > most {
			*f = facts{status: entryUnavailable, detail: "It does not fit into this answer: ask for it in another one.", retry: time.Second}
		}
		size += len(f.body)
		s.statuses[f.status]++
		s.keep = s.keep && f.keep
		s.stale = s.stale || f.stale
		s.partial = s.partial || f.partial || f.status == entryUnavailable
		switch {
		case f.status == entryUnavailable:
			s.unknown = s.unknown && o.why == whyUnknown
			if s.retry == 0 || f.retry < s.retry {
				s.retry = f.retry
			}
			continue
		case f.status == entryFound:
			if s.age = max(s.age, f.age); first || f.ttl < s.ttl {
				s.ttl, first = f.ttl, false
			}
		}
		s.from[o.from]++
		s.far = max(s.far, o.from)
	}
	return all, s
}

// writeBatch answers a batch with its outcomes.
func (r *Role) writeBatch(ctx *fasthttp.RequestCtx, b *batch, out []outcome, now time.Time) (layer, int) {
	entries, s := r.sumUp(b, out, now)
	status := r.appendBatchStatus(nil, b, &s)
	if s.statuses[entryUnavailable] > 0 && s.statuses[entryFound]+s.statuses[entryAbsent] == 0 {
		p := problem{code: fasthttp.StatusServiceUnavailable, title: "Please try again in a moment", reason: "None of the products can be had right now.", json: true, retry: max(time.Second, s.retry)}
		if s.unknown {
			p.code, p.title, p.reason = fasthttp.StatusTooManyRequests, "Too many unknown ids", unknownIDs
		}
		return layerNone, r.writeProblem(ctx, p, status)
	}
	h := &ctx.Response.Header
	h.SetCanonical(r.headers.cacheStatus, status)
	h.SetCanonical(r.headers.vary, r.headers.varyEncoding)
	if s.partial {
		h.Set(partialHeader, "?1")
	}
	if !s.keep || s.partial {
		h.SetCanonical(r.headers.cacheControl, r.headers.noStore)
	} else {
		etag := batchETag(b, entries)
		h.SetCanonical(r.headers.cacheControl, r.headers.revalidate)
		h.SetCanonical(r.headers.etag, etag)
		if inm := ctx.Request.Header.Peek(fasthttp.HeaderIfNoneMatch); len(inm) > 0 && matchesETag(inm, etag[len("W/"):]) {
			ctx.Response.SetStatusCode(fasthttp.StatusNotModified)
			return s.far, fasthttp.StatusNotModified
		}
	}
	h.SetCanonical(r.headers.nosniff, r.headers.no)
	h.SetContentTypeBytes(r.headers.json)
	body := appendBatchBody(ctx.Response.SwapBody(nil)[:0], b, entries, s.partial) // a buffer of the server's
	if len(body) >= minGzip && acceptsGzip(ctx.Request.Header.Peek(fasthttp.HeaderAcceptEncoding)) {
		h.SetContentEncodingBytes(r.headers.gzip)
		ctx.Response.SetBodyRaw(r.zip(body))
	} else {
		ctx.Response.SwapBody(body)
	}
	return s.far, fasthttp.StatusOK
}

// batchETag is made of the entity tags of the products and of what the others are,
// so it is the same at every gateway. It is a weak one: age and stamp, which differ
// while the products are the same, do not make another answer of it.
func batchETag(b *batch, entries []facts) []byte {
	d := xxhash.New()
	for i := range entries {
		// A text has no comma, a status and a tag no blank: nothing else reads the same.
		_, _ = d.WriteString(b.entries[i].text + "," + entries[i].status + " ")
		_, _ = d.Write(entries[i].etag)
	}
	return append(strconv.AppendUint([]byte(`W/"`), d.Sum64(), 16), '"')
}

func appendBatchBody(out []byte, b *batch, entries []facts, partial bool) []byte {
	out = strconv.AppendBool(append(out, `{"partial":`...), partial)
	out = append(out, `,"products":[`...)
	for i := range entries {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendJSONText(append(out, "\n{\"id\":"...), b.entries[i].text)
		out = append(append(append(out, `,"status":"`...), entries[i].status...), '"')
		out = append(entries[i].append(out), '}')
	}
	return append(out, "\n]}\n"...)
}

// append appends the members of an entry after its id and status.
func (f *facts) append(b []byte) []byte {
	if f.status != entryFound {
		if f.detail != "" {
			b = appendJSONText(append(b, `,"detail":`...), f.detail)
		}
		if f.retry > 0 {
			b = strconv.AppendInt(append(b, `,"retryAfter":`...), wholeSeconds(f.retry), 10)
		}
		return b
	}
	b = strconv.AppendInt(append(b, `,"version":`...), f.stamp.Version, 10)
	b = f.stamp.Append(append(b, `,"stamp":"`...))
	b = strconv.AppendInt(append(b, `","age":`...), f.age, 10)
	b = strconv.AppendBool(append(b, `,"stale":`...), f.stale)
	b = strconv.AppendBool(append(b, `,"partial":`...), f.partial)
	if len(f.etag) > 2 {
		b = append(append(append(b, `,"etag":"\"`...), f.etag[1:len(f.etag)-1]...), `\""`...)
	}
	return append(append(b, `,"product":`...), f.body...)
}

// appendBatchStatus appends the Cache-Status of an answer to a batch (RFC 9211):
//
//	eshop; hit; ttl=842; detail="ids=50; l1=50; age=3; owner=gw-1"
//	eshop; fwd=partial; ttl=842; detail="partial; ids=50; unavailable=1; l1=40; peer=8; redis=1; age=3; owner=gw-1"
func (r *Role) appendBatchStatus(b []byte, asked *batch, s *summary) []byte {
	b = append(b, "eshop; "...)
	switch n := s.from[layerL1]; {
	case n == len(asked.keys) && n > 0:
		b = append(b, "hit"...)
	case n > 0:
		b = append(b, "fwd=partial"...)
	default:
		b = append(b, "fwd=uri-miss"...)
	}
	if s.statuses[entryFound] > 0 {
		b = strconv.AppendInt(append(b, "; ttl="...), s.ttl, 10)
	}
	b = append(b, `; detail="`...)
	if s.stale {
		b = append(b, "stale; "...)
	}
	if s.partial {
		b = append(b, "partial; "...)
	}
	if modes := r.degraded.answered(uint8(r.router.products), false); modes != 0 {
		b = append(append(append(b, "degraded="...), modes.String()...), "; "...)
	}
	count := func(name string, n int) {
		if n > 0 {
			b = append(strconv.AppendInt(append(append(b, name...), '='), int64(n), 10), "; "...)
		}
	}
	count("ids", len(asked.entries))
	for _, status := range [...]string{entryAbsent, entryUnavailable, entryBad} {
		count(status, s.statuses[status])
	}
	for from, n := range s.from {
		count(layer(from).String(), n)
	}
	b = append(strconv.AppendInt(append(b, "age="...), s.age, 10), "; owner="...)
	return append(append(b, r.id...), '"')
}

// zip compresses an answer that is made for one request, so quickly rather than well.
func (r *Role) zip(body []byte) []byte {
	var buf bytes.Buffer
	buf.Grow(len(body)/3 + 64)
	w, ok := r.quickGzips.Get().(*gzip.Writer)
	if !ok {
		w, _ = gzip.NewWriterLevel(&buf, gzip.BestSpeed) // a level that there is
	}
	defer r.quickGzips.Put(w)
	w.Reset(&buf)
	_, _ = w.Write(body) // a buffer takes everything
	_ = w.Close()
	w.Reset(io.Discard)
	return buf.Bytes()
}
