package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coalesce"
	"eshop/pkg/coherence"
	"eshop/pkg/docapi"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/tracing"
)

// Load implements docapi.Source: heap, Redis, origin, in this order.
func (r *Role) Load(ctx context.Context, req docapi.Request) (docapi.Reply, error) {
	reply, err := r.find(ctx, req)
	if err != nil {
		r.unavailableLine(ctx, req.Key, err)
	}
	return reply, err
}

// unavailableLine tells the log what a reader is told. Under an operator's switch
// that is no news.
func (r *Role) unavailableLine(ctx context.Context, key catalog.Key, err error) {
	level := slog.LevelWarn
	if r.held(key.Kind) != nil {
		level = slog.LevelDebug
	}
	r.log.Log(ctx, level, "a document cannot be had", "key", key, "err", err)
}

func (r *Role) find(ctx context.Context, req docapi.Request) (docapi.Reply, error) {
	if r.cat.Kind(req.Key.Kind) == nil {
		return docapi.Reply{}, fmt.Errorf("the kind %q is not configured", req.Key.Kind)
	}
	min := req.Min.Max(r.floor.Of(req.Key))
	if !req.Revalidate {
		if reply, ok := r.fromHeap(req.Key, min); ok {
			return reply, nil
		}
	}
	return r.fill(ctx, req.Key, min, req.Revalidate)
}

// fromHeap answers from the role's own memory, touching no network.
func (r *Role) fromHeap(key catalog.Key, min catalog.Stamp) (docapi.Reply, bool) {
	if e, ok := r.heap.docs.Get(key); ok && r.usable(e, min, time.Now()) {
		r.refreshIfOld(e)
		return docapi.Reply{Document: e.doc, Layer: docapi.LayerL1}, true
	}
	if min.IsZero() {
		if _, ok := r.heap.absent.Get(key); ok {
			return docapi.Reply{Document: catalog.Document{Key: key}, Layer: docapi.LayerL1}, true
		}
	}
	return docapi.Reply{}, false
}

// fillAttempts bounds how often a caller whose floor is higher than that of the
// load it joined starts over.
const fillAttempts = 3

// fill loads through the coalescing group: one load of a key at a time, however
// many ask. A caller that knows of a higher stamp than the load it joined did
// gets a load of its own afterwards.
func (r *Role) fill(ctx context.Context, key catalog.Key, min catalog.Stamp, pull bool) (docapi.Reply, error) {
	var reply docapi.Reply
	for range fillAttempts {
		var shared bool
		var err error
		reply, shared, err = r.fills.Do(ctx, fillKey{key, pull}, func(ctx context.Context) (docapi.Reply, error) {
			return r.load(ctx, key, min.Max(r.floor.Of(key)), pull)
		})
		min = min.Max(r.floor.Of(key)) // it may have risen meanwhile
		if shared {
			tracing.Current(ctx).Set(tracing.Shared(true))
		}
		switch {
		case errors.Is(err, coalesce.ErrOverloaded):
			r.metrics.overloaded.Inc()
			return reply, &docapi.Unavailable{Reason: "too many loads are under way", RetryAfter: time.Second}
		case err != nil && shared && ctx.Err() == nil && !min.IsZero():
			continue // the load failed for a floor that was not ours
		case err != nil:
			return reply, r.unavailable(key, err)
		case !reply.Document.Stamp.Less(min):
			return reply, nil
		}
	}
	return docapi.Reply{}, &docapi.Unavailable{RetryAfter: time.Second,
		Reason: fmt.Sprintf("%v: the newest copy that can be had is %v, %v has been announced", key, reply.Document.Stamp, min)}
}

type fillKey struct {
	key  catalog.Key
	pull bool
}

// load is the one load of a key in this process: Redis first, the origin when
// Redis has nothing that reaches min.
func (r *Role) load(ctx context.Context, key catalog.Key, min catalog.Stamp, pull bool) (reply docapi.Reply, err error) {
	ctx, span := tracing.Start(ctx, tracing.Internal, "load document")
	defer func() {
		if span.On() {
			span.Set(tracing.Document(key))
			if span.Fail(err); err == nil {
				span.Set(tracing.Layer(string(reply.Layer)))
				span.Set(tracing.Copy(reply.Document)...)
			}
		}
		span.End()
	}()
	why := pullForRead
	if pull {
		why = pullForAuditor
	} else {
		v := r.moment()
		doc, err := r.fromRedis(ctx, key, min)
		switch {
		case err != nil:
			return r.withoutRedis(ctx, key, min, err)
		case coherence.Reaches(doc, min):
			return r.answer(doc, docapi.LayerRedis, v), nil
		}
	}
	return r.admitted(ctx, key, min, why, func() (docapi.Reply, error) { return r.pull(ctx, key, min, why) })
}

// fromRedis reads a replica, and the master when the replica has nothing or
// lags behind min.
func (r *Role) fromRedis(ctx context.Context, key catalog.Key, min catalog.Stamp) (catalog.Document, error) {
	from := r.from()
	doc, err := r.store.Get(ctx, key, from)
	if err != nil || from == rediscluster.FromMaster || doc.State == catalog.Absent || !doc.Stamp.Less(min) {
		return doc, err
	}
	return r.store.Get(ctx, key, rediscluster.FromMaster)
}

// answer keeps a copy in the heap and refreshes it when it has grown old.
func (r *Role) answer(doc catalog.Document, layer docapi.Layer, v moment) docapi.Reply {
	r.keep(doc, v)
	if e, ok := r.heap.docs.Get(doc.Key); ok && layer == docapi.LayerRedis {
		r.refreshIfOld(e)
	}
	return docapi.Reply{Document: doc, Layer: layer}
}

// withoutRedis answers while Redis is away: a copy from the heap however old,
// else a pull that is stored nowhere but there. It neither reads Redis again nor
// tries to write: a Redis that is silent would take its time for each, and the
// caller has gone before the third.
func (r *Role) withoutRedis(ctx context.Context, key catalog.Key, min catalog.Stamp, cause error) (docapi.Reply, error) {
	if ctx.Err() != nil {
		return docapi.Reply{}, cause
	}
	if reply, ok := r.stale(key, min); ok {
		return reply, nil
	}
	reply, err := r.admitted(ctx, key, min, pullForRead, func() (docapi.Reply, error) { return r.pullProvisional(ctx, key, min) })
	if err != nil {
		return reply, errors.Join(cause, err)
	}
	return reply, nil
}

// stale returns the heap's copy although nothing vouches for it now; never one
// below min.
func (r *Role) stale(key catalog.Key, min catalog.Stamp) (docapi.Reply, bool) {
	e, ok := r.heap.docs.Get(key)
	if !ok || e.dead.Load() || e.doc.Stamp.Less(min) {
		return docapi.Reply{}, false
	}
	r.metrics.stale.Inc()
	return docapi.Reply{Document: e.doc, Layer: docapi.LayerL1, Stale: true}, true
}

// unavailable turns an error of the layers below into the contract's answer.
func (r *Role) unavailable(key catalog.Key, err error) error {
	var u *docapi.Unavailable
	if errors.As(err, &u) {
		return u
	}
	after := retryAfter(err, time.Second)
	if errors.Is(err, origin.ErrOpen) {
		after = 5 * time.Second
	}
	return &docapi.Unavailable{Reason: fmt.Sprintf("load %v: %v", key, err), RetryAfter: after}
}

// LoadMany implements docapi.Source: the heap first, then one round trip to
// Redis for the rest, then one by one, at the same time, what is left.
func (r *Role) LoadMany(ctx context.Context, reqs []docapi.Request) []docapi.Result {
	out := make([]docapi.Result, len(reqs))
	mins := make([]catalog.Stamp, len(reqs))
	var keys []catalog.Key
	var rest []int
	for i, req := range reqs {
		mins[i] = req.Min.Max(r.floor.Of(req.Key))
		if reply, ok := r.fromHeap(req.Key, mins[i]); ok {
			out[i].Reply = reply
			continue
		}
		keys, rest = append(keys, req.Key), append(rest, i)
	}
	var wg sync.WaitGroup
	if len(rest) > 1 {
		v := r.moment()
		found := r.store.GetMany(ctx, keys, r.from())
		left := rest[:0]
		for j, i := range rest {
			// Read again: the bus may have told of a change during the round trip.
			min := mins[i].Max(r.floor.Of(keys[j]))
			if doc := found[j].Document; found[j].Err == nil && coherence.Reaches(doc, min) {
				out[i].Reply = r.answer(doc, docapi.LayerRedis, v)
				continue
			}
			left = append(left, i)
		}
		rest = left
	}
	for _, i := range rest { // at most docapi.MaxBatch, and the coalescing group is bounded
		wg.Go(func() {
			if out[i].Reply, out[i].Err = r.fill(ctx, reqs[i].Key, mins[i], false); out[i].Err != nil {
				r.unavailableLine(ctx, reqs[i].Key, out[i].Err)
			}
		})
	}
	wg.Wait()
	return out
}
