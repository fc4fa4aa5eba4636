package cache

import (
	"context"
	"time"

	"eshop/pkg/catalog"
)

// refreshWorkers pull in the background at the same time; refreshQueue is how
// many documents wait for one.
const (
	refreshWorkers = 8
	refreshQueue   = 4096
	// announceQueue bounds the announcements that wait for the brokers.
	announceQueue = 4096
)

// refreshIfOld asks for a background pull of a document that has not been pulled
// for Refresh: it heals changes of which the shop sent no message. A document of
// unknown age counts as old. When the queue is full the next read asks again.
func (r *Role) refreshIfOld(e *entry) {
	if e.doc.State == catalog.Absent || e.doc.Provisional || time.Since(e.doc.Pulled) < r.cfg.Refresh || e.refreshing.Swap(true) {
		return
	}
	select {
	case r.refreshes <- e:
	default:
		e.refreshing.Store(false)
		r.metrics.dropped.WithLabelValues("refresh").Inc()
	}
}

// refreshLoop is one worker. It ends with ctx.
func (r *Role) refreshLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-r.refreshes:
			key := e.doc.Key
			fctx, cancel := context.WithTimeout(ctx, r.cfg.FillTimeout)
			_, err := r.pull(fctx, key, e.doc.Stamp.Max(r.floor.Of(key)), pullForRefresh)
			cancel()
			if err != nil {
				e.refreshing.Store(false) // the next read asks again
				r.metrics.refreshErrors.Inc()
			}
		}
	}
}

// announceLater publishes what a reader's pull replaced, without making the
// reader wait. Should the brokers stay away until the queue is full, the
// announcement is dropped and counted; the copies' soft TTL is the backstop.
func (r *Role) announceLater(inv catalog.Invalidation) {
	r.floor.Raise(inv.Key, inv.Stamp)
	select {
	case r.announcements <- inv:
	default:
		r.metrics.dropped.WithLabelValues("announcement").Inc()
	}
}

// announceLoop ends with ctx; what is queued then gets one more second.
func (r *Role) announceLoop(ctx context.Context) {
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, cancel) })
	defer stop()
	for {
		select {
		case inv := <-r.announcements:
			r.announce(last, inv)
			continue
		default:
		}
		select { // the queue is empty
		case <-ctx.Done():
			return
		case inv := <-r.announcements:
			r.announce(last, inv)
		}
	}
}

// announce publishes one message, however long it takes, until ctx ends.
func (r *Role) announce(ctx context.Context, inv catalog.Invalidation) {
	for r.publisher.Publish(ctx, inv) != nil {
		select { // the producer retries inside; this is for partitions not known yet
		case <-ctx.Done():
			r.metrics.dropped.WithLabelValues("announcement").Inc()
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
