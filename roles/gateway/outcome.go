package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
)

// outcome is how a request for a page ends, before a word of it is written: with
// the first of these that there is.
type outcome struct {
	page   *page
	absent *flag // of the root document, which does not exist
	// said is what another gateway, the owner, said: 200 or 404.
	said  *peerAnswer
	owner string // its id, fit for a header
	// why the request was refused, to be answered with code; "" : the page cannot be had.
	why  string
	code int

	from   layer
	status cacheStatus
	retry  time.Duration
	// missing: the request named a related document that does not exist.
	missing bool
}

// write answers a request with its outcome, which is this gateway's own.
func (r *Role) write(ctx *fasthttp.RequestCtx, key pageKey, o *outcome, now time.Time) int {
	switch {
	case o.page != nil:
		return r.writePage(ctx, o.page, o.status, now.UnixNano())
	case o.absent != nil:
		return r.writeAbsent(ctx, key, o.absent, o.status, now)
	case o.why != "":
		return r.writeRefusal(ctx, key, o)
	}
	s := o.status
	s.degraded = r.degraded.answered(key.page, s.peer)
	return r.writeProblem(ctx, unavailable(key.json, o.retry), s.append(nil, nil, 0, 0))
}

// judgeL1 is the outcome for a page that L1 has, or for nil, when that needs no
// look elsewhere.
func (r *Role) judgeL1(key pageKey, p *page, start time.Time, peer bool) (outcome, bool) {
	now := start.UnixNano()
	if p == nil {
		return r.judgeAbsent(key, start, peer)
	}
	s := cacheStatus{hit: true, hot: r.hot.shows(p), owner: r.id, peer: peer}
	switch state := r.look(p, now); state {
	case fresh:
	case stale:
		s.stale = true
		if !r.degraded.fromMemory(key.page) {
			r.refreshSoon(p, now)
		}
	case unverified, outdated:
		// Only when a look elsewhere is not allowed or has just failed. An outdated
		// page may be made better from memory.
		if now >= p.failed.Load() && (state == outdated || !r.degraded.fromMemory(key.page)) {
			if state == outdated {
				return outcome{}, false
			}
			if r.checks.take(start) {
				r.metrics.revalidations.Inc()
				return outcome{}, false
			}
			r.metrics.revalidationsSkipped.Inc()
		}
		s.stale = true
		r.metrics.staleServed.Inc()
	default:
		return outcome{}, false
	}
	return outcome{page: p, from: layerL1, status: s}, true
}

// judgeAbsent is 404 from a negative entry: no lock, no wait (PITFALL 12).
func (r *Role) judgeAbsent(key pageKey, now time.Time, peer bool) (outcome, bool) {
	root := catalog.Key{Kind: r.cat.Pages()[key.page].Root, ID: key.id}
	e, ok := r.l1.absents.Get(root)
	if !ok || !r.usable(e, now) {
		return outcome{}, false
	}
	return outcome{absent: e.flag, from: layerL1, status: cacheStatus{hit: true, hot: r.hot.has(key), owner: r.id, peer: peer}}, true
}

// judgeLoaded is the outcome after a load. reason is why there was one.
func (r *Role) judgeLoaded(ctx context.Context, key pageKey, a *answer, err error, reason string, now time.Time, peer bool) outcome {
	if err != nil {
		if why, retry, refused := refusal(err); refused {
			return r.refuse(key, fasthttp.StatusServiceUnavailable, why, retry, now, peer)
		}
		level := slog.LevelWarn
		if r.degraded.forbids(r.rootOf(key).Kind) != nil {
			level = slog.LevelDebug // an operator wants it so
		}
		r.log.Log(ctx, level, "a page cannot be had", "page", r.router.target(key), "err", err)
		return outcome{from: layerNone, code: fasthttp.StatusServiceUnavailable, retry: retryAfter(err),
			status: cacheStatus{fwd: reason, hot: r.hot.has(key), owner: r.id, peer: peer}}
	}
	s := cacheStatus{fwd: reason, stored: a.stored, stale: a.stale, partial: a.partial, hot: r.hot.has(key), layer: a.layer, owner: r.id, peer: peer}
	if a.page == nil {
		return outcome{absent: a.deps[0], from: a.layer, status: s}
	}
	if a.stale {
		r.metrics.staleServed.Inc()
	}
	if a.partial {
		r.metrics.partialServed.Inc()
	}
	return outcome{page: a.page, from: a.layer, status: s, missing: a.missing}
}

// keptBetter is the outcome of a load that failed, or brought less than a whole
// page, when the page that L1 still has is better.
func (r *Role) keptBetter(key pageKey, a *answer, err error, now time.Time, peer bool) (outcome, bool) {
	if err == nil && (a.page == nil || !a.stale && !a.partial) {
		return outcome{}, false
	}
	return r.older(key, a, now, peer, true)
}

// older is the page L1 still has after a load that failed (a is nil) or brought
// less. A new page without a part, or with a part that could not be checked, is
// better than one of which a document has changed since; the one that L1 has is
// better otherwise. tried tells that there was a load: others need not try again
// for a second then.
func (r *Role) older(key pageKey, a *answer, now time.Time, peer, tried bool) (outcome, bool) {
	p, ok := r.l1.pages.Get(key)
	if !ok || r.look(p, now.UnixNano()) == expired {
		return outcome{}, false
	}
	if a != nil && a.page.newer(p) {
		return outcome{}, false
	}
	if tried {
		p.failed.Store(now.Add(time.Second).UnixNano())
	}
	r.metrics.staleServed.Inc()
	return outcome{page: p, from: layerL1, status: cacheStatus{fwd: "stale", stale: true, hot: r.hot.has(key), owner: r.id, peer: peer}}, true
}

func (r *Role) writeAbsent(ctx *fasthttp.RequestCtx, key pageKey, root *flag, s cacheStatus, now time.Time) int {
	if s.peer {
		ctx.Response.Header.SetCanonical(r.headers.stamps, appendStamps(nil, []*flag{root}))
	}
	s.degraded = r.degraded.answered(key.page, s.peer)
	ttl := time.Duration(root.soft.Load() - now.UnixNano())
	return r.writeProblem(ctx, notFound(key.json), s.append(nil, root, ttl, now.UnixNano()))
}
