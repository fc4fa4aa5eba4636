package gateway

import (
	"bytes"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzip"
)

// page is one rendered page in one form. All but the atomics is immutable and
// shared by every request it answers.
type page struct {
	key   pageKey
	plain form
	gzip  form // without a body if it would not be smaller
	// deps are the documents it was built from, the root first; a related
	// document that is missing is among them, for it may come to be.
	deps []*flag
	// view is the template it was rendered with, nil for JSON.
	view *view
	// next is when a background refresh may be tried again (unix nanoseconds).
	// Who moves it forward does the refresh, so there is one at a time.
	next atomic.Int64
	// failed is until when a load that failed is not tried again: the page is
	// served, marked, without making each request wait for the same failure.
	failed atomic.Int64
	// hits since the access log's last sweep.
	hits tally
	// heat is whether the product was hot and in which generation of the hot set
	// that was so (hot.go).
	heat atomic.Uint64
	// The neighbours among the pages of the same root document, guarded by the
	// index's shard of that.
	younger, older *page
}

// pageBytes is what a page is charged beside its bytes.
const pageBytes = 512

func (p *page) cost() int64 { return int64(p.plain.bytes()+p.gzip.bytes()+64*len(p.deps)) + pageBytes }

// minGzip is the size below which compression gains nothing on the wire.
const minGzip = 512

// newPage compresses and hashes a body once, for all requests to come.
func (r *Role) newPage(key pageKey, body []byte, deps []*flag, v *view) (*page, error) {
	var csp []byte
	if v != nil {
		csp = v.csp
	}
	sum := strconv.FormatUint(xxhash.Sum64(body), 16)
	p := &page{key: key, plain: r.newForm(body, `"`+sum+`"`, "", key.json, csp), deps: deps, view: v}
	if len(body) >= minGzip {
		var buf bytes.Buffer
		buf.Grow(len(body)/2 + 64)
		w, ok := r.gzips.Get().(*gzip.Writer)
		if !ok {
			w = gzip.NewWriter(&buf)
		}
		defer r.gzips.Put(w)
		w.Reset(&buf)
		if _, err := w.Write(body); err != nil {
			return nil, fmt.Errorf("compress a page: %w", err)
		}
		if err := w.Close(); err != nil {
			return nil, fmt.Errorf("compress a page: %w", err)
		}
		if buf.Len() < len(body) {
			p.gzip = r.newForm(bytes.Clone(buf.Bytes()), `"`+sum+`-gz"`, "gzip", key.json, csp)
		}
	}
	return p, nil
}

// freshness of a page, from best to worst.
type freshness uint8

const (
	fresh      freshness = iota
	stale                // past its soft TTL: served, refreshed in the background
	unverified           // the bus did not vouch for it lately: to be checked before use
	outdated             // built from a superseded document or template, or past the soft TTL of an absence
	expired              // past the hard limit, or gone: never served
)

// look judges a page by its documents. It takes no lock and allocates nothing.
func (r *Role) look(p *page, now int64) freshness {
	worst := fresh
	bus := r.trust()
	since := bus.VerifiedSince(now)
	for _, f := range p.deps {
		if f.state.Load() != live {
			if f.dead() {
				return expired
			}
			worst = max(worst, outdated)
		}
		if f.generation.Load() != bus.Generation || f.verified.Load() < since {
			worst = max(worst, unverified)
		}
		if soft := f.soft.Load(); now > soft {
			if now > soft+int64(r.cfg.HardTTL) {
				return expired
			}
			worst = max(worst, stale)
		}
	}
	if p.view != nil && p.view != r.views.current(p.key.page) {
		worst = max(worst, outdated)
	}
	return worst
}

// ttl is how long the page stays fresh, negative when it is not any more.
func (p *page) ttl(now int64) time.Duration {
	soft := p.deps[0].soft.Load()
	for _, f := range p.deps[1:] {
		soft = min(soft, f.soft.Load())
	}
	return time.Duration(soft - now)
}

// newer reports whether p has a newer copy of a document than old.
func (p *page) newer(old *page) bool {
	for _, o := range old.deps {
		for _, f := range p.deps {
			if f != o && f.key == o.key && (o.state.Load() != live || o.stamp.Less(f.stamp)) {
				return true
			}
		}
	}
	return false
}

// claim takes the right to refresh the page for a while.
func (p *page) claim(now int64, pause time.Duration) bool {
	at := p.next.Load()
	return now >= at && p.next.CompareAndSwap(at, now+int64(pause))
}
