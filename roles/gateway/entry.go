package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/audit"
	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/ring"
)

// The life of one copy. It only moves forward.
const (
	live       uint32 = iota
	superseded        // a newer document is known; may be served, marked, if that cannot be had
	gone              // purged, deleted or never valid: not served again, not even on error
)

// flag is the liveness of one copy of one document. A page holds pointers to
// the flags of the documents it was built from, so that one store makes every
// page with a changed shop invalid, and looking at a page reads a few atomics.
type flag struct {
	key   catalog.Key
	stamp catalog.Stamp
	sum   uint64 // of state and body: equal stamps of plain-string values say little
	// absent: the stamp says nothing, there is no document.
	absent bool
	// provisional: Redis does not hold it, so it cannot be compared with that.
	provisional bool

	state      atomic.Uint32
	generation atomic.Uint64 // of the bus at the time of the last verification
	verified   atomic.Int64  // unix nanoseconds: when Redis or the cache role last vouched for it
	soft       atomic.Int64  // unix nanoseconds: refreshed in the background from then on

	of *lineage // nil: a copy for one answer, which the index does not know
}

// lineage is what the copies of one document that are held have in common.
type lineage struct {
	current *flag // the newest; guarded by the index's shard
	refs    int   // from L1 and pages to any of the copies; guarded by the index's shard
	pages   *page // the newest page of which this is the root; guarded by the index's shard
	// buried: the document was purged or deleted, so none of these copies is
	// served again, the superseded ones included (PITFALL 34).
	buried atomic.Bool
}

// kill moves the copy forward to a state; it never goes back.
func (f *flag) kill(to uint32) {
	for {
		s := f.state.Load()
		if s >= to || f.state.CompareAndSwap(s, to) {
			return
		}
	}
}

// dead reports whether the copy must not be served, not even for want of a
// better one.
func (f *flag) dead() bool {
	s := f.state.Load()
	return s == gone || s == superseded && f.of.buried.Load()
}

// entry is a document in L1. Immutable.
type entry struct {
	flag *flag
	doc  catalog.Document
}

func (e *entry) bytes() int64 { return int64(len(e.doc.Body)) + 256 }

// index finds the copies of a key. There is at most one current flag for each
// key, so an invalidation reaches every page and document that was built from
// it, even when the document itself was evicted and only pages still point to
// it. A lineage is in the index as long as an L1 entry or a page refers to one
// of its copies, which bounds the index by the bounds of the caches; a buried
// one leaves at once, for nothing more can happen to its copies.
type index struct{ shards [64]shard }

type shard struct {
	mu sync.Mutex
	m  map[catalog.Key]*lineage
}

func newIndex() *index {
	x := &index{}
	for i := range x.shards {
		x.shards[i].m = map[catalog.Key]*lineage{}
	}
	return x
}

// len returns how many lineages there are.
func (x *index) len() (n int) {
	for i := range x.shards {
		x.shards[i].mu.Lock()
		n += len(x.shards[i].m)
		x.shards[i].mu.Unlock()
	}
	return n
}

func hashKey(k catalog.Key) uint64 { return ring.Hash(k.Kind, k.ID) }

func (x *index) shard(k catalog.Key) *shard { return &x.shards[hashKey(k)%uint64(len(x.shards))] }

// bury ends a lineage. The caller holds the shard's lock.
func (s *shard) bury(k catalog.Key, l *lineage) {
	l.buried.Store(true)
	l.current.kill(gone)
	delete(s.m, k)
}

// verification is what a load knows of the moment it began.
type verification struct {
	at         time.Time // before the read, so that a change during it counts as later
	generation uint64
	soft       time.Duration
}

// admit makes doc the current copy of its key and returns its flag with one
// reference for the caller. A copy that is the same as the current one renews
// it, so that pages built from it stay valid. A copy older than a live one is
// refused: two loads may finish in any order (invariant 1). The knowledge that
// there is no such document, or not any more, buries all earlier copies.
func (x *index) admit(doc catalog.Document, v verification) (*flag, bool) {
	sum := audit.Sum(doc)
	s := x.shard(doc.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.m[doc.Key]
	if l != nil {
		f := l.current
		switch coherence.Admit(f.state.Load() == live, f.stamp, f.sum == sum, doc) {
		case coherence.Renew:
			f.renew(v)
			l.refs++
			return f, true
		case coherence.Refuse:
			return nil, false
		case coherence.Replace:
			f.kill(superseded)
		default:
			s.bury(doc.Key, l)
			l = nil
		}
	}
	if l == nil {
		l = &lineage{}
		s.m[doc.Key] = l
	}
	f := &flag{key: doc.Key, stamp: doc.Stamp, sum: sum, absent: doc.State == catalog.Absent, provisional: doc.Provisional, of: l}
	f.renew(v)
	l.current = f
	l.refs++
	return f, true
}

// change tells of a newer document and reports whether that makes a copy
// outdated. A deletion buries them all.
func (x *index) change(inv catalog.Invalidation) bool {
	s := x.shard(inv.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.m[inv.Key]
	switch {
	case l == nil || !inv.Supersedes(l.current.stamp):
		return false
	case inv.State == catalog.Tombstone.String():
		s.bury(inv.Key, l)
	default:
		l.current.kill(superseded)
	}
	return true
}

// purge buries every copy of a document and reports whether there was one.
func (x *index) purge(k catalog.Key) bool {
	s := x.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.m[k]
	if l != nil {
		s.bury(k, l)
	}
	return l != nil
}

func (f *flag) renew(v verification) {
	f.verified.Store(v.at.UnixNano())
	f.soft.Store(v.at.Add(v.soft).UnixNano())
	f.generation.Store(v.generation)
}

// holds reports whether invalidations are told to the flag.
func (x *index) holds(f *flag) bool {
	s := x.shard(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[f.key] == f.of && f.of != nil
}

// retain adds a reference, unless the flag is no longer the one invalidations
// are told to: a page built from it would never hear of a change.
func (x *index) retain(f *flag) bool {
	s := x.shard(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[f.key] != f.of || f.of.current != f {
		return false
	}
	f.of.refs++
	return true
}

// release takes a reference away; with the last one the lineage leaves the index.
func (x *index) release(f *flag) {
	s := x.shard(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.of.refs--; f.of.refs <= 0 && s.m[f.key] == f.of {
		delete(s.m, f.key)
	}
}

// find returns the current flag of a key, nil if no copy is held.
func (x *index) find(k catalog.Key) *flag {
	s := x.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.m[k]; l != nil {
		return l.current
	}
	return nil
}

// size is the number of documents with a copy.
func (x *index) size() int {
	n := 0
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		n += len(s.m)
		s.mu.Unlock()
	}
	return n
}
