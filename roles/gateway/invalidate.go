package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
)

// bus is how the invalidation topic reaches L1. It implements
// invalidation.Handler, off the Role's own method set.
type bus struct{ r *Role }

// Changed makes the copy of a changed document, and with it every page built
// from it, unusable at once: one store, however many pages there are. The floor
// was raised before, see Role.keep.
//
// A document that was in use is loaded again right away, so that the next
// request for its page does not pay for it; a burst of changes overflows the
// bounded queue, and then it does. Hot products that show it are loaded again by
// a queue of their own, also when no copy is outdated by it: the document may have
// been deleted before, or its new copy may be here already and not be shown yet.
func (b bus) Changed(inv catalog.Invalidation) {
	r := b.r
	held := r.l1.index.change(inv)
	if held {
		r.metrics.invalidated.Inc()
	}
	if r.hot.keep.changed(inv.Key) || !held {
		return
	}
	key := inv.Key
	r.refresh.offer(job{doc: &key})
}

// Unverified follows a loss of messages: nothing held may be trusted before
// Redis has been asked.
func (b bus) Unverified(reason string) {
	b.r.gapAt.Store(time.Now().UnixNano())
	b.r.generation.Add(1)
	b.r.log.Warn("every copy is to be verified before use", "reason", reason)
}

// trust is what is known of the bus now.
func (r *Role) trust() coherence.Bus {
	return coherence.Bus{Generation: r.generation.Load(), Until: r.trusted.Load(), Max: r.live.maxStaleness()}
}

// distrusts reports whether what a replica says may be older than a change the
// bus failed to tell.
func (r *Role) distrusts(now time.Time) bool {
	return r.trust().Distrusts(now.UnixNano(), r.gapAt.Load())
}

// bucket limits revalidations: after a loss on the bus all pages want one.
type bucket struct {
	rate float64 // a second, and the most that can be saved up
	mu   sync.Mutex
	full float64
	last time.Time
	// rest is until when none is allowed (unix nanoseconds): the last one
	// failed, and requests must not queue up behind a dead Redis.
	rest atomic.Int64
}

func newBucket(rate int) *bucket { return &bucket{rate: float64(rate), full: float64(rate)} }

func (b *bucket) take(now time.Time) bool {
	if now.UnixNano() < b.rest.Load() {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.last.IsZero() {
		b.full = min(b.rate, b.full+b.rate*now.Sub(b.last).Seconds())
	}
	b.last = now
	if b.full < 1 {
		return false
	}
	b.full--
	return true
}

func (b *bucket) pause(now time.Time, d time.Duration) { b.rest.Store(now.Add(d).UnixNano()) }
