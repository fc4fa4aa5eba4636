package cache

import (
	"context"
	"fmt"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/docapi"
	"eshop/pkg/invalidation"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
)

// purpose says why a document is pulled; it decides what may replace the pull
// and who is told of the result.
type purpose int

const (
	// pullForRead: a read found nothing. Another process's pull serves as well.
	pullForRead purpose = iota
	// pullForRefresh: the stored copy is old or doubted; the origin must be asked.
	pullForRefresh
	// pullForAuditor: the same for a gateway's auditor, whose min Redis has held.
	pullForAuditor
	// repairAfterFailover, repairBySweep: Redis holds less than it did before.
	// Another process's pull serves as well (reconcile.go).
	repairAfterFailover
	repairBySweep
	// repairByAudit: it holds less than a copy here, or than the auditor saw in it.
	repairByAudit
)

// asksOrigin reports whether the stored copy will not do, whatever it is.
func (p purpose) asksOrigin() bool { return p == pullForRefresh || p == pullForAuditor }

// cause is what a pull counts as when it finds that Redis had lost a write.
func (p purpose) cause() invalidation.Cause {
	switch p {
	case repairAfterFailover:
		return invalidation.ByFailover
	case repairBySweep:
		return invalidation.BySweep
	case repairByAudit, pullForAuditor:
		return invalidation.ByAudit
	}
	return invalidation.ByRead
}

// pull brings a document from the origin into Redis and the heap for a reader.
//
// The order is invariant 2: token, then pull, then compare-and-set. The lock
// only keeps a second process from pulling the same; whoever waits for it in
// vain goes on with the token it has, and the compare decides.
func (r *Role) pull(ctx context.Context, key catalog.Key, min catalog.Stamp, why purpose) (docapi.Reply, error) {
	if err := r.held(key.Kind); err != nil {
		return r.withoutOrigin(ctx, key, min, why, err)
	}
	token, release, err := r.token(ctx, key)
	if err != nil {
		if ctx.Err() != nil || why != pullForRead { // a copy that is stored is better than a provisional one
			return docapi.Reply{}, err
		}
		return r.pullProvisional(ctx, key, min)
	}
	defer release()
	v := r.moment()
	// Before Redis is read: it held this once, so holding less is a loss. A change
	// announced later, our own among them, says nothing of what was read.
	held := r.floor.Of(key)
	if why.cause() == invalidation.ByAudit {
		held = held.Max(min)
	}
	stored, readErr := r.store.Get(ctx, key, rediscluster.FromMaster)
	if readErr == nil && !why.asksOrigin() && coherence.Reaches(stored, min) {
		return r.answer(stored, docapi.LayerRedis, v), nil // somebody was faster
	}
	got, err := r.origin.Pull(ctx, key)
	if err != nil {
		if reply, ok := r.stale(key, min); ok {
			return reply, nil
		}
		if readErr == nil && coherence.Reaches(stored, min) {
			return docapi.Reply{Document: stored, Layer: docapi.LayerRedis, Stale: true}, nil
		}
		return docapi.Reply{}, err
	}
	reply, accepted, err := r.finish(ctx, min, v, stored, held, document(key, got, coherence.Base(min, token)))
	if accepted && readErr == nil && stored.Stamp.Less(held) {
		r.metrics.repairs.Done(invalidation.Repair{Key: key, Cause: why.cause(), Found: stored.Stamp, Expected: held})
	}
	return reply, err
}

// finish writes what a reader's pull brought and answers with what Redis holds
// then. stored is what it held before, announced the floor then; accepted tells
// whether it is ours now.
func (r *Role) finish(ctx context.Context, min catalog.Stamp, v moment, stored catalog.Document, announced catalog.Stamp, doc catalog.Document) (reply docapi.Reply, accepted bool, err error) {
	if doc.State == catalog.Absent {
		r.noteAbsent()
	}
	op, doc, write := coherence.ForReader(stored.State, min, doc)
	if !write {
		return r.answer(catalog.Document{Key: doc.Key}, docapi.LayerOrigin, v), false, nil
	}
	written, out, err := r.write(ctx, op, doc)
	if err != nil {
		r.log.WarnContext(ctx, "a pulled document could not be stored and is served from memory", "key", doc.Key, "err", err)
		reply, err = r.provisional(doc, min, v)
		return reply, false, err
	}
	if coherence.Tells(out, stored, announced) {
		r.announceLater(ctx, catalog.Invalidation{Key: doc.Key, Stamp: written.Stamp, State: written.State.String()})
	}
	return r.answer(written, docapi.LayerOrigin, v), out.Accepted, nil
}

// write is the one way into Redis. It returns the document that Redis holds
// afterwards: the given one with its final stamp, or the higher one that
// refused it.
func (r *Role) write(ctx context.Context, op rediscluster.Op, doc catalog.Document) (catalog.Document, rediscluster.Outcome, error) {
	out, err := r.store.Write(ctx, op, doc)
	if err != nil {
		return doc, out, fmt.Errorf("write %v to Redis: %w", doc.Key, err)
	}
	if !out.Accepted {
		stored, err := r.store.Get(ctx, doc.Key, rediscluster.FromMaster)
		if err == nil {
			err = coherence.Refused(op, doc, out, stored)
		}
		if err != nil {
			return doc, out, fmt.Errorf("read the copy of %v that refused ours: %w", doc.Key, err)
		}
		return stored, out, nil
	}
	return coherence.Stored(op, doc, out), out, nil
}

// document makes the candidate of a pull: the body's version under base's epoch
// and token.
func document(key catalog.Key, got origin.Result, base catalog.Stamp) catalog.Document {
	base.Version = got.Version
	return catalog.Document{Key: key, State: got.State, Body: got.Body, Field: got.Field, Stamp: base, Pulled: time.Now()}
}

// pullProvisional serves a reader while there is no token to be had: the pull is
// true but nobody can be held to it, so Redis does not get it and the copy
// lives for seconds.
func (r *Role) pullProvisional(ctx context.Context, key catalog.Key, min catalog.Stamp) (docapi.Reply, error) {
	v := r.moment()
	got, err := r.origin.Pull(ctx, key)
	if err != nil {
		if reply, ok := r.stale(key, min); ok {
			return reply, nil
		}
		return docapi.Reply{}, err
	}
	if got.State == catalog.Absent {
		r.noteAbsent()
	}
	return r.provisional(document(key, got, coherence.Base(min, 0)), min, v)
}

// provisional answers with a pulled document that Redis does not hold.
func (r *Role) provisional(doc catalog.Document, min catalog.Stamp, v moment) (docapi.Reply, error) {
	shown, ok := coherence.Provisional(doc, min)
	if !ok {
		return docapi.Reply{}, behind(doc.Key, doc.Stamp, min)
	}
	return r.answer(shown, docapi.LayerOrigin, v), nil
}

func behind(key catalog.Key, got, min catalog.Stamp) error {
	return &docapi.Unavailable{RetryAfter: time.Second,
		Reason: fmt.Sprintf("the origin shows %v of %v, %v has been announced", got, key, min)}
}

// token takes the fencing token of a fill and waits for the key's lock, at most
// LockWait. release gives the lock back; it never blocks.
//
// While ids that do not exist are being asked for in bulk, a fill goes without a
// lock: a token of this process, taken before the pull, fences as well, and a
// flood of unknown ids costs ZooKeeper nothing (pitfall 12).
func (r *Role) token(ctx context.Context, key catalog.Key) (token int64, release func(), err error) {
	if s := r.zk.State(); s != zookeeper.Connected {
		return 0, nil, fmt.Errorf("take a token: the ZooKeeper session is %v", s)
	}
	if r.flooded() {
		token, err := r.sharedToken(ctx)
		return token, func() {}, err
	}
	ectx, cancel := context.WithTimeout(ctx, r.cfg.LockWait)
	defer cancel()
	ticket, err := r.zk.Enqueue(ectx, lockName(key))
	if err != nil {
		return 0, nil, fmt.Errorf("take the lock of %v: %w", key, err)
	}
	if err := ticket.Wait(ectx); err != nil && ctx.Err() != nil {
		ticket.Release()
		return 0, nil, fmt.Errorf("wait for the lock of %v: %w", key, err)
	}
	return ticket.Token(), ticket.Release, nil
}

func lockName(key catalog.Key) string { return fmt.Sprintf("%s-%d", key.Kind, key.ID) }
