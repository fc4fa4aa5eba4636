package rediscluster

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	calls, errors, writes, reloads, fallbacks *prometheus.CounterVec
	seconds                                   *prometheus.HistogramVec
	foreign, topology, ambiguous              prometheus.Counter
}

// newMetrics makes the metrics and registers them if reg is not nil. Two
// stores on one registry share them.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{}
	var bad []error
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(reg, &bad, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	counter := func(name, help string) prometheus.Counter {
		return register(reg, &bad, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	m.calls = counters("eshop_redis_calls_total", "Calls to the Redis store.", "op")
	m.errors = counters("eshop_redis_errors_total", "Calls to the Redis store with at least one key failed.", "op")
	m.writes = counters("eshop_redis_writes_total", "Compare-and-set writes by what they did and what came of it.", "op", "outcome")
	m.reloads = counters("eshop_redis_reloads_total", "Reloads of the cluster's slots by what caused them.", "reason")
	m.fallbacks = counters("eshop_redis_fallbacks_total", "Keys read from the master because a replica had nothing or failed.", "reason")
	m.foreign = counter("eshop_redis_foreign_values_total", "Values read that are no documents and count as absent.")
	m.topology = counter("eshop_redis_topology_changes_total", "Changes of the assignment of slots to masters.")
	m.ambiguous = counter("eshop_redis_ambiguous_writes_total", "Writes whose answer was lost and that a retry found done.")
	m.seconds = register(reg, &bad, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "eshop_redis_seconds", Help: "Duration of calls to the Redis store.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
	}, []string{"op"}))
	return m, errors.Join(bad...)
}

func register[C prometheus.Collector](reg prometheus.Registerer, bad *[]error, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	var twice prometheus.AlreadyRegisteredError
	if errors.As(err, &twice) {
		if there, ok := twice.ExistingCollector.(C); ok {
			return there
		}
	}
	if err != nil {
		*bad = append(*bad, fmt.Errorf("register the metrics of the redis store: %w", err))
	}
	return c
}

// start counts a call; the function it returns ends it.
func (m *metrics) start(op string) func(error) {
	m.calls.WithLabelValues(op).Inc()
	began := time.Now()
	return func(err error) {
		m.seconds.WithLabelValues(op).Observe(time.Since(began).Seconds())
		if err != nil {
			m.errors.WithLabelValues(op).Inc()
		}
	}
}

func (m *metrics) wrote(op Op, r WriteResult) {
	m.writes.WithLabelValues(op.String(), outcomeOf(r)).Inc()
}

// outcomeOf says in a word what came of a write.
func outcomeOf(r WriteResult) string {
	switch {
	case r.Err != nil:
		return "error"
	case r.Outcome.Accepted:
		return "accepted"
	}
	return "refused"
}
