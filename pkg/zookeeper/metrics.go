package zookeeper

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	lockWait prometheus.Histogram
	losses   prometheus.Counter
	state    *prometheus.GaugeVec
	expiries prometheus.Counter
	calls    prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		lockWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "eshop_lock_wait_seconds",
			Help:    "Time from joining a lock's queue until the lock was held.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}),
		losses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eshop_lock_losses_total",
			Help: "Locks, and places in a lock's queue, that were lost before they were released.",
		}),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "eshop_zookeeper_session_state",
			Help: "1 for the state the ZooKeeper session is in.",
		}, []string{"state"}),
		expiries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "eshop_zookeeper_session_expiries_total",
			Help: "ZooKeeper sessions that the servers have expired.",
		}),
		calls: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "eshop_zookeeper_calls",
			Help: "Requests to ZooKeeper under way, those whose caller has gone included.",
		}),
	}
	m.enter(Connecting)
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.lockWait, m.losses, m.state, m.expiries, m.calls} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the ZooKeeper metrics: %w", err)
		}
	}
	return m, nil
}

// enter shows the state as the present one.
func (m *metrics) enter(now State) {
	for state := Connecting; state <= Closed; state++ {
		value := 0.0
		if state == now {
			value = 1
		}
		m.state.WithLabelValues(state.String()).Set(value)
	}
}
