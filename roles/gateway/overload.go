package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"eshop/pkg/admission"
	"eshop/pkg/catalog"
	"eshop/pkg/coalesce"
	"eshop/pkg/docapi"
	"eshop/pkg/rediscluster"
)

// overload keeps a flood from becoming anything worse than refusals. A hit meets
// none of it. Each dependency has a gate of its own, so that what waits for one
// takes no place of what another could answer:
//
//	Redis       a gate; who is refused there asks the cache role, as when Redis is away
//	cache role  a gate, the origin behind it; who is refused there is answered 503
//	a peer      the connections to it are the bulkhead; without a free one the page is loaded here
type overload struct {
	redis, cache *admission.Gate
	lookups      *admission.Gate // of Redis too, for addresses that have spent their rate (unknown.go)
	memory       *admission.Memory
	unknown      *unknown
	beyond       atomic.Int64 // requests that L1 did not answer, under way
	limit        atomic.Int64
	public, peer atomic.Pointer[admission.Listener] // nil before they are bound
	refused      map[string]prometheus.Counter      // by reason; the map never changes
}

// Reasons for which a request that L1 cannot answer is refused, beside those of
// the gates.
const (
	whyWaiting = "waiting" // as many wait as may
	whyMemory  = "memory"  // the heap nears GOMEMLIMIT
	whyUnknown = "unknown" // this address asked for too many ids that do not exist
	whyRedis   = "redis"   // Redis failed to tell whether such an address asks for one more
	whyGate    = "gate"    // the label of the metric for all gates: they count by themselves
)

func newOverload(cfg *Config, kept func() int64) (*overload, error) {
	l := cfg.Limits
	o := &overload{refused: map[string]prometheus.Counter{},
		redis: admission.NewGate(admission.Config{Name: "redis", Slots: l.RedisCalls, Queue: l.RedisQueue,
			Interval: 250 * time.Millisecond, Target: 50 * time.Millisecond}),
		lookups: admission.NewGate(admission.Config{Name: "redis for unknown ids", Slots: max(1, l.RedisCalls/16), Queue: l.RedisQueue / 16,
			Interval: 250 * time.Millisecond, Target: 50 * time.Millisecond}),
		// A pull of the origin takes up to seconds, so a queue that has stood for one
		// says little yet.
		cache: admission.NewGate(admission.Config{Name: "cache role", Slots: l.CacheCalls, Queue: l.CacheQueue,
			Interval: time.Second, Target: 200 * time.Millisecond}),
		memory: admission.NewMemory(admission.MemoryConfig{Kept: kept, Budget: cfg.L1Bytes}),
	}
	o.limit.Store(int64(l.Waiting))
	for _, why := range []string{whyWaiting, whyMemory, whyUnknown, whyRedis, whyGate} {
		o.refused[why] = prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_gateway_refused_total",
			Help: "Requests refused to protect the rest, by reason: waiting (as many wait as may), memory (the heap nears GOMEMLIMIT), " +
				"unknown (the address asked for too many ids that do not exist), redis (it failed to tell whether such an address asks for one more), gate (a dependency has all it can do).",
			ConstLabels: prometheus.Labels{"reason": why}})
	}
	var err error
	if o.unknown, err = newUnknown(l); err != nil {
		return nil, fmt.Errorf("set up the limit for unknown ids: %w", err)
	}
	return o, nil
}

// peerConnections is the least bound of the peer listener.
const peerConnections = 1 << 16

// bound puts the bounds of connections before the two listeners.
func (o *overload) bound(limits Limits, public, peer net.Listener) (net.Listener, net.Listener) {
	cfg := admission.ListenerConfig{Connections: limits.Connections, PerAddress: limits.ConnectionsPerAddress, Exempt: o.unknown.trusts}
	a := admission.Limit(public, cfg)
	// A gateway opens hundreds of connections to each peer, and takes one that is
	// refused for a peer that is dead: no limit for clients binds it.
	b := admission.Limit(peer, admission.ListenerConfig{Connections: max(limits.Connections, peerConnections)})
	o.public.Store(a)
	o.peer.Store(b)
	return a, b
}

// serveBeyond answers what L1 cannot: by a hop to the owner, or by a load here.
func (r *Role) serveBeyond(ctx *fasthttp.RequestCtx, key pageKey, start time.Time) (from layer, code int) {
	if _, why := r.overload.enter(1); why != "" {
		o := r.refuse(key, fasthttp.StatusServiceUnavailable, why, admission.Spread(0), start, false)
		return o.from, r.write(ctx, key, &o, start)
	}
	defer r.overload.leave(1)
	client := r.overload.unknown.client(ctx)
	if wait, spent := r.overload.unknown.rates.Spent(client, start); spent {
		if from, code, done := r.serveSpent(ctx, key, wait, start); done {
			return from, code
		}
	}
	from, code, unknown := r.serveElsewhere(ctx, key)
	if unknown {
		r.overload.unknown.rates.Spend(client, time.Now())
	}
	return from, code
}

// serveElsewhere reports too whether the request named an id that does not exist.
func (r *Role) serveElsewhere(ctx *fasthttp.RequestCtx, key pageKey) (from layer, code int, unknown bool) {
	// A hot product is served wherever the request lands.
	if owner, remote := r.remoteOwner(key); remote && !r.hot.has(key) {
		if from, code, missing, done := r.serveForwarded(ctx, key, owner); done {
			return from, code, missing || code == fasthttp.StatusNotFound
		}
	}
	from, code, missing := r.serveLoaded(ctx, key, false)
	return from, code, missing || code == fasthttp.StatusNotFound
}

// enter counts n pages that L1 cannot answer, or as many of them as there is room
// for, and says why there is none for the rest.
func (o *overload) enter(n int) (room int, why string) {
	if o.memory.Short() {
		return 0, whyMemory
	}
	if over := o.beyond.Add(int64(n)) - o.limit.Load(); over > 0 {
		out := int(min(over, int64(n)))
		o.beyond.Add(-int64(out))
		return n - out, whyWaiting
	}
	return n, ""
}

func (o *overload) leave(n int) { o.beyond.Add(-int64(n)) }

// refuse ends a request with the older page that L1 may have, else with a refusal.
func (r *Role) refuse(key pageKey, code int, why string, retry time.Duration, now time.Time, peer bool) outcome {
	r.overload.count(why)
	if o, ok := r.older(key, nil, now, peer, false); ok {
		return o
	}
	return outcome{from: layerNone, code: code, why: why, retry: retry, status: cacheStatus{fwd: r.forwardReason(key, now), peer: peer}}
}

// writeRefusal answers with next to nothing: it is what most requests get in a flood.
func (r *Role) writeRefusal(ctx *fasthttp.RequestCtx, key pageKey, o *outcome) int {
	h := &ctx.Response.Header
	status := append(append([]byte("eshop; fwd="), o.status.fwd...), `; detail="refused: `...)
	status = append(append(status, o.why...), "; "...)
	if modes := r.degraded.answered(key.page, o.status.peer); modes != 0 {
		status = append(append(append(status, "degraded="...), modes.String()...), "; "...)
	}
	status = append(append(append(status, "owner="...), r.id...), '"')
	h.SetCanonical(r.headers.cacheStatus, status)
	h.SetCanonical(r.headers.cacheControl, r.headers.noStore)
	r.setRetryAfter(ctx, o.retry)
	h.SetCanonical(r.headers.nosniff, r.headers.no)
	ctx.Response.SetStatusCode(o.code)
	id := r.identity(ctx).id
	if key.json {
		p := problem{code: o.code, title: "Busy", reason: "Please try again in a moment."}
		if o.code == fasthttp.StatusTooManyRequests {
			p.title, p.reason = "Too many unknown ids", "Please try again later."
		}
		h.SetContentTypeBytes(r.headers.problem)
		ctx.Response.SetBodyRaw(appendProblem(nil, p, id))
	} else {
		h.SetContentTypeBytes(r.headers.text)
		ctx.Response.SetBodyString(busy + "\nRequest " + id + "\n")
	}
	return o.code
}

func (o *overload) count(why string) {
	c, ok := o.refused[why]
	if !ok {
		c = o.refused[whyGate]
	}
	c.Inc()
}

// refusal reads from an error of a load that it was refused for want of room,
// by whom, and when to come back.
func refusal(err error) (why string, retry time.Duration, refused bool) {
	var gate *admission.Refused
	switch {
	case errors.As(err, &gate):
		return gate.Gate + " " + gate.Reason.String(), gate.RetryAfter, true
	case errors.Is(err, coalesce.ErrOverloaded):
		return whyWaiting, admission.Spread(0), true
	}
	return "", 0, false
}

// gatedStore has Redis asked within its gate.
type gatedStore struct {
	store
	gate *admission.Gate
}

// GetMany is store's; every key fails when there is no room for the call.
//
// A call takes one place, however many keys it has. Those of one node travel in
// one pipeline: a hundred keep the place some six times as long as the two of a
// page (pkg/rediscluster, BenchmarkStore), and it is by the time places are kept
// that the gate finds Redis pressed. What all calls together ask for is bounded by
// Limits.Waiting, which counts pages and not requests.
func (s gatedStore) GetMany(ctx context.Context, keys []catalog.Key, from rediscluster.From) []rediscluster.Result {
	pass, err := s.gate.Enter(ctx)
	if err != nil {
		out := make([]rediscluster.Result, len(keys))
		for i, k := range keys {
			out[i].Document.Key, out[i].Err = k, err
		}
		return out
	}
	defer pass.Leave()
	return s.store.GetMany(ctx, keys, from)
}

// gatedSource has the cache role asked within its gate.
type gatedSource struct {
	source
	gate *admission.Gate
}

// Get is source's.
func (s gatedSource) Get(ctx context.Context, req docapi.Request) (docapi.Reply, error) {
	pass, err := s.gate.Enter(ctx)
	if err != nil {
		return docapi.Reply{}, err
	}
	defer pass.Leave()
	return s.source.Get(ctx, req)
}

// GetMany is source's; every request fails when there is no room for the call.
//
// It takes one place too: what is scarce behind this gate is the origin, and for
// that each document needs a place of its own at the cache role, whose gate it
// meets there whether it comes alone or with others (roles/cache, overload.go). To
// take a place for each here as well would refuse batches of which the cache role
// has every document in memory or in Redis, one request for each of its processes.
func (s gatedSource) GetMany(ctx context.Context, reqs []docapi.Request) []docapi.Result {
	pass, err := s.gate.Enter(ctx)
	if err != nil {
		out := make([]docapi.Result, len(reqs))
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	defer pass.Leave()
	return s.source.GetMany(ctx, reqs)
}
