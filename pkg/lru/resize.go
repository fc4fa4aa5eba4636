package lru

import "fmt"

// resizeStep bounds the bytes that leave a shard while its lock is held once.
const resizeStep = 1 << 20

// CheckResize returns why Resize could not bring the cache to so many bytes: the number of shards stays, and each must
// keep room for entries that are worth caching.
func (c *Cache[K, V]) CheckResize(bytes int64) error {
	if least := int64(len(c.shards)) * min(c.share.Load(), minShardBytes/4); bytes < least {
		return fmt.Errorf("a cache of %d shards cannot become smaller than %d bytes while it is in use", len(c.shards), least)
	}
	return nil
}

// Resize changes Config.Bytes. What there is no room for any more leaves, by the rules of any eviction, before
// Resize returns; hits go on meanwhile, and stores wait for a step of it at most. One Resize at a time.
// The error is CheckResize's, and then nothing has changed.
func (c *Cache[K, V]) Resize(bytes int64) error {
	if err := c.CheckResize(bytes); err != nil {
		return err
	}
	share := bytes / int64(len(c.shards))
	c.share.Store(share)
	if c.tuner != nil {
		c.tuner.resize(bytes)
	}
	for i := range c.shards {
		s := &c.shards[i]
		for done := false; !done; {
			s.mu.Lock()
			s.limit = max(share, s.total()-resizeStep)
			done = s.limit == share
			out := s.evicted(s.settle(nil, c.now(), nil), c.now(), nil)
			s.mu.Unlock()
			c.tell(out)
		}
	}
	return nil
}

// resize gives the miniatures their part of another budget. For a smaller one the sample grows, so that they stay
// as large as they can be and go on telling the plans apart.
func (t *tuner) resize(bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if bytes < t.limit {
		sample := (float64(t.sample.Load()) + 1) * float64(t.limit) / float64(bytes)
		t.sample.Store(uint32(min(sample, 1<<32) - 1))
	}
	t.limit = bytes
	for i := range t.miniatures {
		t.fit(&t.miniatures[i])
	}
}

// fit gives a miniature its part of the budget. It wants mu held.
func (t *tuner) fit(m *segments[uint64, struct{}]) {
	m.limit = int64(float64(t.limit) * (float64(t.sample.Load()) + 1) / (1 << 32))
	t.out = m.settle(nil, 0, t.out[:0])
}
