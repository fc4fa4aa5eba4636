package cache

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/lru"
	"eshop/pkg/rediscluster"
	"eshop/pkg/ring"
)

// entry is one document in the heap tier. It is immutable but for its marks.
type entry struct {
	doc catalog.Document
	// verified is when Redis (or the origin) was last known to hold this copy;
	// generation tells after which loss on the bus that was.
	verified   time.Time
	generation uint64
	softUntil  time.Time // from then on Redis is asked again
	dead       atomic.Bool
	refreshAt  atomic.Int64 // unix nanoseconds: from then on the origin is asked in the background
	refreshing atomic.Bool  // that has been asked for
}

// moment is when a read began. What the bus says or loses after it counts as
// later than what was read, however long the reader was held up.
type moment struct {
	at         time.Time
	generation uint64
}

func (r *Role) moment() moment { return moment{time.Now(), r.generation.Load()} }

// heap is the role's own L1: documents, and apart from them, with a budget of
// their own, the ids known to be absent.
type heap struct {
	docs   *lru.Cache[catalog.Key, *entry]
	absent *lru.Cache[catalog.Key, struct{}]
}

func hashKey(k catalog.Key) uint64 { return ring.Hash(k.Kind, k.ID) }

func newHeap(docBytes, absentBytes int64) (*heap, error) {
	docs, err := lru.New(lru.Config[catalog.Key, *entry]{Bytes: docBytes, Hash: hashKey})
	if err != nil {
		return nil, err
	}
	absent, err := lru.New(lru.Config[catalog.Key, struct{}]{Bytes: absentBytes, Hash: hashKey})
	if err != nil {
		return nil, err
	}
	return &heap{docs: docs, absent: absent}, nil
}

// jitter spreads d by a quarter to each side, so that what was filled together
// does not expire together.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(rand.Int64N(int64(d)/2+1))
}

// keep stores a copy that was read or written since v, unless the floor has risen
// above it meanwhile.
//
// Why no older copy can stay: the bus raises the floor before it kills entries.
// If it raised before the check below, the check sees it; if after, its kill
// comes after our Put and finds the entry. Either way the entry is gone.
func (r *Role) keep(doc catalog.Document, v moment) {
	if doc.State == catalog.Absent {
		if r.floor.Of(doc.Key).IsZero() { // a changed key is never answered from here
			r.heap.absent.Put(doc.Key, struct{}{}, 0, time.Now().Add(r.cfg.NegativeTTL))
		}
		return
	}
	now := time.Now()
	e := &entry{doc: doc, verified: v.at, generation: v.generation, softUntil: now.Add(jitter(r.cfg.TTL))}
	if !doc.Pulled.IsZero() { // of unknown age counts as old
		e.refreshAt.Store(doc.Pulled.Add(jitter(r.refreshAfter())).UnixNano())
	}
	if doc.Provisional {
		e.softUntil = now.Add(provisionalTTL)
	}
	if old, ok := r.heap.docs.Get(doc.Key); ok && !old.dead.Load() && coherence.Outranks(old.doc, doc) {
		return
	}
	r.heap.docs.Put(doc.Key, e, int64(len(doc.Body))+64, now.Add(r.cfg.HardTTL))
	r.heap.absent.Remove(doc.Key)
	if !r.floor.Admits(doc.Key, doc.Stamp) {
		e.dead.Store(true)
	}
}

// provisionalTTL is how long a copy that no store vouches for is used.
const provisionalTTL = 2 * time.Second

// usable reports whether an entry may answer a request with this floor without
// asking anybody.
func (r *Role) usable(e *entry, min catalog.Stamp, now time.Time) bool {
	if e.dead.Load() || e.doc.Stamp.Less(min) || now.After(e.softUntil) || e.generation != r.generation.Load() {
		return false
	}
	// While the bus is silent a copy is as good as its last look into Redis.
	return now.Sub(e.verified) <= r.cfg.MaxStaleness || !r.bus.Behind()
}

// Changed implements invalidation.Handler: the floor stands above inv.Stamp.
func (r *Role) Changed(inv catalog.Invalidation) {
	r.heap.absent.Remove(inv.Key)
	if e, ok := r.heap.docs.Get(inv.Key); ok && inv.Supersedes(e.doc.Stamp) {
		e.dead.Store(true)
	}
}

// Unverified implements invalidation.Handler.
func (r *Role) Unverified(reason string) {
	r.gapAt.Store(time.Now().UnixNano())
	r.generation.Add(1)
	r.heap.absent.Purge()
	r.metrics.unverified.Inc()
	r.log.Warn("every copy will be checked against Redis before it is used again", "reason", reason)
}

// from says where Redis may be read. While the bus does not tell of changes, or
// has just lost some, nothing says how far a replica lags: then the master only.
func (r *Role) from() rediscluster.From {
	if r.bus.Behind() || time.Since(time.Unix(0, r.gapAt.Load())) < r.cfg.MaxStaleness {
		return rediscluster.FromMaster
	}
	return rediscluster.FromReplica
}
