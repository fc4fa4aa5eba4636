package fault_test

import (
	"context"
	"fmt"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// watchRedis reads the stamps of all lasting keys from their masters over and over, until ctx ends, and returns what went
// back: invariant 1 as seen from outside.
func (tr *traffic) watchRedis(ctx context.Context) (back []string) {
	var keys []catalog.Key
	for _, c := range []class{popular, hot, forced, recast} {
		for _, id := range tr.lasting(c) {
			keys = append(keys, catalog.Key{Kind: "product", ID: id})
		}
	}
	highest := make([]catalog.Stamp, len(keys))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return back
		case <-tick.C:
		}
		for i, r := range tr.w.store.GetMany(ctx, keys, rediscluster.FromMaster) {
			if r.Err != nil { // no answer is not a wrong one
				continue
			}
			if r.Document.Stamp.Less(highest[i]) && len(back) < mostViolations {
				back = append(back, fmt.Sprintf("the stamp of %v in Redis went from %v back to %v at %v", keys[i], highest[i], r.Document.Stamp, round(tr.h.now())))
			}
			highest[i] = r.Document.Stamp
		}
	}
}
