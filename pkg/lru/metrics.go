package lru

import "github.com/prometheus/client_golang/prometheus"

// Tier is what Collectors reads; every Cache is one.
type Tier interface {
	Bytes() int64
	Len() int
	Evictions(why Reason) uint64
}

// Collectors returns the metrics of a process's heap tier, which may consist of
// several caches: eshop_l1_bytes, eshop_l1_entries and
// eshop_l1_evictions_total{reason}, each the sum over the tiers.
func Collectors(tiers ...Tier) []prometheus.Collector {
	sum := func(of func(Tier) float64) func() float64 {
		return func() (n float64) {
			for _, t := range tiers {
				n += of(t)
			}
			return n
		}
	}
	all := []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eshop_l1_bytes", Help: "Bytes held by the heap tier."},
			sum(func(t Tier) float64 { return float64(t.Bytes()) })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eshop_l1_entries", Help: "Entries in the heap tier."},
			sum(func(t Tier) float64 { return float64(t.Len()) })),
	}
	for _, why := range Reasons() {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "eshop_l1_evictions_total",
			Help: "Entries that left the heap tier, by reason.", ConstLabels: prometheus.Labels{"reason": why.String()}},
			sum(func(t Tier) float64 { return float64(t.Evictions(why)) })))
	}
	return all
}
