package cache

import (
	"context"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/tracing"
)

// refreshWorkers pull in the background at the same time; refreshQueue is how
// many documents wait for one.
const (
	refreshWorkers = 8
	refreshQueue   = 4096
	// announceQueue bounds the announcements that wait for the brokers, and
	// announceWorkers those that are on their way: each waits for all replicas,
	// and a prewarm may have replaced thousands of documents.
	announceQueue   = 4096
	announceWorkers = 16
)

// refreshIfOld asks for a background pull of a document that has not been pulled
// for Refresh: it heals changes of which the shop sent no message. A document of
// unknown age counts as old. When the queue is full the next read asks again.
func (r *Role) refreshIfOld(e *entry) {
	if e.doc.State == catalog.Absent || e.doc.Provisional || time.Now().UnixNano() < e.refreshAt.Load() ||
		r.held(e.doc.Key.Kind) != nil || e.refreshing.Swap(true) {
		return
	}
	select {
	case r.refreshes <- e:
	default:
		e.refreshing.Store(false)
		r.metrics.dropped.WithLabelValues("refresh").Inc()
	}
}

// refreshPause is how long a failed refresh of a document is not tried again.
const refreshPause = 5 * time.Second

// refreshLoop runs the workers until ctx ends.
func (r *Role) refreshLoop(ctx context.Context) error {
	var wg sync.WaitGroup
	for range refreshWorkers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case e := <-r.refreshes:
					r.refresh(ctx, e)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func (r *Role) refresh(ctx context.Context, e *entry) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.FillTimeout)
	defer cancel()
	key, wait := e.doc.Key, r.refreshAfter()
	reply, err := r.pull(ctx, key, e.doc.Stamp.Max(r.floor.Of(key)), pullForRefresh)
	if err != nil || reply.Stale {
		r.metrics.refreshErrors.Inc()
		wait = refreshPause
	}
	// The pull may have ended with the copy as old as before: refused, because
	// the origin went back without saying so, or not possible now.
	next := time.Now().Add(jitter(wait)).UnixNano()
	e.refreshAt.Store(next)
	e.refreshing.Store(false)
	if now, ok := r.heap.docs.Get(key); ok && now.refreshAt.Load() < time.Now().UnixNano() {
		now.refreshAt.Store(next)
	}
}

// announcement is an invalidation that waits for the brokers, and what caused it.
type announcement struct {
	catalog.Invalidation
	cause context.Context // for its values: it may have ended
}

// announceLater publishes what a reader's pull replaced, without making the
// reader wait. Should the brokers stay away until the queue is full, the
// announcement is dropped and counted; the copies' soft TTL is the backstop.
func (r *Role) announceLater(ctx context.Context, inv catalog.Invalidation) {
	r.floor.Raise(inv.Key, inv.Stamp)
	select {
	case r.announcements <- announcement{inv, tracing.Carry(context.Background(), ctx)}:
	default:
		r.metrics.dropped.WithLabelValues("announcement").Inc()
	}
}

// announceLimit is how long one announcement may take before others have their
// turn: a partition without a leader must not hold up the rest.
const announceLimit = 2 * time.Second

// announceLoop works until ctx ends and then for at most announceLimit more. Two
// announcements of one document may change places: whoever hears of them goes by
// their stamps.
func (r *Role) announceLoop(ctx context.Context) error {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(announceLimit, cancel) })
	defer stop()
	var wg sync.WaitGroup
	for range announceWorkers {
		wg.Go(func() { r.announceQueued(ctx, last) })
	}
	wg.Wait()
	return nil
}

func (r *Role) announceQueued(ctx, last context.Context) {
	for {
		select {
		case a := <-r.announcements:
			r.announce(last, a)
			continue
		default:
		}
		select { // the queue is empty
		case <-ctx.Done():
			return
		case a := <-r.announcements:
			r.announce(last, a)
		}
	}
}

// announce publishes one message; one that does not get through goes to the end
// of the queue.
func (r *Role) announce(ctx context.Context, a announcement) {
	try, cancel := context.WithTimeout(ctx, announceLimit)
	defer cancel()
	if r.publisher.Publish(tracing.Carry(try, a.cause), a.Invalidation) == nil {
		return
	}
	select { // partitions that are not known yet fail at once
	case <-try.Done():
	case <-time.After(100 * time.Millisecond):
	}
	if ctx.Err() == nil {
		select {
		case r.announcements <- a:
			return
		default:
		}
	}
	r.metrics.dropped.WithLabelValues("announcement").Inc()
}
