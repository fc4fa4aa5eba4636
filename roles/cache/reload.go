package cache

import (
	"cmp"
	"time"

	"golang.org/x/time/rate"

	"eshop/pkg/catalog"
	"eshop/pkg/origin"
	"eshop/pkg/reload"
)

// Validate returns all that New would find wrong with the settings by themselves.
func (c Config) Validate() error { return c.complete() }

// refreshAfter is Config.Refresh as it is now.
func (r *Role) refreshAfter() time.Duration { return time.Duration(r.renewal.Load()) }

// Reload prepares for another configuration. What it takes over of that:
//
//	L1Bytes              at once; what there is no room for leaves
//	Refresh, Redis.TTL   for copies kept, and written, from now on
//	Audit, ClusterToken  at once
//	UnknownRate, Origin.Timeout, Origin.Concurrency   for pulls to come
//
// Everything else stays as it is; the TTLs of kinds are the gateways'.
func (r *Role) Reload(next Config, _ *catalog.Catalog) (reload.Prepared, error) {
	if err := next.complete(); err != nil {
		return reload.Prepared{}, err
	}
	held := map[string]string{}
	resize := true
	if err := r.heap.docs.CheckResize(next.L1Bytes); err != nil {
		held["cache.l1-bytes"], resize = "it is much smaller than at the start", false
	}
	return reload.Prepared{Held: held, Apply: func() {
		r.renewal.Store(int64(next.Refresh))
		r.callers.Set(next.ClusterToken)
		r.auditor.SetRate(next.Audit)
		if next.Redis.TTL > 0 {
			r.store.SetTTL(next.Redis.TTL)
		}
		now := time.Now()
		r.overload.unknown.SetLimitAt(now, rate.Limit(next.UnknownRate))
		r.overload.unknown.SetBurstAt(now, savedUp(next.UnknownRate))
		r.origin.SetLimits(cmp.Or(next.Origin.Timeout, origin.DefaultTimeout), cmp.Or(next.Origin.Concurrency, origin.DefaultConcurrency))
		r.overload.pulls.SetSlots(pullsAtOnce(next.Origin.Concurrency))
		if resize {
			if err := r.heap.docs.Resize(next.L1Bytes); err != nil { // it was checked, and only Reload changes it
				r.log.Error("the heap tier could not be resized", "err", err)
			}
		}
	}}, nil
}
