package origin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/catalog"
)

type metrics struct {
	pulls    *prometheus.CounterVec
	requests *prometheus.CounterVec
	seconds  prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, c *Client) (*metrics, error) {
	m := &metrics{
		pulls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eshop_origin_pulls_total",
			Help: "Documents asked of the origin, by how it ended: live, absent, error, timeout, overloaded, open, bad_answer, cancelled.",
		}, []string{"kind", "outcome"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "eshop_origin_requests_total",
			Help: "Requests sent to the origin, for a single document or a batch.",
		}, []string{"kind", "form"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "eshop_origin_request_seconds",
			Help:    "Duration of a request to the origin, without the wait for its turn.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, col := range []prometheus.Collector{
		m.pulls, m.requests, m.seconds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "eshop_breaker_state",
			Help:        "State of the breaker of a dependency: 0 closed, 1 half-open, 2 open.",
			ConstLabels: prometheus.Labels{"dependency": "origin"},
		}, c.guard.state),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "eshop_origin_pulls_waiting",
			Help: "Pulls inside the origin client.",
		}, func() float64 { return float64(c.inside.Load()) }),
	} {
		if err := reg.Register(col); err != nil {
			return nil, fmt.Errorf("register the origin client's metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) sent(kind, form string, took time.Duration) {
	m.requests.WithLabelValues(kind, form).Inc()
	m.seconds.Observe(took.Seconds())
}

func (m *metrics) pulled(kind string, r ResultOrErr) { m.pulls.WithLabelValues(kind, outcome(r)).Inc() }

func outcome(r ResultOrErr) string {
	var timeout interface{ Timeout() bool }
	switch err := r.Err; {
	case err == nil && r.State == catalog.Live:
		return "live"
	case err == nil:
		return "absent"
	case errors.Is(err, ErrOverloaded):
		return "overloaded"
	case errors.Is(err, ErrOpen):
		return "open"
	case errors.Is(err, ErrHeld):
		return "held"
	case errors.Is(err, ErrBadAnswer):
		return "bad_answer"
	case errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "error"
}
