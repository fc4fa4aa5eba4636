package cache_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/roles/cache"
)

// quickly audits all the time and leaves repairs to the auditor.
func quickly(share int) func(*cache.Config) {
	return func(c *cache.Config) { c.Audit, c.AuditOrigin, c.ReconcileEvery = 40, share, time.Hour }
}

// A copy in the heap that the bus forgot is found, measured and ended; an old
// copy that comes back in Redis without a failover is a violation, and repaired.
func TestAuditor(t *testing.T) {
	onBoth(t, 1, quickly(math.MaxInt32), func(t *testing.T, w *world) {
		first := w.load(0, product(61)).Document
		newer := first
		newer.Stamp.Version++
		newer.Stamp.Token++
		newer.Body, newer.Pulled = []byte(`{"id":61,"price":6161}`), time.Now()
		w.putRedis(newer) // and nobody announces it
		w.until("the later document is served", func() (bool, string) {
			got := w.load(0, product(61)).Document
			return strings.Contains(string(got.Body), "6161"), got.Stamp.String()
		})
		if n := w.metric(0, "eshop_staleness_seconds", "layer=document", "against=redis"); n != 1 {
			t.Errorf("%v stale copies were measured, want 1", n)
		}
		if n := w.metric(0, "eshop_consistency_violations_total"); n != 0 {
			t.Errorf("%v violations by a lost invalidation, want 0", n)
		}
		seen := w.metric(0, "eshop_audited_total", "outcome=same")
		w.until("it is seen on its master", func() (bool, string) { return w.metric(0, "eshop_audited_total", "outcome=same") > seen+100, "" })
		w.lose(first)
		w.until("the violation is found", func() (bool, string) {
			return w.metric(0, "eshop_consistency_violations_total", "invariant=1") == 1, ""
		})
	})
}

// A document that Redis lost, as the heap knows, is repaired and counted.
func TestAuditorRepairs(t *testing.T) {
	onBoth(t, 1, quickly(math.MaxInt32), func(t *testing.T, w *world) {
		old, now := w.change(0, product(63), "6363")
		w.lose(old)
		w.reaches(10*time.Second, product(63), now.Stamp)
		w.until("the repair is counted", func() (bool, string) { return w.metric(0, "eshop_redis_repairs_total", "cause=audit") == 1, "" })
	})
}

// A change that the shop never told of is found by asking the origin.
func TestAuditorAsksTheOrigin(t *testing.T) {
	onBoth(t, 1, quickly(2), func(t *testing.T, w *world) {
		w.putRedis(catalog.Document{Key: product(62), State: catalog.Live, Stamp: catalog.Stamp{Version: 1, Token: 1}, Body: []byte(`{"id":62}`), Pulled: time.Now()})
		w.until("what the shop shows is served", func() (bool, string) {
			got := w.load(0, product(62)).Document
			return got.Stamp.Version > 1, got.Stamp.String()
		})
		if n := w.metric(0, "eshop_staleness_seconds", "layer=document", "against=origin"); n != 1 {
			t.Errorf("%v stale copies were measured, want 1", n)
		}
	})
}
