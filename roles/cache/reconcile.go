package cache

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// reconciler finds the writes that a failover of Redis has lost before anybody
// reads them: it compares the recently changed documents, which the floor knows,
// with the masters, and has those that are older pulled again.
//
// It does so at its start, after each change of the topology and, because this
// process may have been paused or away when that changed, from time to time
// (Config.ReconcileEvery). Each process looks after the documents it owns by the
// ring, so one process verifies each. When one dies together with a Redis node,
// its documents have another owner only when its session has ended: that is why
// a change of the topology is followed by a second look, reconcileAgain later.
//
// Kinds for which a degrade switch is on wait for the first look after its end.
//
// A document that is missing in Redis is left alone: nobody can be shown an old
// copy of it, and one that was evicted for want of room must not come back.
type reconciler struct {
	r       *Role
	changed chan struct{} // capacity 1: the topology has changed
	limit   *rate.Limiter // of documents compared
	last    atomic.Pointer[reconciled]
}

// reconciled is what one look came to, as the status page shows it.
type reconciled struct {
	At       time.Time `json:"at"`
	Cause    string    `json:"cause"`
	Verified int       `json:"verified"`
	Missing  int       `json:"missing"`
	Repaired int       `json:"repaired"`
	// Open is how many could not be compared or repaired; they are tried again.
	Open int `json:"open"`
}

const (
	reconcileBatch   = 128
	reconcileWorkers = 4
	reconcileAgain   = 15 * time.Second
	// reconcileRetry is the pause before what is open is tried again, at first;
	// it doubles up to reconcileRetryMax.
	reconcileRetry    = 500 * time.Millisecond
	reconcileRetryMax = 15 * time.Second
)

func newReconciler(r *Role) *reconciler {
	return &reconciler{r: r, changed: make(chan struct{}, 1),
		limit: rate.NewLimiter(rate.Limit(r.cfg.ReconcileRate), min(reconcileBatch, r.cfg.ReconcileRate))}
}

// run works until ctx ends.
func (c *reconciler) run(ctx context.Context) error {
	c.r.store.OnTopologyChange(func() { signal(c.changed) })
	for !c.r.bus.CaughtUp() { // the floor is not what the fleet was told of yet
		if pause(ctx, 100*time.Millisecond) != nil {
			return nil
		}
	}
	why, again, retry := repairBySweep, false, reconcileRetry
	for {
		wait, next := jitter(c.r.cfg.ReconcileEvery), repairBySweep
		switch open := c.look(ctx, why); {
		case open > 0:
			wait, next, retry = retry, why, min(2*retry, reconcileRetryMax)
		case again:
			wait, next, again = reconcileAgain, why, false
		default:
			retry = reconcileRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-c.changed:
			why, again, retry = repairAfterFailover, true, reconcileRetry
		case <-timer.C:
			why = next
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// look compares all documents of this process once, the latest changed first,
// and returns how many it has to try again.
func (c *reconciler) look(ctx context.Context, why purpose) (open int) {
	marks := c.r.floor.Marks(func(key catalog.Key) bool { return c.r.paused(key.Kind) == nil && c.owns(key) })
	sum := reconciled{At: time.Now(), Cause: string(why.cause())}
	for from := 0; from < len(marks); from += reconcileBatch {
		part := marks[from:min(from+reconcileBatch, len(marks))]
		keys := make([]catalog.Key, len(part))
		for i, m := range part {
			keys[i] = m.Key
		}
		if c.wait(ctx, len(keys)) != nil {
			return 0
		}
		unread := 0
		var lost []catalog.Key
		for i, got := range c.r.store.GetMany(ctx, keys, rediscluster.FromMaster) {
			switch {
			case got.Err != nil:
				unread++
			case got.Document.State == catalog.Absent:
				sum.Missing++
			case got.Document.Stamp.Less(part[i].Stamp):
				lost = append(lost, part[i].Key)
			default:
				sum.Verified++
			}
		}
		repaired := c.repair(ctx, lost, why)
		sum.Repaired += repaired
		sum.Open += unread + len(lost) - repaired
		if unread == len(keys) { // Redis is away: what is left will find it so
			sum.Open += len(marks) - from - len(part)
			break
		}
	}
	if ctx.Err() != nil {
		return 0
	}
	c.last.Store(&sum)
	m := c.r.metrics.reconciled
	m.WithLabelValues("verified").Add(float64(sum.Verified))
	m.WithLabelValues("missing").Add(float64(sum.Missing))
	m.WithLabelValues("repaired").Add(float64(sum.Repaired))
	m.WithLabelValues("open").Add(float64(sum.Open))
	if why == repairAfterFailover || sum.Repaired+sum.Open > 0 {
		c.r.log.Info("recently changed documents were compared with Redis", "cause", sum.Cause, "verified", sum.Verified,
			"missing", sum.Missing, "repaired", sum.Repaired, "open", sum.Open)
	}
	return sum.Open
}

// wait takes n from the rate, which may allow for fewer at once.
func (c *reconciler) wait(ctx context.Context, n int) error {
	for n > 0 {
		part := min(n, c.limit.Burst())
		if err := c.limit.WaitN(ctx, part); err != nil {
			return fmt.Errorf("wait for the rate of reconciliation: %w", err)
		}
		n -= part
	}
	return nil
}

// owns reports whether a document is this process's to look after. Without a
// list of the members it is: two that do the same pull once, by the key's lock.
func (c *reconciler) owns(key catalog.Key) bool {
	ring := c.r.group.Ring()
	if ring == nil {
		return true
	}
	owner, ok := ring.Owner(hashKey(key))
	return !ok || owner.ID == c.r.cfg.ID
}

// repair has documents pulled and returns how many reach the floor then.
func (c *reconciler) repair(ctx context.Context, keys []catalog.Key, why purpose) int {
	var done atomic.Int64
	var workers sync.WaitGroup
	queue := make(chan catalog.Key)
	for range min(reconcileWorkers, len(keys)) {
		workers.Go(func() {
			for key := range queue {
				if err := c.repairOne(ctx, key, c.r.floor.Of(key), why); err != nil {
					c.r.log.Debug("a document that Redis has lost could not be repaired yet", "key", key, "err", err)
					continue
				}
				done.Add(1)
			}
		})
	}
	for _, key := range keys {
		queue <- key
	}
	close(queue)
	workers.Wait()
	return int(done.Load())
}

// repairOne pulls a document of which Redis held at least a stamp before.
func (c *reconciler) repairOne(ctx context.Context, key catalog.Key, held catalog.Stamp, why purpose) error {
	ctx, cancel := context.WithTimeout(ctx, c.r.cfg.FillTimeout)
	defer cancel()
	reply, err := c.r.pull(ctx, key, held, why)
	switch {
	case err != nil:
		return err
	case reply.Stale || reply.Document.Provisional || reply.Document.Stamp.Less(held):
		return behind(key, reply.Document.Stamp, held)
	}
	return nil
}
