package lru

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Overhead is what an entry costs beside the bytes given to Put: its list
// element, its map slot, its place among those to draw from and the bookkeeping,
// for keys and values of up to 24 bytes each.
const Overhead = 240

// DefaultShards is the number of shards when Config names none.
const DefaultShards = 16

// Config of a Cache.
type Config[K comparable, V any] struct {
	// Bytes bounds the cost of all entries: what Put was given plus Overhead
	// each. A shard has an equal share of it.
	Bytes int64
	// Shards is a power of two up to 4096 (default 16).
	Shards int
	// Hash spreads the keys over the shards. Required.
	Hash func(K) uint64
	// OnEvict is told of each entry that leaves, exactly once, on the goroutine
	// that made it leave and outside any lock: it may call the cache.
	OnEvict func(K, V, Reason)
}

// Cache is safe for concurrent use.
type Cache[K comparable, V any] struct {
	shards  []shard[K, V]
	shift   uint
	share   int64
	hash    func(K) uint64
	onEvict func(K, V, Reason)
	// start is the zero of the cache's clock, before anything that can happen to
	// it, so that 0 is no time of it. Only its monotonic part is used in Get,
	// which is cheaper than the wall clock and never goes back.
	start time.Time
}

// New returns an empty cache.
func New[K comparable, V any](cfg Config[K, V]) (*Cache[K, V], error) {
	if cfg.Shards == 0 {
		cfg.Shards = DefaultShards
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
		share:   cfg.Bytes / int64(cfg.Shards),
		hash:    cfg.Hash,
		onEvict: cfg.OnEvict,
		start:   time.Now().Add(-1),
	}
	for i := range c.shards {
		// The list's own bound is never reached: bytes decide, in shrink.
		l, err := simplelru.NewLRU[K, entry[K, V]](math.MaxInt, nil)
		if err != nil {
			return nil, fmt.Errorf("create an LRU cache: %w", err)
		}
		c.shards[i].lru = l
	}
	return c, nil
}

// shard picks by the high bits of a product, so that a hash that is good in its
// low bits only (or is the id itself) still spreads.
func (c *Cache[K, V]) shard(k K) *shard[K, V] {
	return &c.shards[c.hash(k)*0x9e3779b97f4a7c15>>c.shift&uint64(len(c.shards)-1)]
}

func (c *Cache[K, V]) now() int64 { return int64(time.Since(c.start)) }

// Get returns the value of k and makes it the most recently used. An expired
// entry is a miss and leaves. A hit allocates nothing.
func (c *Cache[K, V]) Get(k K) (V, bool) {
	s := c.shard(k)
	s.mu.Lock()
	e, ok := s.lru.Get(k)
	if !ok || e.expires != 0 && e.expired(c.now()) {
		return c.miss(s, k, e, ok)
	}
	s.mu.Unlock()
	return e.value, true
}

// GetAt is Get for a caller that has read the clock already: reading it is a
// third of the cost of a hit.
func (c *Cache[K, V]) GetAt(k K, now time.Time) (V, bool) {
	at := int64(now.Sub(c.start))
	s := c.shard(k)
	s.mu.Lock()
	e, ok := s.lru.Get(k)
	if !ok || e.expired(at) {
		return c.miss(s, k, e, ok)
	}
	s.mu.Unlock()
	return e.value, true
}

// miss ends a Get that found nothing or an expired entry; it releases the lock.
func (c *Cache[K, V]) miss(s *shard[K, V], k K, e entry[K, V], found bool) (zero V, _ bool) {
	var out []gone[K, V]
	if found {
		out = s.drop(k, e, Expired, nil)
	}
	s.mu.Unlock()
	c.tell(out)
	return zero, false
}

// Put stores v under k at the cost of bytes (below 0 counts as 0) until
// expires; the zero time means never. It returns false and stores nothing when
// the entry is larger than a shard's share or has expired already. Either way
// whatever k held before is gone afterwards: a value that was meant to be
// replaced is never served again.
func (c *Cache[K, V]) Put(k K, v V, bytes int64, expires time.Time) bool {
	bytes = max(0, bytes)
	now := c.now()
	e := entry[K, V]{value: v, bytes: bytes + Overhead}
	fits := bytes <= c.share-Overhead
	if !expires.IsZero() {
		e.expires = max(1, int64(expires.Sub(c.start))) // not 0, which means never
		fits = fits && !e.expired(now)
	}
	var few [4]gone[K, V]
	out := few[:0]
	s := c.shard(k)
	s.mu.Lock()
	if old, ok := s.lru.Peek(k); ok {
		// golang-lru's own callback would not be told of an overwrite (#189).
		why := Replaced
		if old.expired(now) {
			why = Expired
		}
		if fits {
			out = s.left(k, old, why, out) // Add below takes its place
		} else {
			out = s.drop(k, old, why, out)
		}
	}
	if fits {
		e.place = s.newPlace(k)
		s.lru.Add(k, e)
		s.bytes += e.bytes
		out = s.shrink(c.share, now, out)
	}
	s.mu.Unlock()
	c.tell(out)
	return fits
}

// Remove drops k and reports whether it was there and had not expired.
func (c *Cache[K, V]) Remove(k K) bool {
	var few [1]gone[K, V]
	out := few[:0]
	s := c.shard(k)
	s.mu.Lock()
	e, ok := s.lru.Peek(k)
	live := ok
	if ok {
		why := Removed
		if e.expired(c.now()) {
			why, live = Expired, false
		}
		out = s.drop(k, e, why, out)
	}
	s.mu.Unlock()
	c.tell(out)
	return live
}

// Purge drops everything that was stored before the call.
func (c *Cache[K, V]) Purge() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		out := make([]gone[K, V], 0, s.lru.Len())
		for k, e, ok := s.lru.RemoveOldest(); ok; k, e, ok = s.lru.RemoveOldest() {
			out = s.left(k, e, Removed, out)
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
		n += s.lru.Len()
		s.mu.Unlock()
	}
	return n
}

// Bytes returns the cost of all entries, never above Config.Bytes.
func (c *Cache[K, V]) Bytes() int64 {
	var n int64
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += s.bytes
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
// sees each shard as it was at one moment, holds no lock during fn and uses no
// entry: what was least recently used stays so.
func (c *Cache[K, V]) Range(fn func(K, V) bool) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		keys, entries := s.lru.Keys(), s.lru.Values()
		s.mu.Unlock()
		now := c.now()
		for j := range keys {
			if !entries[j].expired(now) && !fn(keys[j], entries[j].value) {
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
