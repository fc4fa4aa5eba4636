package gateway

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/admission"
	"eshop/pkg/ring"
)

// serveAPI answers what the JSON API has beside the product of one id, which is a
// page under another name. It reports false for any other target.
func (r *Role) serveAPI(ctx *fasthttp.RequestCtx, start time.Time) (from layer, code int, done bool) {
	path, query, ok := splitTarget(ctx.Request.Header.RequestURI())
	switch {
	case ok && string(path) == productsPath:
		from, code = r.serveBatch(ctx, query, start)
	case ok && string(path) == documentPath:
		from, code = layerNone, r.serveDocument(ctx)
	default:
		return 0, 0, false
	}
	return from, code, true
}

// serveBatch answers a request for several products. Each is found as its page is,
// by the same rules: in L1, at its owner, or by a load here. What the pages need
// from elsewhere is asked for together: a hop to each owner, a read of Redis, a
// call to each cache process.
func (r *Role) serveBatch(ctx *fasthttp.RequestCtx, query []byte, start time.Time) (layer, int) {
	b, bad := r.router.parseBatch(query, r.live.batches.Load().ids)
	if bad != nil {
		return layerNone, r.writeProblem(ctx, *bad, nil)
	}
	held := make([]*page, len(b.keys))
	for i, key := range b.keys {
		held[i], _ = r.l1.pages.GetAt(key, start)
		r.access.request(ctx, key, held[i]) // each of them is a read of that product
	}
	r.traceBatch(ctx, b.keys, start, false)
	out := r.settle(r.identity(ctx).ctx, b.keys, held, r.overload.unknown.client(ctx), start)
	return r.writeBatch(ctx, &b, out, time.Now())
}

// settle finds the outcomes of pages; held are those that L1 has. While the
// slowest of them is waited for others may change: what has been overtaken then is
// found anew, so that nobody is shown what had been replaced, or deleted, before he
// was answered.
func (r *Role) settle(ctx context.Context, keys []pageKey, held []*page, client netip.Addr, start time.Time) []outcome {
	out := make([]outcome, len(keys))
	open := all(len(keys))
	for round := 1; ; round++ {
		left := r.settleL1(keys, held, open, out, start, false)
		if len(left) == 0 {
			return out // nothing was waited for
		}
		r.settleBeyond(ctx, keys, left, out, client, start)
		open = open[:0]
		for i := range out {
			if r.overtook(keys[i], &out[i]) {
				open = append(open, i)
			}
		}
		if len(open) == 0 {
			return out
		}
		start = time.Now()
		if round == rounds {
			for _, i := range open {
				r.settleOvertaken(ctx, keys[i], &out[i], start)
			}
			return out
		}
		for _, i := range open {
			held[i], _ = r.l1.pages.GetAt(keys[i], start)
		}
	}
}

// settleL1 takes the open outcomes that L1 has and returns those that are left.
func (r *Role) settleL1(keys []pageKey, held []*page, open []int, out []outcome, start time.Time, peer bool) (left []int) {
	for _, i := range open {
		o, done := r.judgeL1(keys[i], held[i], start, peer)
		if !done {
			left = append(left, i)
			continue
		}
		out[i] = o
	}
	return left
}

// overtook reports whether a change has overtaken an outcome that does not say so.
func (r *Role) overtook(key pageKey, o *outcome) bool {
	switch {
	case o.page != nil:
		return r.deadAny(o.page.deps) || !o.status.stale && anyOvertaken(o.page.deps)
	case o.absent != nil:
		return o.absent.state.Load() != live
	case o.said != nil:
		return !r.takes(key, o.said)
	}
	return false
}

// settleOvertaken is for what changes faster than it can be read: it is marked, or
// cannot be had.
func (r *Role) settleOvertaken(ctx context.Context, key pageKey, o *outcome, now time.Time) {
	if o.page == nil || r.deadAny(o.page.deps) {
		*o = r.judgeLoaded(ctx, key, nil, errChanging, r.forwardReason(key, now), now, false)
		return
	}
	o.status.hit, o.status.fwd, o.status.stale = false, "stale", true
}

// settleBeyond finds what L1 does not have, as serveBeyond does for one page.
func (r *Role) settleBeyond(ctx context.Context, keys []pageKey, open []int, out []outcome, client netip.Addr, start time.Time) {
	room, why := r.overload.enter(len(open))
	defer r.overload.leave(room)
	for _, i := range open[room:] {
		out[i] = r.refuse(keys[i], fasthttp.StatusServiceUnavailable, why, admission.Spread(0), start, false)
	}
	if open = open[:room]; len(open) == 0 {
		return
	}
	if wait, spent := r.overload.unknown.rates.Spent(client, start); spent {
		var known []int
		for n, k := range r.know(ctx, pick(keys, open)) {
			o, done := r.judgeSpent(keys[open[n]], k, wait, start)
			if !done {
				known = append(known, open[n])
				continue
			}
			out[open[n]] = o
		}
		open = known
	}
	r.settleElsewhere(ctx, keys, open, out)
	for _, i := range open {
		if out[i].missing || out[i].isAbsent() {
			r.overload.unknown.rates.Spend(client, time.Now())
		}
	}
}

// settleElsewhere asks the owners, each once and all at the same time, and loads
// the rest here meanwhile.
func (r *Role) settleElsewhere(ctx context.Context, keys []pageKey, open []int, out []outcome) {
	var here []int
	byOwner := map[ring.Member][]int{}
	for _, i := range open {
		// A hot product is served wherever the request lands.
		if owner, remote := r.remoteOwner(keys[i]); remote && !r.hot.has(keys[i]) {
			byOwner[owner] = append(byOwner[owner], i)
		} else {
			here = append(here, i)
		}
	}
	load := func(open []int) { r.settleLoaded(ctx, keys, open, out, r.cfg.WaitTimeout, false) }
	var loads sync.WaitGroup
	loads.Go(func() { load(here) })
	r.askOwners(ctx, keys, byOwner, out, load)
	loads.Wait()
}

// settleLoaded loads pages here, as serveLoaded does for one.
func (r *Role) settleLoaded(ctx context.Context, keys []pageKey, open []int, out []outcome, wait time.Duration, peer bool) {
	if len(open) == 0 {
		return
	}
	now := time.Now()
	reasons := make([]string, len(open))
	for n, i := range open {
		reasons[n] = r.forwardReason(keys[i], now)
	}
	load, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	// A hot page was not asked of its owner, who may still have it.
	failed, theirs := make(map[int]error), make(map[ring.Member][]int)
	for n, l := range r.loadMany(load, pick(keys, open)) {
		i := open[n]
		now := time.Now()
		var ok bool
		if out[i], ok = r.keptBetter(keys[i], l.answer, l.err, now, peer); ok {
			continue
		}
		if l.err != nil && !peer && r.hot.has(keys[i]) {
			if owner, elsewhere := r.remoteOwner(keys[i]); elsewhere {
				failed[i], theirs[owner] = l.err, append(theirs[owner], i)
				continue
			}
		}
		out[i] = r.judgeLoaded(ctx, keys[i], l.answer, l.err, reasons[n], now, peer)
	}
	r.askOwners(ctx, keys, theirs, out, func(left []int) {
		now := time.Now()
		for _, i := range left {
			out[i] = r.judgeLoaded(ctx, keys[i], nil, failed[i], r.forwardReason(keys[i], now), now, peer)
		}
	})
}

// askOwners asks each owner for what it owns, by one hop, and all of them at the
// same time: it takes as long as the slowest of them. What an owner does not have
// is handed to otherwise, which may be called for several owners at once.
func (r *Role) askOwners(ctx context.Context, keys []pageKey, theirs map[ring.Member][]int, out []outcome, otherwise func(left []int)) {
	var owners sync.WaitGroup
	for owner, open := range theirs {
		owners.Go(func() { otherwise(r.settleForwarded(ctx, keys, open, out, owner)) })
	}
	owners.Wait()
}

// isAbsent reports whether the product does not exist.
func (o *outcome) isAbsent() bool {
	return o.absent != nil || o.said != nil && o.said.code == fasthttp.StatusNotFound
}

// checkBatch looks at the bounds of a batch.
func (l *Limits) checkBatch(say func(format string, args ...any)) {
	if l.BatchIDs < 1 || l.BatchIDs > maxBatchIDs {
		say("--gateway.batch-ids %d must be from 1 to %d, or a request line has no room for them", l.BatchIDs, maxBatchIDs)
	}
	if l.BatchBytes < 1 {
		say("--gateway.batch-bytes %d must be above zero", l.BatchBytes)
	}
}

// defaultBatchIDs is how many ids a batch may name; maxBatchIDs how many ids of full length fit in a request line between gateways.
const (
	defaultBatchIDs = 100
	maxBatchIDs     = 500
)
