package cache

import (
	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/lru"
)

type metrics struct {
	changes       *prometheus.CounterVec
	changeLag     prometheus.Histogram
	repairs       prometheus.Counter
	stale         prometheus.Counter
	unverified    prometheus.Counter
	refreshErrors prometheus.Counter
	dropped       *prometheus.CounterVec
	leader        prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, r *Role) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_" + name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eshop_" + name, Help: help}, labels)
	}
	m := &metrics{
		changes: vec("changes_total", "Attempts at change messages by outcome: applied, deleted, refused (Redis held a later copy), waiting (the origin lags behind the message), retry, rejected.", "outcome"),
		changeLag: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eshop_change_lag_seconds",
			Help: "Time from producing a change message to its effect in Redis and on the bus.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}),
		repairs:       counter("redis_repairs_total", "Documents pulled because Redis held less than the bus had announced."),
		stale:         counter("cache_stale_total", "Answers from the heap tier that nothing could vouch for."),
		unverified:    counter("cache_bus_gaps_total", "Losses on the invalidation topic after which every copy is checked."),
		refreshErrors: counter("cache_refresh_errors_total", "Background refreshes that failed; the next read asks again."),
		dropped:       vec("cache_dropped_total", "Background work dropped because its queue was full.", "queue"),
		leader:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "eshop_bus_leader", Help: "1 while this process sends the bus's heartbeats."}),
	}
	all := []prometheus.Collector{m.changes, m.changeLag, m.repairs, m.stale, m.unverified, m.refreshErrors, m.dropped, m.leader}
	gauge := func(name, help, tier string, f func() float64) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eshop_" + name, Help: help,
			ConstLabels: prometheus.Labels{"tier": tier}}, f))
	}
	gauge("l1_bytes", "Bytes held.", "document", func() float64 { return float64(r.heap.docs.Bytes()) })
	gauge("l1_entries", "Entries held.", "document", func() float64 { return float64(r.heap.docs.Len()) })
	gauge("l1_bytes", "Bytes held.", "absent", func() float64 { return float64(r.heap.absent.Bytes()) })
	gauge("l1_entries", "Entries held.", "absent", func() float64 { return float64(r.heap.absent.Len()) })
	for _, why := range []lru.Reason{lru.Capacity, lru.Expired, lru.Replaced, lru.Removed} {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "eshop_l1_evictions_total", Help: "Entries that left, by reason.",
			ConstLabels: prometheus.Labels{"tier": "document", "reason": why.String()}}, func() float64 { return float64(r.heap.docs.Evictions(why)) }))
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
