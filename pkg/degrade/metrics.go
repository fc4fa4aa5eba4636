package degrade

import "github.com/prometheus/client_golang/prometheus"

// Collector returns the gauge eshop_degraded{kind,mode}: 1 while the mode is in
// effect for the kind, by a switch of its own or by one of Every, else 0.
func (s *State) Collector(kinds []string) prometheus.Collector {
	return collector{s, kinds, prometheus.NewDesc("eshop_degraded", "1 while a degrade switch of the mode is in effect for the kind.", []string{"kind", "mode"}, nil)}
}

type collector struct {
	state *State
	kinds []string
	desc  *prometheus.Desc
}

func (c collector) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, kind := range c.kinds {
		now := c.state.Of(kind)
		for _, mode := range All() {
			value := 0.0
			if now.Has(mode) {
				value = 1
			}
			out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, value, kind, mode.String())
		}
	}
}
