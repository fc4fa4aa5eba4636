package lru

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// entry is what simplelru holds for a key.
type entry[K comparable, V any] struct {
	value V
	bytes int64 // with Overhead
	// expires is in nanoseconds of the cache's own clock, 0 for never.
	expires int64
	place   *place[K]
}

// place is where a shard's list of keys has the key of an entry.
type place[K comparable] struct {
	key K
	at  int
}

func (e *entry[K, V]) expired(now int64) bool { return e.expires != 0 && e.expires <= now }

// gone is an entry that left, to be told to OnEvict once the lock is released.
type gone[K comparable, V any] struct {
	key    K
	value  V
	reason Reason
}

// shard is one LRU under one mutex. Every method wants mu held.
type shard[K comparable, V any] struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[K, entry[K, V]]
	keys  []*place[K] // of every entry, in no order, so that any of them can be drawn
	bytes int64
	count [reasons]uint64
	_     [64]byte // keeps neighbours' mutexes off this cache line
}

// drop removes k, which holds e, and records why.
func (s *shard[K, V]) drop(k K, e entry[K, V], why Reason, out []gone[K, V]) []gone[K, V] {
	s.lru.Remove(k)
	return s.left(k, e, why, out)
}

// left accounts for an entry that is no longer in the list.
func (s *shard[K, V]) left(k K, e entry[K, V], why Reason, out []gone[K, V]) []gone[K, V] {
	s.bytes -= e.bytes
	s.count[why]++
	s.displace(e.place)
	return append(out, gone[K, V]{k, e.value, why})
}

// shrink evicts the oldest entries until the shard is within limit.
func (s *shard[K, V]) shrink(limit, now int64, out []gone[K, V]) []gone[K, V] {
	for s.bytes > limit {
		k, e, ok := s.lru.RemoveOldest()
		if !ok {
			break
		}
		why := Capacity
		if e.expired(now) {
			why = Expired
		}
		out = s.left(k, e, why, out)
	}
	return out
}

// newPlace puts a new key into the list.
func (s *shard[K, V]) newPlace(k K) *place[K] {
	p := &place[K]{key: k, at: len(s.keys)}
	s.keys = append(s.keys, p)
	return p
}

// displace takes a key out of the list; the last one takes its place. The list
// gives memory back when three quarters of it are unused.
func (s *shard[K, V]) displace(p *place[K]) {
	last := len(s.keys) - 1
	s.keys[p.at] = s.keys[last]
	s.keys[p.at].at = p.at
	s.keys[last] = nil
	s.keys = s.keys[:last]
	if c := cap(s.keys); c > 1024 && len(s.keys) < c/4 {
		s.keys = append(make([]*place[K], 0, c/2), s.keys...)
	}
}
