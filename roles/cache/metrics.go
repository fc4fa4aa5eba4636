package cache

import (
	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/invalidation"
	"eshop/pkg/lru"
)

type metrics struct {
	changes       *prometheus.CounterVec
	changeLag     prometheus.Histogram
	repairs       *invalidation.Repairs
	reconciled    *prometheus.CounterVec
	stale         prometheus.Counter
	unverified    prometheus.Counter
	refreshErrors prometheus.Counter
	overloaded    prometheus.Counter
	dropped       *prometheus.CounterVec
	leader        prometheus.Gauge

	prewarmed      *prometheus.CounterVec
	prewarming     prometheus.Gauge
	prewarmSeconds prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, r *Role) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_" + name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eshop_" + name, Help: help}, labels)
	}
	m := &metrics{
		changes: vec("changes_total", "Attempts at change messages by outcome: applied, deleted, refused (Redis held a later copy), waiting (the origin lags behind the message), held (by a degrade switch), retry, rejected; canary (of eshop doctor, answered).", "outcome"),
		changeLag: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eshop_change_lag_seconds",
			Help: "Time from producing a change message to its effect in Redis and on the bus.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}),
		repairs:       invalidation.NewRepairs(r.log),
		reconciled:    vec("cache_reconciled_total", "Recently changed documents compared with Redis: verified, missing, repaired, open (to be tried again).", "outcome"),
		stale:         counter("cache_stale_total", "Answers from the heap tier that nothing could vouch for."),
		unverified:    counter("cache_bus_gaps_total", "Losses on the invalidation topic after which every copy is checked."),
		refreshErrors: counter("cache_refresh_errors_total", "Background refreshes that failed; the next read asks again."),
		overloaded:    counter("cache_overloaded_total", "Reads refused because too many loads were under way."),
		dropped:       vec("cache_dropped_total", "Background work dropped because its queue was full.", "queue"),
		leader:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "eshop_bus_leader", Help: "1 while this process sends the bus's heartbeats."}),

		prewarmed:  vec("prewarm_documents_total", "Documents that prewarms of this process looked at, by what became of them: pulled, present (and young enough), absent, failed.", "outcome"),
		prewarming: prometheus.NewGauge(prometheus.GaugeOpts{Name: "eshop_prewarm_running", Help: "1 while this process fills Redis from the ranking."}),
		prewarmSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eshop_prewarm_seconds",
			Help: "Time from the begin of a prewarm to its end, by the process that ended it.", Buckets: prometheus.ExponentialBuckets(0.125, 2, 14)}),
	}
	all := []prometheus.Collector{m.changes, m.changeLag, m.repairs.Collector(), m.reconciled, m.stale, m.unverified, m.refreshErrors, m.overloaded, m.dropped, m.leader,
		m.prewarmed, m.prewarming, m.prewarmSeconds}
	for name, fill := range map[string]func() int{
		"refresh":      func() int { return len(r.refreshes) },
		"announcement": func() int { return len(r.announcements) },
		"fill":         func() int { return r.fills.Waiting() },
	} {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eshop_cache_waiting", Help: "Work that waits, by queue; fill counts callers.",
			ConstLabels: prometheus.Labels{"queue": name}}, func() float64 { return float64(fill()) }))
	}
	all = append(all, r.overload.collectors()...)
	all = append(all, lru.Collectors(r.heap.docs, r.heap.absent)...)
	all = append(all, r.switches.Collector(r.cat.KindNames()))
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
