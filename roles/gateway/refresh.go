package gateway

import (
	"context"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
)

// job is a piece of background work: one of the three.
type job struct {
	page    *pageKey          // load this page anew
	doc     *catalog.Key      // load this document anew
	mention *catalog.Key      // let the cache role see that this document is read
	after   func(loaded bool) // told when the job was done; nil: nobody asks
	_       [0]func()         // not comparable
}

// refresher does background work with few workers and a bounded queue. What
// does not fit is dropped and counted: the next request does it itself.
type refresher struct {
	role  *Role
	queue chan job
}

// offer never blocks.
func (q *refresher) offer(j job) bool {
	select {
	case q.queue <- j:
		return true
	default:
		q.role.metrics.refreshDropped.Inc()
		return false
	}
}

// run works until ctx ends and returns when all workers have.
func (q *refresher) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range q.role.cfg.RefreshWorkers {
		wg.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case j := <-q.queue:
					q.do(ctx, j)
				}
			}
		})
	}
	wg.Wait()
}

func (q *refresher) do(ctx context.Context, j job) {
	r := q.role
	ctx, cancel := context.WithTimeout(ctx, r.cfg.LoadTimeout)
	defer cancel()
	ok := false
	switch {
	case j.page != nil:
		if _, held := r.l1.pages.Get(*j.page); !held { // evicted or cooled while it waited
			ok = true
			break
		}
		a, err := r.load(ctx, *j.page)
		if ok = err == nil && !a.stale && !a.partial; !ok {
			r.log.Debug("a background refresh failed", "page", r.router.target(*j.page), "err", err)
		}
	case j.doc != nil:
		f := r.documents(ctx, []catalog.Key{*j.doc}, new(reach))[0]
		if ok = f.err == nil && !f.stale; !ok {
			r.log.Debug("a background refresh failed", "key", *j.doc, "err", f.err)
		}
	case j.mention != nil:
		err := r.degraded.forbids(j.mention.Kind)
		if err == nil {
			_, err = r.source.Get(ctx, docapi.Request{Key: *j.mention, Min: r.floor.Of(*j.mention)})
		}
		if ok = err == nil; !ok {
			r.log.Debug("the cache role could not be told of an old document", "key", *j.mention, "err", err)
		}
	}
	if ok {
		r.metrics.refreshed.Inc()
	} else {
		r.metrics.refreshFailed.Inc()
	}
	if j.after != nil {
		j.after(ok)
	}
}

// refreshPause is how long a page waits after one background refresh before the
// next one, if the first does not make it fresh.
const refreshPause = 5 * time.Second

// refreshSoon has a stale page loaded anew, once.
func (r *Role) refreshSoon(p *page, now int64) {
	if p.claim(now, refreshPause) {
		key := p.key
		if !r.refresh.offer(job{page: &key}) {
			p.next.Store(now + int64(100*time.Millisecond))
		}
	}
}

// mention lets the cache role know that an old document is read: gateways read
// Redis by themselves, and documents nobody reads are not worth a pull. If the
// shop forgot to announce a change, that heals it.
func (r *Role) mention(doc catalog.Document) {
	if doc.State == catalog.Live && !doc.Pulled.IsZero() && time.Since(doc.Pulled) > refreshAge(r.cfg.Refresh, doc.Key) {
		r.refresh.offer(job{mention: &doc.Key})
	}
}

// refreshAge spreads an age by up to a quarter either way, for each key always
// the same: documents that a prewarm pulled together do not grow old together.
func refreshAge(d time.Duration, k catalog.Key) time.Duration {
	return d*3/4 + time.Duration(hashKey(k)>>32%1000)*d/2000
}
