package lru

import (
	"iter"
	"math/bits"
	"sync/atomic"
)

// index finds entries by their keys without a lock: open addressing with linear
// probing in a table of pointers. Only one goroutine may change it at a time.
//
// Why a reader never sees half of a change: what it reads of an entry is not
// changed after the pointer was stored, a replaced entry is a new one in the same
// slot, a deleted one leaves a mark so that no chain breaks, and a table that is
// too full is left as it is for those who read it, while a new one takes its place.
type index[K comparable, V any] struct {
	table   atomic.Pointer[[]slot[K, V]] // of a power of two
	deleted *node[K, V]                  // the mark
	live    int
	filled  int // with the marks
}

type slot[K comparable, V any] struct{ atomic.Pointer[node[K, V]] }

func (x *index[K, V]) init() {
	x.deleted = &node[K, V]{}
	t := make([]slot[K, V], 8)
	x.table.Store(&t)
}

func (x *index[K, V]) find(hash uint64, k K) *node[K, V] {
	t := *x.table.Load()
	for i := hash; ; i++ {
		n := t[i&uint64(len(t)-1)].Load()
		if n == nil {
			return nil
		}
		if n.key == k && n != x.deleted {
			return n
		}
	}
}

// all are the entries, in no order; they may be deleted meanwhile.
func (x *index[K, V]) all() iter.Seq[*node[K, V]] {
	return func(yield func(*node[K, V]) bool) {
		t := *x.table.Load()
		for i := range t {
			if n := t[i].Load(); n != nil && n != x.deleted && !yield(n) {
				return
			}
		}
	}
}

// add stores an entry whose key is not there.
func (x *index[K, V]) add(hash uint64, n *node[K, V], hashOf func(K) uint64) {
	t := *x.table.Load()
	if 3*x.filled >= 2*len(t) {
		t = x.rebuild(hashOf)
	}
	for i := hash; ; i++ {
		s := &t[i&uint64(len(t)-1)]
		switch s.Load() {
		case nil:
			x.filled++
			fallthrough
		case x.deleted:
			s.Store(n)
			x.live++
			return
		}
	}
}

// rebuild leaves the marks behind in a table that is at most half full.
func (x *index[K, V]) rebuild(hashOf func(K) uint64) []slot[K, V] {
	t := make([]slot[K, V], max(8, 1<<bits.Len(uint(2*x.live))))
	for n := range x.all() {
		i := hashOf(n.key)
		for t[i&uint64(len(t)-1)].Load() != nil {
			i++
		}
		t[i&uint64(len(t)-1)].Store(n)
	}
	x.filled = x.live
	x.table.Store(&t)
	return t
}

// swap stores what takes the place of an entry that is there: another of the same
// key, or nil to delete it.
func (x *index[K, V]) swap(hash uint64, old, n *node[K, V]) {
	if n == nil {
		n = x.deleted
		x.live--
	}
	t := *x.table.Load()
	for i := hash; ; i++ {
		if s := &t[i&uint64(len(t)-1)]; s.Load() == old {
			s.Store(n)
			return
		}
	}
}
