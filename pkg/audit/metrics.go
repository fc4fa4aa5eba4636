package audit

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	staleness  *prometheus.HistogramVec
	violations *prometheus.CounterVec
	copies     *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, layers []string) (*metrics, error) {
	m := &metrics{
		staleness: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "eshop_staleness_seconds",
			Help:    "How long a copy that was served unmarked had been stale when the auditor found and ended it, by tier and by what it was compared with.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 12)}, []string{"layer", "against"}),
		violations: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eshop_consistency_violations_total",
			Help: "Violations of an invariant that the auditor found; must stay 0."}, []string{"invariant"}),
		copies: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eshop_audited_total",
			Help: "Copies the auditor compared, by tier, by what with, and by what came of it: same, stale, overtaken (the bus was faster), missing in Redis, lost by Redis, failed."},
			[]string{"layer", "against", "outcome"}),
	}
	for _, invariant := range []string{"1", "3"} {
		m.violations.WithLabelValues(invariant)
	}
	for _, layer := range layers {
		m.staleness.WithLabelValues(layer, "redis")
		m.staleness.WithLabelValues(layer, "origin")
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.staleness, m.violations, m.copies} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the auditor: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) count(layer, against, outcome string) {
	m.copies.WithLabelValues(layer, against, outcome).Inc()
}

// Stale is a stale copy, as the status page shows the last one.
type Stale struct {
	Key     string    `json:"key"`
	Layer   string    `json:"layer"`
	Against string    `json:"against"`
	Age     string    `json:"age"`
	At      time.Time `json:"at"`
}

// status is what the status page shows.
type status struct {
	Rate       int       `json:"rate"` // copies a second
	Rounds     uint64    `json:"rounds"`
	Last       time.Time `json:"last,omitzero"` // when the last round was
	Waiting    string    `json:"waiting,omitempty"`
	Stale      uint64    `json:"stale"`
	LastStale  *Stale    `json:"lastStale,omitempty"`
	Violations uint64    `json:"violations"`

	logged time.Time // when a stale copy was last logged
}

// Status is the auditor's part of the status page.
func (a *Auditor) Status() any {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	s.Rate = max(0, int(a.rate.Load()))
	return s
}

// note ends a round; err says what kept it from its work.
func (a *Auditor) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Last, a.status.Waiting = time.Now(), ""
	if err != nil {
		a.status.Waiting = err.Error()
		return
	}
	a.status.Rounds++
}

func (a *Auditor) noteStale(s Stale) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Stale++
	a.status.LastStale = &s
}

// mayLog allows one line a second about stale copies.
func (a *Auditor) mayLog(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.status.logged) < time.Second {
		return false
	}
	a.status.logged = now
	return true
}

func (a *Auditor) violated(invariant string) {
	a.metrics.violations.WithLabelValues(invariant).Inc()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Violations++
}
