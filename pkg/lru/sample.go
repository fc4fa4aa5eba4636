package lru

import "math/rand/v2"

// sampleTries bounds the draws that meet an expired entry, for each one wanted.
const sampleTries = 4

// Sample calls fn for n entries drawn at random, each live one as likely as any
// other at every draw, so the same one may come twice. It returns fewer when it
// meets too many expired ones, and none when the cache is empty. A draw takes
// constant time and one shard's lock, holds none during fn and does not count as
// a use.
func (c *Cache[K, V]) Sample(n int, fn func(K, V)) {
	// The shards' sizes may change between the draws; a draw that finds fewer
	// entries than it was planned for is made anew.
	sizes, total := make([]int, len(c.shards)), 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		sizes[i] = len(s.entries)
		s.mu.Unlock()
		total += sizes[i]
	}
	if total == 0 {
		return
	}
	for tries := n * sampleTries; n > 0 && tries > 0; tries-- {
		at, i := rand.IntN(total), 0
		for at >= sizes[i] {
			at -= sizes[i]
			i++
		}
		if k, v, ok := c.at(i, at); ok {
			fn(k, v)
			n--
		}
	}
}

// at returns an entry by its place in a shard's list.
func (c *Cache[K, V]) at(shard, at int) (k K, v V, ok bool) {
	s := &c.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if at >= len(s.entries) {
		return k, v, false
	}
	n := s.entries[at]
	return n.key, n.value, !n.expired(c.now())
}
