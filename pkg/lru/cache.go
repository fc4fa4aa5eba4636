package lru

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// Overhead is what an entry costs beside the bytes given to Put: its list
// element with a map slot, its slot in the index, its place among those to draw
// from, what is remembered of entries that left, and the bookkeeping, for keys and
// values of up to 24 bytes each. The miniatures of a cache cost up to 2 MiB more.
const Overhead = 320

// maxShards and minShardBytes give the number of shards when Config names none:
// what a small cache knows of its entries should not be split.
const (
	maxShards     = 64
	minShardBytes = 256 << 10
)

// Config of a Cache.
type Config[K comparable, V any] struct {
	// Bytes bounds the cost of all entries: what Put was given plus Overhead
	// each. A shard has an equal share of it.
	Bytes int64
	// Shards is a power of two up to 4096. By default there are as many of at
	// least 256 KiB as Bytes allow, and 64 at most: 16 of 4 MiB, 64 of 16 MiB.
	Shards int
	// Hash spreads the keys over the shards and tells those that left apart.
	// Required.
	Hash func(K) uint64
	// LeastRecent makes it a plain LRU, for a table in which what was used last
	// must stay: otherwise the hit ratio decides what leaves.
	LeastRecent bool
	// OnEvict is told of each entry that leaves, exactly once, on the goroutine
	// that made it leave and outside any lock: it may call the cache.
	OnEvict func(K, V, Reason)
}

// Cache is safe for concurrent use.
type Cache[K comparable, V any] struct {
	shards  []shard[K, V]
	shift   uint
	share   atomic.Int64 // of a shard, in bytes
	hash    func(K) uint64
	onEvict func(K, V, Reason)
	tuner   *tuner // nil for a plain LRU
	// start is the zero of the cache's clock, before anything that can happen to
	// it, so that 0 is no time of it. Only its monotonic part is used in Get,
	// which is cheaper than the wall clock and never goes back.
	start time.Time
}

// New returns an empty cache.
func New[K comparable, V any](cfg Config[K, V]) (*Cache[K, V], error) {
	if cfg.Shards == 0 {
		cfg.Shards = 1
		for cfg.Shards < maxShards && cfg.Bytes/int64(2*cfg.Shards) >= minShardBytes {
			cfg.Shards *= 2
		}
	}
	switch {
	case cfg.Hash == nil:
		return nil, errors.New("create an LRU cache: it needs a hash function")
	case cfg.Shards < 0 || cfg.Shards > 4096 || bits.OnesCount(uint(cfg.Shards)) != 1:
		return nil, fmt.Errorf("create an LRU cache: %d shards are not a power of two from 1 to 4096", cfg.Shards)
	case cfg.Bytes/int64(cfg.Shards) < Overhead:
		return nil, fmt.Errorf("create an LRU cache: %d bytes over %d shards leave no room for an entry, which costs %d bytes beside its own", cfg.Bytes, cfg.Shards, Overhead)
	}
	c := &Cache[K, V]{
		shards:  make([]shard[K, V], cfg.Shards),
		shift:   uint(64 - bits.TrailingZeros(uint(cfg.Shards))),
		hash:    cfg.Hash,
		onEvict: cfg.OnEvict,
		start:   time.Now().Add(-1),
	}
	c.share.Store(cfg.Bytes / int64(cfg.Shards))
	first := leastRecent()
	if !cfg.LeastRecent {
		var err error
		if c.tuner, err = newTuner(cfg.Bytes); err != nil {
			return nil, err
		}
		first = plans()[0]
	}
	for i := range c.shards {
		if err := c.shards[i].init(c.share.Load(), first, c.epoch(), c.hashOf); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// hashOf makes every bit depend on all of the configured hash, which may be good in
// some bits only, or be the id itself: the high ones choose the shard, the low ones
// the place in it.
func (c *Cache[K, V]) hashOf(k K) uint64 { return mix(c.hash(k)) }

func (c *Cache[K, V]) shard(hash uint64) *shard[K, V] { return &c.shards[hash>>c.shift] }

func (c *Cache[K, V]) epoch() *epoch {
	if c.tuner == nil {
		return new(epoch)
	}
	return &c.tuner.epoch
}

func (c *Cache[K, V]) now() int64 { return int64(time.Since(c.start)) }

// Get returns the value of k and counts as a use of it. An expired entry is a
// miss and leaves. A hit allocates nothing and, unless LeastRecent is set, takes no
// lock.
func (c *Cache[K, V]) Get(k K) (v V, ok bool) {
	hash := c.hashOf(k)
	s := c.shard(hash)
	n := s.find(hash, k)
	if n == nil {
		return v, false
	}
	if n.expires != 0 && n.expired(c.now()) {
		c.expire(s, hash, n)
		return v, false
	}
	c.use(s, hash, n)
	return n.value, true
}

// GetAt is Get for a caller that has read the clock already: reading it is the
// greater part of the cost of a hit.
func (c *Cache[K, V]) GetAt(k K, now time.Time) (v V, ok bool) {
	hash := c.hashOf(k)
	s := c.shard(hash)
	n := s.find(hash, k)
	if n == nil {
		return v, false
	}
	if n.expired(int64(now.Sub(c.start))) {
		c.expire(s, hash, n)
		return v, false
	}
	c.use(s, hash, n)
	return n.value, true
}

func (c *Cache[K, V]) use(s *shard[K, V], hash uint64, n *node[K, V]) {
	if c.tuner == nil {
		s.mu.Lock()
		if s.find(hash, n.key) == n { // it may have left since
			s.move(n, window)
		}
		s.mu.Unlock()
		return
	}
	n.use(c.tuner.epoch.now())
	if c.tuner.awake.Load() {
		c.tuner.use(hash, n.bytes)
	}
}

// expire drops an entry that was found to have expired, unless it has left since.
func (c *Cache[K, V]) expire(s *shard[K, V], hash uint64, n *node[K, V]) {
	var few [1]gone[K, V]
	out := few[:0]
	s.mu.Lock()
	if s.find(hash, n.key) == n {
		out = s.drop(n, math.MaxInt64, Expired, out)
	}
	s.mu.Unlock()
	c.tell(out)
}

// Put stores v under k at the cost of bytes (below 0 counts as 0) until
// expires; the zero time means never. It returns false and stores nothing when
// the entry is larger than a shard's share or has expired already. Either way
// whatever k held before is gone afterwards: a value that was meant to be
// replaced is never served again.
func (c *Cache[K, V]) Put(k K, v V, bytes int64, expires time.Time) bool {
	bytes = max(0, bytes)
	now := c.now()
	n := &node[K, V]{key: k, value: v, bytes: bytes + Overhead}
	fits := bytes <= c.share.Load()-Overhead
	if !expires.IsZero() {
		n.expires = max(1, int64(expires.Sub(c.start))) // not 0, which means never
		fits = fits && !n.expired(now)
	}
	var few [4]gone[K, V]
	out := few[:0]
	hash := c.hashOf(k)
	s := c.shard(hash)
	s.mu.Lock()
	if c.tuner != nil {
		s.plan = c.tuner.chosen()
	}
	old := s.find(hash, k)
	switch {
	case fits:
		out = s.put(hash, n, old, now, out)
	case old != nil:
		out = s.drop(old, now, Replaced, out)
	}
	s.mu.Unlock()
	if c.tuner != nil && fits && old == nil {
		if len(out) > 0 && !c.tuner.awake.Load() {
			c.tuner.awake.Store(true)
		}
		c.tuner.use(hash, n.bytes)
	}
	c.tell(out)
	return fits
}

// Remove drops k and reports whether it was there and had not expired.
func (c *Cache[K, V]) Remove(k K) bool {
	var few [1]gone[K, V]
	out := few[:0]
	hash := c.hashOf(k)
	s := c.shard(hash)
	s.mu.Lock()
	if n := s.find(hash, k); n != nil {
		out = s.drop(n, c.now(), Removed, out)
	}
	s.mu.Unlock()
	c.tell(out)
	return len(out) > 0 && out[0].reason == Removed
}

// Purge drops everything that was stored before the call.
func (c *Cache[K, V]) Purge() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		out := make([]gone[K, V], 0, len(s.entries))
		for list := range uint8(lists) {
			for n := s.oldest(list); n != nil; n = s.oldest(list) {
				out = s.drop(n, 0, Removed, out)
			}
		}
		s.mu.Unlock()
		c.tell(out)
	}
}

// Len returns the number of entries, expired ones that nobody met among them.
func (c *Cache[K, V]) Len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}

// Bytes returns the cost of all entries, never above Config.Bytes, or what Resize made of it.
func (c *Cache[K, V]) Bytes() int64 {
	var n int64
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += s.total()
		s.mu.Unlock()
	}
	return n
}

// Evictions returns how many entries left for a reason so far.
func (c *Cache[K, V]) Evictions(why Reason) uint64 {
	if why >= reasons {
		return 0
	}
	var n uint64
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += s.count[why]
		s.mu.Unlock()
	}
	return n
}

// Range calls fn for the live entries, in no order, until it returns false. It
// sees each shard as it was at one moment, holds no lock during fn and does not
// count as a use.
func (c *Cache[K, V]) Range(fn func(K, V) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		all := slices.Clone(s.entries)
		s.mu.Unlock()
		now := c.now()
		for _, n := range all {
			if !n.expired(now) && !fn(n.key, n.value) {
				return
			}
		}
	}
}

func (c *Cache[K, V]) tell(out []gone[K, V]) {
	if c.onEvict == nil {
		return
	}
	for _, g := range out {
		c.onEvict(g.key, g.value, g.reason)
	}
}
