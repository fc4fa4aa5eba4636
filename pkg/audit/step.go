package audit

import (
	"context"
	"fmt"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// maxRepairs bounds the pulls of one round; what is left is met again.
const maxRepairs = 8

// round draws copies, reads their documents from the masters and judges them. It
// returns an error when Redis does not answer at all.
func (a *Auditor) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// Copies are drawn before the read: Redis held them, or later ones, by then.
	copies := a.deps.Heap.Sample(int(a.rate.Load()))
	began := time.Now()
	master, err := a.read(ctx, a.keys(copies))
	a.note(err)
	if err != nil {
		return err
	}
	r := repairs{a: a, left: maxRepairs, done: map[catalog.Key]bool{}}
	for key, doc := range master {
		a.onMaster(ctx, key, doc, began, &r)
	}
	for _, c := range copies {
		doc, ok := master[c.Key]
		if !ok {
			a.metrics.count(c.Layer, "redis", "failed")
			continue
		}
		a.againstFloor(c)
		v := judge(c, doc)
		switch {
		case v == stale && !c.Served():
			v = "overtaken" // by the bus, while Redis was read
		case v == stale:
			since := doc.Pulled
			if since.IsZero() {
				since = c.Verified
			}
			a.foundStale(c, doc, "redis", since)
		case v == lost && !a.seen.doubts(c.Key): // else it is to be looked at again first
			r.repair(ctx, c.Key, doc.Stamp, c.Stamp)
		}
		a.metrics.count(c.Layer, "redis", string(v))
		if v == same {
			a.origin(ctx, c, doc)
		}
	}
	a.floorLooks()
	return nil
}

// read asks the masters. It is an error when none of them answers.
func (a *Auditor) read(ctx context.Context, keys []catalog.Key) (map[catalog.Key]catalog.Document, error) {
	master := make(map[catalog.Key]catalog.Document, len(keys))
	var failure error
	for i, got := range a.deps.Redis.GetMany(ctx, keys, rediscluster.FromMaster) {
		if got.Err != nil {
			failure = got.Err
			continue
		}
		master[keys[i]] = got.Document
	}
	if len(master) == 0 && failure != nil {
		return nil, fmt.Errorf("read %d documents for the audit: %w", len(keys), failure)
	}
	return master, nil
}

// keys are those of the copies, of what is doubtful and of some documents seen
// before, each once.
func (a *Auditor) keys(copies []Copy) (keys []catalog.Key) {
	asked := map[catalog.Key]bool{}
	add := func(key catalog.Key) {
		if !asked[key] {
			asked[key] = true
			keys = append(keys, key)
		}
	}
	for _, c := range copies {
		add(c.Key)
	}
	for _, key := range a.seen.again(1 + int(a.rate.Load())/4) {
		if a.deps.Spared == nil || !a.deps.Spared(key.Kind) {
			add(key)
		}
	}
	return keys
}

// foundStale measures a stale copy and ends it, as the bus should have.
func (a *Auditor) foundStale(c Copy, newer catalog.Document, against string, since time.Time) {
	now := time.Now()
	age := max(0, now.Sub(since))
	a.metrics.staleness.WithLabelValues(c.Layer, against).Observe(age.Seconds())
	a.noteStale(Stale{Key: c.Key.String(), Layer: c.Layer, Against: against, Age: age.Round(time.Millisecond).String(), At: now})
	inv := later(c.Key, newer)
	if newer.State == catalog.Absent || !inv.Supersedes(c.Stamp) {
		a.deps.Heap.Forget(c.Key) // the same stamp, or none: no message could end it
	} else {
		a.deps.Floor.Raise(c.Key, newer.Stamp)
		a.deps.Changed(inv)
	}
	if age >= time.Second && a.mayLog(now) { // less is what an invalidation takes
		a.log.Warn("a stale copy was served and is replaced", "kind", c.Key.Kind, "id", c.Key.ID, "layer", c.Layer, "against", against,
			"copy", c.Stamp, "later", newer.Stamp, "age", age.Round(time.Millisecond))
	}
}

// repairs are those of one round: one of each document, and not too many.
type repairs struct {
	a    *Auditor
	left int
	done map[catalog.Key]bool
}

// repair has a document pulled that Redis lost.
func (r *repairs) repair(ctx context.Context, key catalog.Key, found, expected catalog.Stamp) {
	if r.left == 0 || r.done[key] {
		return
	}
	r.left--
	r.done[key] = true
	if err := r.a.deps.Repair(ctx, key, found, expected); err != nil {
		r.a.log.Debug("a document that Redis has lost could not be repaired yet", "key", key, "err", err)
	}
}
