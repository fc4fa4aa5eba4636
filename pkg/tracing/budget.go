package tracing

import (
	"sync/atomic"
	"time"
)

// budget counts what is taken within a second of the clock, without a lock. Those
// who meet a new second at the same moment may let a few more through than limit.
type budget struct {
	limit  int64
	second atomic.Int64
	used   atomic.Int64
}

func (b *budget) take(now time.Time) bool {
	s := now.Unix()
	if old := b.second.Load(); old != s && b.second.CompareAndSwap(old, s) {
		b.used.Store(0)
	}
	return b.used.Add(1) <= b.limit
}

// has reports whether take would be true, and takes nothing.
func (b *budget) has(now time.Time) bool {
	return b.second.Load() != now.Unix() || b.used.Load() < b.limit
}
