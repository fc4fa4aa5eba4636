package gateway

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/admission"
	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// unknown bounds how many ids that do not exist one address may ask for. Only
// what L1 could not answer counts, so a hit, of a page or of an absence, costs
// nothing and is never refused.
//
// An address that has spent its rate is answered from L1 and from Redis alone:
// what either has is a known product and is served by the usual way; for the
// rest there is 429 at once, and neither a peer, nor the cache role, nor the
// origin hears of it. While Redis cannot tell, which is no fault of the client,
// there is 503. The look has a gate of its own: made-up ids take no place at Redis
// that a reader needs. A crawler of real products spends nothing, however fast it
// is, and the other clients of an address behind which somebody makes up ids
// lose only what Redis has never seen.
type unknown struct {
	rates *admission.Rates
	hops  atomic.Pointer[hops]
}

// hops is whose word about a client's address is taken, and where they give it.
type hops struct {
	proxies admission.Proxies
	field   string // the request header
}

func newHops(l *Limits) (*hops, error) {
	proxies, err := admission.NewProxies(l.TrustedProxies)
	return &hops{proxies: proxies, field: l.ClientHeader}, err
}

func newUnknown(l Limits) (*unknown, error) {
	u := new(unknown)
	h, err := newHops(&l)
	if err != nil {
		return nil, err
	}
	u.hops.Store(h)
	u.rates, err = admission.NewRates(admission.RatesConfig{PerSecond: l.UnknownRate, Burst: l.UnknownBurst, Bytes: l.AddressBytes})
	return u, err
}

// client returns whom a request is counted by.
func (u *unknown) client(ctx *fasthttp.RequestCtx) netip.Addr {
	peer, h := admission.RemoteAddr(ctx.RemoteAddr()), u.hops.Load()
	if !h.proxies.Trusts(peer) {
		return peer
	}
	var said []string
	for _, v := range ctx.Request.Header.PeekAll(h.field) {
		said = append(said, string(v))
	}
	return h.proxies.Client(peer, said...)
}

func (u *unknown) trusts(a netip.Addr) bool { return u.hops.Load().proxies.Trusts(a) }

// knowsTimeout bounds the look into Redis for a client that has spent its rate.
const knowsTimeout = time.Second

// knows reports whether every document that a request names exists as far as L1
// or Redis can tell. It is an error when Redis cannot.
func (r *Role) knows(key pageKey) (bool, error) {
	pt := &r.cat.Pages()[key.page]
	var open []catalog.Key
	look := func(kind string, id int64) bool {
		k := catalog.Key{Kind: kind, ID: id}
		switch e := r.l1.get(k); {
		case e == nil && r.degraded.forbids(kind) != nil: // it is looked for in memory only, which costs little
		case e == nil:
			open = append(open, k)
		case e.doc.State != catalog.Live:
			return false
		}
		return true
	}
	known := look(pt.Root, key.id)
	for i, kind := range pt.Related {
		known = known && (key.rel[i] == 0 || look(kind, key.rel[i]))
	}
	if !known || len(open) == 0 {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(r.base, knowsTimeout)
	defer cancel()
	var failure error
	for _, res := range r.lookups.GetMany(ctx, open, rediscluster.FromReplica) {
		switch {
		case res.Err != nil:
			failure = res.Err
		case res.Document.State != catalog.Live:
			return false, nil
		}
	}
	return failure == nil, failure
}

// serveSpent refuses what an address that has spent its rate may not have. It
// reports false for what is known: that is served by the usual way.
func (r *Role) serveSpent(ctx *fasthttp.RequestCtx, key pageKey, wait time.Duration, start time.Time) (from layer, code int, done bool) {
	known, err := r.knows(key)
	switch {
	case known:
		return 0, 0, false
	case err == nil:
		from, code = r.refuse(ctx, key, fasthttp.StatusTooManyRequests, whyUnknown, wait+rand.N(time.Second), start, false)
		return from, code, true
	}
	why, retry, full := refusal(err)
	if !full {
		why, retry = whyRedis, admission.Spread(0)
	}
	from, code = r.refuse(ctx, key, fasthttp.StatusServiceUnavailable, why, retry, start, false)
	return from, code, true
}

// keptThere reports whether the last member of an owner's Cache-Status says that
// the page is in its L1 now. A whole page that is not was asked for with a
// document that does not exist (load.go).
func keptThere(status []byte) bool {
	if i := bytes.LastIndex(status, []byte("eshop; ")); i >= 0 {
		status = status[i:]
	}
	for _, sign := range [...]string{"; hit", "; stored", "stale; ", "partial; "} {
		if bytes.Contains(status, []byte(sign)) {
			return true
		}
	}
	return false
}

// namesRelated reports whether the request named documents beside the root.
func (k pageKey) namesRelated() bool { return k.rel != [maxRelated]int64{} }

// checkClients looks at the settings by which clients are told apart.
func (l *Limits) checkClients(say func(format string, args ...any)) {
	if _, err := admission.NewProxies(l.TrustedProxies); err != nil {
		say("--gateway.trusted-proxies: %w", err)
	}
	if l.UnknownRate <= 0 || l.UnknownBurst < 1 {
		say("--gateway.unknown-rate %v and --gateway.unknown-burst %d must be above zero", l.UnknownRate, l.UnknownBurst)
	}
}

// checkMemory refuses an L1 beside which there is no room for anything.
func (c *Config) checkMemory(limit int64) error {
	if limit > 0 && c.L1Bytes > limit/4*3 {
		return fmt.Errorf("--gateway.l1-bytes %d does not fit below GOMEMLIMIT, %d: it may be three quarters of that, or requests would be refused for want of memory", c.L1Bytes, limit)
	}
	return nil
}
