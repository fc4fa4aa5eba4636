package lru

import "sync"

// gone is an entry that left, to be told to OnEvict once the lock is released.
type gone[K comparable, V any] struct {
	key    K
	value  V
	reason Reason
}

// shard is a part of the cache under one mutex. Every method but find wants mu
// held.
type shard[K comparable, V any] struct {
	segments[K, V]
	mu      sync.Mutex
	entries []*node[K, V] // all of them, in no order, so that any can be drawn
	count   [reasons]uint64
	_       [64]byte // keeps neighbours' mutexes off this cache line
}

// put stores an entry, in the place of old if that is not nil.
func (s *shard[K, V]) put(hash uint64, n, old *node[K, V], now int64, out []gone[K, V]) []gone[K, V] {
	if old == nil {
		n.at = int32(len(s.entries))
		s.entries = append(s.entries, n)
		s.insert(hash, n)
	} else {
		out = s.tell(old, now, Replaced, out)
		n.at = old.at
		s.entries[n.at] = n
		s.replace(hash, old, n)
	}
	var few [4]*node[K, V]
	return s.evicted(s.settle(n, now, few[:0]), now, out)
}

// evicted records those that settle found no room for.
func (s *shard[K, V]) evicted(all []*node[K, V], now int64, out []gone[K, V]) []gone[K, V] {
	for _, n := range all {
		out = s.tell(n, now, Capacity, out)
		s.displace(n)
	}
	return out
}

// drop removes an entry and records why.
func (s *shard[K, V]) drop(n *node[K, V], now int64, why Reason, out []gone[K, V]) []gone[K, V] {
	s.evict(n)
	s.displace(n)
	return s.tell(n, now, why, out)
}

// tell records why an entry left: it had expired, or why.
func (s *shard[K, V]) tell(n *node[K, V], now int64, why Reason, out []gone[K, V]) []gone[K, V] {
	if n.expired(now) {
		why = Expired
	}
	s.count[why]++
	return append(out, gone[K, V]{n.key, n.value, why})
}

// displace takes an entry out of those to draw from; the last one takes its
// place. The list gives memory back when three quarters of it are unused.
func (s *shard[K, V]) displace(n *node[K, V]) {
	last := len(s.entries) - 1
	s.entries[n.at] = s.entries[last]
	s.entries[n.at].at = n.at
	s.entries[last] = nil
	s.entries = s.entries[:last]
	if c := cap(s.entries); c > 1024 && len(s.entries) < c/4 {
		s.entries = append(make([]*node[K, V], 0, c/2), s.entries...)
	}
}
