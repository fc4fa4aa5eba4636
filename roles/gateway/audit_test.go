package gateway

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/docapi"
	"eshop/pkg/invalidation"
	"eshop/pkg/lab"
	"eshop/pkg/lifecycle"
)

// audited starts a gateway whose auditor is quick, and waits until the bus
// vouches for its copies. value adds up what its registry has under a name, for
// the labels given as "name=value".
func (w *world) audited(share int) (g *Role, value func(name string, labels ...string) float64) {
	w.t.Helper()
	cfg, registry, ready := w.config("gw-audit"), prometheus.NewRegistry(), new(lifecycle.Ready)
	cfg.Audit, cfg.AuditOrigin = 40, share
	g, err := New(cfg, Deps{Catalog: w.cat, Ready: ready, Registry: registry})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		w.t.Fatal(err)
	}
	w.running("gw-audit", g.Run)
	w.until("the bus vouches", func() (bool, string) {
		return ready.OK() && !g.trust().Behind(time.Now().UnixNano()), fmt.Sprint(ready.Reasons())
	})
	return g, func(name string, labels ...string) (sum float64) {
		families, err := registry.Gather()
		if err != nil {
			w.t.Error(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				has := 0
				for _, l := range m.GetLabel() {
					if slices.Contains(labels, l.GetName()+"="+l.GetValue()) {
						has++
					}
				}
				if f.GetName() == name && has == len(labels) {
					sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
		return sum
	}
}

// shows waits until the page of product 7 has a price.
func (w *world) shows(g *Role, price string) {
	w.t.Helper()
	w.until("the page shows "+price, func() (bool, string) {
		p := fetch(w.t, g, "/product?productId=7&shopId=3")
		return strings.Contains(p.body, `"productPrice">`+price+"<"), p.status
	})
}

// A change of which no invalidation comes is found, measured and ended; a copy
// that Redis has gone back behind, around the compare-and-set, is a violation and
// is repaired; so is a copy below the floor.
func TestAuditor(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		first := product(1, 10, "5599.0")
		w.put(first, shop(11, "Shop three"))
		g, value := w.audited(math.MaxInt32)
		w.shows(g, "5599.0")
		w.until("copies are audited", func() (bool, string) {
			return value("eshop_audited_total", "layer=page", "outcome=same") > 0 && value("eshop_audited_total", "layer=document", "outcome=same") > 0, ""
		})

		second := product(2, 20, "4999")
		w.put(second) // and nobody announces it
		w.shows(g, "4999")
		if n := value("eshop_staleness_seconds", "against=redis"); n != 1 {
			t.Errorf("%v stale copies were measured, want 1", n)
		}
		if n := value("eshop_consistency_violations_total"); n != 0 {
			t.Errorf("%v violations by a lost invalidation, want 0", n)
		}

		// Somebody writes an old copy into Redis by hand.
		w.until("the second is seen on its master", func() (bool, string) {
			return value("eshop_audited_total", "outcome=same") > 100, ""
		})
		w.cache.set(product(2, 30, "4999"))
		lab.RedisCommand(t, w.redis.Addrs, "DEL", w.name+":product_info_"+strconv.Itoa(7))
		w.put(first)
		w.until("the violation of invariant 1 is found", func() (bool, string) { return value("eshop_consistency_violations_total", "invariant=1") > 0, "" })
		w.until("the cache role is asked for a pull that is not below what Redis had", func() (bool, string) {
			w.cache.mu.Lock()
			defer w.cache.mu.Unlock()
			return slices.Contains(w.cache.asked, docapi.Request{Key: keyP7, Min: second.Stamp, Revalidate: true}), fmt.Sprint(w.cache.asked)
		})
		if n := g.metrics.repairs.Count(invalidation.ByAudit); n != 0 {
			t.Errorf("%d repairs are counted here, want 0: the cache role counts it", n)
		}

		// The floor is raised, and nobody ends the copy.
		newer := shop(40, "Shop three, again")
		w.cache.set(newer)
		g.floor.Raise(keyS3, newer.Stamp)
		w.until("the violation of invariant 3 is found", func() (bool, string) { return value("eshop_consistency_violations_total", "invariant=3") > 0, "" })
		w.until("the page shows the newer shop", func() (bool, string) {
			p := fetch(t, g, "/product?productId=7&shopId=3")
			return strings.Contains(p.body, "Shop three, again"), p.status
		})
	})
}

// A change that the shop never told of is found by asking the origin, by way of
// the cache role.
func TestAuditorAsksTheOrigin(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.put(product(1, 10, "5599.0"), shop(11, "Shop three"))
		w.cache.set(shop(11, "Shop three"))
		g, value := w.audited(2)
		w.shows(g, "5599.0")
		w.cache.set(product(2, 20, "4999"))
		w.shows(g, "4999")
		if n := value("eshop_staleness_seconds", "against=origin"); n < 1 {
			t.Errorf("%v stale copies were measured, want 1 or more", n)
		}
		if n := value("eshop_consistency_violations_total"); n != 0 {
			t.Errorf("%v violations by a change without a message, want 0", n)
		}
	})
}
