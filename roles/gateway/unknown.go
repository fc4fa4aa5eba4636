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

// known is what L1 and Redis can tell of a request's documents: whether all of
// them exist, or why that cannot be told.
type known struct {
	all bool
	err error
}

// know looks for the documents of pages, each page's by itself.
func (r *Role) know(ctx context.Context, keys []pageKey) []known {
	out := make([]known, len(keys))
	var open []catalog.Key
	var of []int // which page each of them is of
	for n, key := range keys {
		pt := &r.cat.Pages()[key.page]
		look := func(kind string, id int64) bool {
			k := catalog.Key{Kind: kind, ID: id}
			switch e := r.l1.get(k); {
			case e == nil && r.degraded.forbids(kind) != nil: // it is looked for in memory only, which costs little
			case e == nil:
				open, of = append(open, k), append(of, n)
			case e.doc.State != catalog.Live:
				return false
			}
			return true
		}
		out[n].all = look(pt.Root, key.id)
		for i, kind := range pt.Related {
			out[n].all = out[n].all && (key.rel[i] == 0 || look(kind, key.rel[i]))
		}
	}
	if len(open) == 0 {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, knowsTimeout)
	defer cancel()
	for i, res := range r.lookups.GetMany(ctx, open, rediscluster.FromReplica) {
		k := &out[of[i]]
		switch {
		case res.Err != nil:
			k.err = res.Err
		case res.Document.State != catalog.Live:
			k.all = false
		}
	}
	for n := range out { // one that does not exist says enough
		if k := &out[n]; !k.all {
			k.err = nil
		} else if k.err != nil {
			k.all = false
		}
	}
	return out
}

// serveSpent refuses what an address that has spent its rate may not have. It
// reports false for what is known: that is served by the usual way.
func (r *Role) serveSpent(ctx *fasthttp.RequestCtx, key pageKey, wait time.Duration, start time.Time) (from layer, code int, done bool) {
	o, done := r.judgeSpent(key, r.know(r.identity(ctx).ctx, []pageKey{key})[0], wait, start)
	if !done {
		return 0, 0, false
	}
	return o.from, r.write(ctx, key, &o, start), true
}

// judgeSpent is what becomes of a page for such an address; false for what is known.
func (r *Role) judgeSpent(key pageKey, k known, wait time.Duration, start time.Time) (outcome, bool) {
	switch {
	case k.all:
		return outcome{}, false
	case k.err == nil:
		return r.refuse(key, fasthttp.StatusTooManyRequests, whyUnknown, wait+rand.N(time.Second), start, false), true
	}
	why, retry, full := refusal(k.err)
	if !full {
		why, retry = whyRedis, admission.Spread(0)
	}
	return r.refuse(key, fasthttp.StatusServiceUnavailable, why, retry, start, false), true
}

// keptThere reports whether the last member of an owner's Cache-Status says that
// the page is in its L1 now. A whole page that is not was asked for with a
// document that does not exist (load.go).
func keptThere(status []byte) bool {
	status = lastMember(status)
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
