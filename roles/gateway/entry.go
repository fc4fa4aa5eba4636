package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"eshop/pkg/catalog"
	"eshop/pkg/ring"
)

// The life of one copy. It only moves forward.
const (
	live       uint32 = iota
	superseded        // a newer document is known; may be served, marked, if that cannot be had
	gone              // purged or deleted: never served again, not even on error
)

// flag is the liveness of one copy of one document. A page holds pointers to
// the flags of the documents it was built from, so that one store makes every
// page with a changed shop invalid, and looking at a page reads a few atomics.
type flag struct {
	key   catalog.Key
	stamp catalog.Stamp
	sum   uint64 // of state and body: equal stamps of plain-string values say little

	state      atomic.Uint32
	generation atomic.Uint64 // of the bus at the time of the last verification
	verified   atomic.Int64  // unix nanoseconds: when Redis or the cache role last vouched for it
	soft       atomic.Int64  // unix nanoseconds: refreshed in the background from then on

	refs int // guarded by the index's shard
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

// entry is a document in L1. Immutable.
type entry struct {
	flag *flag
	doc  catalog.Document
}

func (e *entry) bytes() int64 { return int64(len(e.doc.Body)) + 256 }

// index finds the current flag of a key. There is at most one for each key, so
// an invalidation reaches every page and document that was built from it, even
// when the document itself was evicted and only pages still point to it. A flag
// is in the index as long as an L1 entry or a page refers to it, which bounds
// the index by the bounds of the caches.
type index struct {
	shards [64]struct {
		mu sync.Mutex
		m  map[catalog.Key]*flag
	}
}

func newIndex() *index {
	x := &index{}
	for i := range x.shards {
		x.shards[i].m = map[catalog.Key]*flag{}
	}
	return x
}

func hashKey(k catalog.Key) uint64 { return ring.Hash(k.Kind, k.ID) }

// verification is what a load knows of the moment it began.
type verification struct {
	at         time.Time // before the read, so that a change during it counts as later
	generation uint64
	soft       time.Duration
}

// admit makes doc the current copy of its key and returns its flag with one
// reference for the caller. A copy that is the same as the current one renews
// it, so that pages built from it stay valid. A copy older than a live one is
// refused: two loads may finish in any order (invariant 1).
func (x *index) admit(doc catalog.Document, v verification) (*flag, bool) {
	sum := xxhash.Sum64(doc.Body) + uint64(doc.State)
	s := &x.shards[hashKey(doc.Key)%uint64(len(x.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.m[doc.Key]
	switch {
	case f != nil && f.state.Load() == live && f.stamp == doc.Stamp && f.sum == sum:
		f.renew(v)
		f.refs++
		return f, true
	case f != nil && f.state.Load() == live && doc.State != catalog.Absent && doc.Stamp.Less(f.stamp):
		return nil, false
	case f != nil:
		f.kill(superseded)
	}
	f = &flag{key: doc.Key, stamp: doc.Stamp, sum: sum, refs: 1}
	f.renew(v)
	s.m[doc.Key] = f
	return f, true
}

func (f *flag) renew(v verification) {
	f.verified.Store(v.at.UnixNano())
	f.soft.Store(v.at.Add(v.soft).UnixNano())
	f.generation.Store(v.generation)
}

// retain adds a reference, unless the flag is no longer the one invalidations
// are told to: a page built from it would never hear of a change.
func (x *index) retain(f *flag) bool {
	s := &x.shards[hashKey(f.key)%uint64(len(x.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[f.key] != f {
		return false
	}
	f.refs++
	return true
}

// release takes a reference away; with the last one the flag leaves the index.
func (x *index) release(f *flag) {
	s := &x.shards[hashKey(f.key)%uint64(len(x.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.refs--; f.refs <= 0 && s.m[f.key] == f {
		delete(s.m, f.key)
	}
}

// find returns the current flag of a key, nil if no copy is held.
func (x *index) find(k catalog.Key) *flag {
	s := &x.shards[hashKey(k)%uint64(len(x.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[k]
}

// size is the number of flags.
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
