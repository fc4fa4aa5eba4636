package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/docapi"
	"eshop/pkg/invalidation"
	"eshop/pkg/rediscluster"
)

// store is what a load asks of Redis; *rediscluster.Store has it. The two
// interfaces here exist for the tests that need one exact interleaving of a
// load, a change and an outage, which no real server can be made to show.
type store interface {
	GetMany(ctx context.Context, keys []catalog.Key, from rediscluster.From) []rediscluster.Result
}

// source is what a load asks of the cache role; *docapi.Client has it.
type source interface {
	Get(ctx context.Context, req docapi.Request) (docapi.Reply, error)
	GetMany(ctx context.Context, reqs []docapi.Request) []docapi.Result
}

// found is one document of a load.
type found struct {
	*entry
	layer layer
	// stale marks a copy that is served only because nothing better can be had.
	stale bool
	err   error
}

func (f found) isLive() bool { return f.err == nil && f.doc.State == catalog.Live }

// errChanging is the end of a load whose document was announced anew each time.
var errChanging = errors.New("the document changes faster than it can be read")

// errFar is that of a document which neither L1 nor Redis has, where nobody else was asked.
var errFar = errors.New("the document is neither in memory nor in Redis")

// reach is how far documents are looked for.
type reach struct {
	// near: no farther than Redis. What is not there gets errFar.
	near bool
	// skip are the documents of which a look no farther than that has just said so.
	skip map[catalog.Key]struct{}
}

// rounds is how often a load begins anew because a change overtook it.
const rounds = 4

// documents returns a copy of each key: from L1 if it is usable, else from
// Redis, else from the cache role, each held against the floor (invariant 3),
// unless a switch keeps it to L1. What was read is in L1 afterwards. When all of
// that fails, an older copy of L1 is returned, marked, and an error if there is none.
func (r *Role) documents(ctx context.Context, keys []catalog.Key, reach *reach) []found {
	out := make([]found, len(keys))
	open := all(len(keys))
	for round := 0; round < rounds && len(open) > 0; round++ {
		if open = r.reachable(keys, r.fromL1(keys, open, out), out); len(open) > 0 {
			open = r.round(ctx, keys, open, out, reach)
		}
	}
	for _, i := range open {
		out[i].err = errChanging
	}
	now := time.Now()
	for i, k := range keys {
		if out[i].err == nil || out[i].err == errFar {
			continue
		}
		if e := r.l1.get(k); e != nil && r.servable(e, now) {
			out[i] = found{entry: e, layer: layerL1, stale: !r.usable(e, now)}
		}
	}
	return out
}

// fromL1 takes what is usable there and returns the keys that are still open.
// In a later round that is a copy which another load has brought meanwhile.
func (r *Role) fromL1(keys []catalog.Key, open []int, out []found) (left []int) {
	now := time.Now()
	for _, i := range open {
		if e := r.l1.get(keys[i]); e != nil && r.usable(e, now) {
			out[i] = found{entry: e, layer: layerL1}
		} else {
			left = append(left, i)
		}
	}
	return left
}

// least is the stamp below which a copy is of no use: the floor, or that of the
// copy already shown here if it is newer.
func (r *Role) least(k catalog.Key) catalog.Stamp {
	low := r.floor.Of(k)
	if f := r.l1.index.find(k); f != nil && f.state.Load() == live && low.Less(f.stamp) {
		return f.stamp
	}
	return low
}

// usable reports whether a copy may be served without any look elsewhere.
func (r *Role) usable(e *entry, now time.Time) bool {
	f := e.flag
	at := now.UnixNano()
	return f.state.Load() == live && at <= f.soft.Load() && r.trust().Vouches(at, f.generation.Load(), f.verified.Load())
}

// servable reports whether a copy may be served, marked, for want of a better one.
func (r *Role) servable(e *entry, now time.Time) bool {
	return e.doc.State == catalog.Live && !e.flag.dead() && now.UnixNano() <= e.flag.soft.Load()+int64(r.cfg.HardTTL)
}

// round reads the open keys once and returns those that a change overtook.
func (r *Role) round(ctx context.Context, keys []catalog.Key, open []int, out []found, reach *reach) (again []int) {
	// Both are taken before the reads: a message lost or a change made meanwhile
	// counts as later than the copy.
	v := verification{at: time.Now(), generation: r.generation.Load()}
	take := func(i int, doc catalog.Document, from layer, asked catalog.Stamp) {
		e, ok := r.keep(doc, v, asked)
		if !ok {
			again = append(again, i)
			return
		}
		out[i] = found{entry: e, layer: from}
	}
	// While the bus is not to be trusted, neither is a replica: nothing tells
	// how far behind its master it is.
	from := rediscluster.FromReplica
	if r.distrusts(v.at) {
		from = rediscluster.FromMaster
	}
	low, missing, failed := []int(nil), []int(nil), 0
	asked := open
	if len(reach.skip) > 0 {
		asked, missing = reach.split(keys, open)
	}
	for n, res := range r.fromRedis(ctx, pick(keys, asked), from) {
		i := asked[n]
		switch {
		case res.Err != nil:
			if _, _, refused := refusal(res.Err); !refused { // a full gate is no sign that Redis is away
				failed++
			}
			missing = append(missing, i)
		case res.Document.State == catalog.Absent:
			missing = append(missing, i)
		case res.Document.Stamp.Less(r.least(keys[i])):
			low = append(low, i)
		default:
			take(i, res.Document, layerRedis, catalog.Stamp{})
			r.mention(res.Document)
		}
	}
	if r.metrics.redisErrors.Add(float64(failed)); failed > 0 && failed == len(asked) {
		r.checks.pause(v.at, checksPause)
	}
	// A replica that lags is no news; a master below the floor lost a write, and
	// the pull that the cache role makes for it repairs that. Another load may
	// have brought the newer copy meanwhile.
	if low = r.fromL1(keys, low, out); len(low) > 0 {
		expected := make([]catalog.Stamp, len(low)) // before the read: a change during it is no loss
		for n, i := range low {
			expected[n] = r.least(keys[i])
		}
		for n, res := range r.fromRedis(ctx, pick(keys, low), rediscluster.FromMaster) {
			i := low[n]
			if res.Err == nil && coherence.Reaches(res.Document, r.least(keys[i])) {
				take(i, res.Document, layerRedis, catalog.Stamp{})
				continue
			}
			if res.Err == nil && res.Document.Stamp.Less(expected[n]) {
				r.metrics.repairs.Done(invalidation.Repair{Key: keys[i], Cause: invalidation.ByRead, Found: res.Document.Stamp, Expected: expected[n]})
			}
			missing = append(missing, i)
		}
	}
	if reach.near {
		reach.leave(keys, missing, out)
		return again
	}
	r.fromCacheRole(ctx, keys, missing, out, take)
	return again
}

// fromRedis reads keys in one go; none costs nothing.
func (r *Role) fromRedis(ctx context.Context, keys []catalog.Key, from rediscluster.From) []rediscluster.Result {
	if len(keys) == 0 {
		return nil
	}
	return r.store.GetMany(ctx, keys, from)
}

// split parts the open keys into those to be asked of Redis and those it was asked for.
func (c *reach) split(keys []catalog.Key, open []int) (ask, told []int) {
	for _, i := range open {
		if _, ok := c.skip[keys[i]]; ok {
			told = append(told, i)
		} else {
			ask = append(ask, i)
		}
	}
	return ask, told
}

// leave ends the look for documents that Redis does not have.
func (c *reach) leave(keys []catalog.Key, missing []int, out []found) {
	if c.skip == nil && len(missing) > 0 {
		c.skip = make(map[catalog.Key]struct{}, len(missing))
	}
	for _, i := range missing {
		out[i].err = errFar
		c.skip[keys[i]] = struct{}{}
	}
}

// checksPause is how long no page is checked against a Redis that has just failed.
const checksPause = 500 * time.Millisecond

// fromCacheRole asks the cache role for what Redis does not have.
func (r *Role) fromCacheRole(ctx context.Context, keys []catalog.Key, missing []int, out []found, take func(int, catalog.Document, layer, catalog.Stamp)) {
	if len(missing) == 0 {
		return
	}
	reqs := make([]docapi.Request, len(missing))
	for n, i := range missing {
		reqs[n] = docapi.Request{Key: keys[i], Min: r.least(keys[i])}
	}
	for n, res := range r.source.GetMany(ctx, reqs) {
		i, doc := missing[n], res.Reply.Document
		fromMemory := res.Reply.Layer == docapi.LayerL1 && doc.State != catalog.Absent
		switch {
		case res.Err != nil:
			out[i].err = fmt.Errorf("load %v: %w", keys[i], res.Err)
		case !res.Reply.Stale && r.trust().TakesWord(time.Now().UnixNano(), fromMemory):
			take(i, doc, cacheLayer(res.Reply.Layer), reqs[n].Min)
		case doc.State == catalog.Absent || doc.Stamp.Less(r.least(keys[i])):
			out[i].err = fmt.Errorf("load %v: the cache role has an old copy only, with the stamp %v", keys[i], doc.Stamp)
		default: // truth of some time ago: for this request, not for L1 (5)
			f := &flag{key: doc.Key, stamp: doc.Stamp}
			f.renew(verification{at: time.Now()})
			out[i] = found{entry: &entry{flag: f, doc: doc}, layer: cacheLayer(res.Reply.Layer), stale: true}
		}
	}
}

// keep stores a document in L1. It reports false when a newer one is known.
func (r *Role) keep(doc catalog.Document, v verification, asked catalog.Stamp) (*entry, bool) {
	stamp := coherence.FloorStamp(doc, asked)
	if !r.floor.Admits(doc.Key, stamp) {
		return nil, false
	}
	v.soft = r.softTTL(doc)
	f, ok := r.l1.index.admit(doc, v)
	if !ok {
		return nil, false
	}
	// The bus raises the floor first and then ends the copy it finds in the
	// index. If it looked there before admit put this one in, then the floor was
	// up before that and is seen here; else it finds this one. Either order is
	// safe. Nobody was shown this copy, so it goes for good: the change may be a
	// deletion.
	if !r.floor.Admits(doc.Key, stamp) {
		f.kill(gone)
		r.l1.index.release(f)
		return nil, false
	}
	e := &entry{flag: f, doc: doc}
	r.l1.put(e, r.cfg.HardTTL)
	return e, true
}

// softTTL draws the time until a copy is refreshed.
func (r *Role) softTTL(doc catalog.Document) time.Duration {
	switch {
	case doc.State != catalog.Live:
		return r.cfg.NegativeTTL
	case doc.Provisional: // nobody else can be held to it: look again soon
		return between(time.Second, 5*time.Second)
	}
	ttl := r.live.softTTL(doc.Key.Kind)
	return between(ttl.min, ttl.max)
}

func between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + rand.N(high-low)
}

// pick returns those of keys that are at the given places.
func pick[K any](keys []K, at []int) []K {
	out := make([]K, len(at))
	for n, i := range at {
		out[n] = keys[i]
	}
	return out
}
