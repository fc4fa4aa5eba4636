package gateway

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// codes are the statuses the public listener answers with.
var codes = [...]int{200, 304, 400, 404, 405, 408, 413, 429, 431, 500, 503}

// codeIndex finds a status among codes.
func codeIndex(code int) int {
	for i, c := range codes {
		if c == code {
			return i
		}
	}
	return len(codes) - 2 // 500
}

// bounds of the histogram of times; the last bucket has none.
var bounds = [...]time.Duration{time.Microsecond, 5 * time.Microsecond, 20 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond,
	2 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 200 * time.Millisecond, time.Second, 5 * time.Second}

// requests counts the answers of the public listener and the time they took. A
// connection counts in one of several places, so that cores which answer at the
// same time do not write to the same cache lines.
type requests struct {
	shards        [16]requestShard
	total, timing *prometheus.Desc
}

type requestShard struct {
	answers [layers][len(codes)]atomic.Uint64
	buckets [len(bounds) + 1]atomic.Uint64
	nanos   atomic.Int64
	_       [64]byte
}

func newRequests() *requests {
	return &requests{total: prometheus.NewDesc("eshop_gateway_requests_total",
		"Answers of the public listener by the level they came from and their status.", []string{"layer", "code"}, nil),
		timing: prometheus.NewDesc("eshop_gateway_request_seconds", "Time in the handler of the public listener.", nil, nil)}
}

// count counts an answer to a request on a connection; a time below 0 is not known.
func (q *requests) count(conn uint64, from layer, code int, took time.Duration) {
	s := &q.shards[conn%uint64(len(q.shards))]
	s.answers[from][codeIndex(code)].Add(1)
	if took < 0 {
		return
	}
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	s.buckets[i].Add(1)
	s.nanos.Add(int64(took))
}

// of returns how many answers with a status came from a level.
func (q *requests) of(from layer, code int) (n uint64) {
	for i := range q.shards {
		n += q.shards[i].answers[from][codeIndex(code)].Load()
	}
	return n
}

// Describe implements prometheus.Collector.
func (q *requests) Describe(to chan<- *prometheus.Desc) {
	to <- q.total
	to <- q.timing
}

// Collect implements prometheus.Collector.
func (q *requests) Collect(to chan<- prometheus.Metric) {
	for from := range layers {
		for _, code := range codes {
			to <- prometheus.MustNewConstMetric(q.total, prometheus.CounterValue, float64(q.of(from, code)), from.String(), strconv.Itoa(code))
		}
	}
	buckets, n, nanos := map[float64]uint64{}, uint64(0), int64(0)
	for i := range bounds {
		for s := range q.shards {
			n += q.shards[s].buckets[i].Load()
		}
		buckets[bounds[i].Seconds()] = n
	}
	for s := range q.shards {
		n += q.shards[s].buckets[len(bounds)].Load()
		nanos += q.shards[s].nanos.Load()
	}
	to <- prometheus.MustNewConstHistogram(q.timing, n, time.Duration(nanos).Seconds(), buckets)
}
