package admission

import "github.com/prometheus/client_golang/prometheus"

func newWaits(gate string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eshop_admission_wait_seconds",
		Help:        "How long calls waited for a slot that they got, by dependency.",
		ConstLabels: prometheus.Labels{"gate": gate}, Buckets: []float64{0, 0.001, 0.005, 0.02, 0.1, 0.5, 2}})
}

// Collectors returns the gate's metrics: eshop_admission_running,
// eshop_admission_waiting, eshop_admission_refused_total{reason} and
// eshop_admission_wait_seconds, each with the label gate.
func (g *Gate) Collectors() []prometheus.Collector {
	labels := prometheus.Labels{"gate": g.cfg.Name}
	gauge := func(name, help string, of func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return float64(of())
		})
	}
	all := []prometheus.Collector{g.waits,
		gauge("eshop_admission_running", "Calls under way, by dependency.", func() int { return g.running }),
		gauge("eshop_admission_waiting", "Callers that wait for a slot, by dependency.", func() int { return g.queue.len })}
	for _, why := range Reasons() {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "eshop_admission_refused_total",
			Help:        "Callers that got no slot, by dependency and reason: full (the queue is), late (the deadline would pass), pressed (the queue stands, newer callers go first).",
			ConstLabels: prometheus.Labels{"gate": g.cfg.Name, "reason": why.String()}}, func() float64 {
			g.mu.Lock()
			defer g.mu.Unlock()
			return float64(g.refused[why])
		}))
	}
	return all
}
