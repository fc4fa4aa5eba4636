package console

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// fold says how the series of a metric become one value.
type fold int

const (
	added  fold = iota // a counter: what was added since the sample before
	total              // a gauge: all together
	most               // a gauge: the highest
	least              // a gauge: the lowest
	spread             // a histogram: observations in each bucket since the sample before
)

// track is one metric that is followed.
type track struct {
	key    string // of the value
	metric string
	fold   fold
	by     string // a label: one value for each of its values, "key.value"
	only   func(label func(name string) string) bool
}

// tracks are what the page draws and what troubles are found by.
func tracks() []track {
	const eshop = "eshop_"
	return []track{
		{key: "requests", metric: eshop + "gateway_requests_total", by: "layer"},
		{key: "failed", metric: eshop + "gateway_requests_total", only: func(l func(string) string) bool { return strings.HasPrefix(l("code"), "5") }},
		{key: "latency", metric: eshop + "gateway_request_seconds", fold: spread},
		{key: "staleness", metric: eshop + "staleness_seconds", fold: spread},
		{key: "invalidation", metric: eshop + "invalidation_lag_seconds", fold: spread},
		{key: "change", metric: eshop + "change_lag_seconds", fold: spread},
		{key: "changes", metric: eshop + "changes_total", by: "outcome"},
		{key: "pulls", metric: eshop + "origin_pulls_total"},
		{key: "deadLettered", metric: eshop + "kafka_group_dead_lettered_total"},
		{key: "violations", metric: eshop + "consistency_violations_total"},
		{key: "repairs", metric: eshop + "redis_repairs_total"},
		{key: "redisErrors", metric: eshop + "gateway_redis_errors_total"},
		{key: "refused", metric: eshop + "gateway_refused_total", only: func(l func(string) string) bool { return l("reason") != "unknown" }},
		{key: "stale", metric: eshop + "gateway_stale_served_total"},
		{key: "dropped", metric: eshop + "accesslog_dropped_total"},
		{key: "templateErrors", metric: eshop + "gateway_template_errors_total"},
		{key: "events", metric: eshop + "hotcount_events_total"},
		{key: "retrying", metric: eshop + "kafka_group_retrying", fold: total},
		{key: "l1Bytes", metric: eshop + "l1_bytes", fold: total},
		{key: "lagRecords", metric: eshop + "hotcount_lag_records", fold: total},
		{key: "leader", metric: eshop + "bus_leader", fold: most},
		{key: "busBehind", metric: eshop + "gateway_bus_behind", fold: most},
		{key: "breaker", metric: eshop + "breaker_state", fold: most, by: "dependency"},
		{key: "degraded", metric: eshop + "degraded", fold: most},
		{key: "hotListAge", metric: eshop + "gateway_hot_list_age_seconds", fold: most},
		{key: "watermarkAge", metric: eshop + "hotcount_watermark_age_seconds", fold: most},
		{key: "zookeeper", metric: eshop + "zookeeper_session_state", fold: least, only: func(l func(string) string) bool { return l("state") == "connected" }},
		{key: "certificate", metric: eshop + "tls_cert_expiry_seconds", fold: least},
		{key: "reloaded", metric: eshop + "config_last_reload_successful", fold: least},
		{key: "memory", metric: "process_resident_memory_bytes", fold: most},
	}
}

// Sample is what a process was doing in the time before At.
type Sample struct {
	At int64 `json:"at"` // unix ms, a multiple of five seconds
	// Seconds since the sample before: five, or more where the process was kept from running.
	Seconds float64 `json:"n"`
	// Values by key. A counter that did not move is left out.
	Values map[string]float64 `json:"v"`
	// Spreads are the observations in each bucket of a histogram, the last without an
	// upper bound; left out when there were none.
	Spreads map[string][]float64 `json:"s,omitempty"`
}

// reading is the state of all tracked metrics, counters since the process began.
type reading struct {
	at      time.Time
	counted map[string]float64
	gauged  map[string]float64
	buckets map[string][]float64
	bounds  map[string][]float64
}

// read gathers the registry. Families that cannot be gathered are missing.
func read(from prometheus.Gatherer, now time.Time) reading {
	r := reading{at: now, counted: map[string]float64{}, gauged: map[string]float64{}, buckets: map[string][]float64{}, bounds: map[string][]float64{}}
	families, _ := from.Gather() // what could be gathered comes with the error
	byName := make(map[string]*dto.MetricFamily, len(families))
	for _, f := range families {
		byName[f.GetName()] = f
	}
	for _, t := range tracks() {
		for _, m := range byName[t.metric].GetMetric() {
			label := func(name string) string { return labelOf(m, name) }
			if t.only == nil || t.only(label) {
				r.add(t, m, label)
			}
		}
	}
	return r
}

func labelOf(m *dto.Metric, name string) string {
	i := slices.IndexFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == name })
	if i < 0 {
		return ""
	}
	return m.GetLabel()[i].GetValue()
}

func (r reading) add(t track, m *dto.Metric, label func(string) string) {
	key := t.key
	if t.by != "" {
		key += "." + label(t.by)
	}
	value := m.GetGauge().GetValue()
	old, seen := r.gauged[key]
	switch t.fold {
	case added:
		r.counted[key] += m.GetCounter().GetValue()
	case total:
		r.gauged[key] = old + value
	case most:
		if !seen || value > old {
			r.gauged[key] = value
		}
	case least:
		if !seen || value < old {
			r.gauged[key] = value
		}
	case spread:
		r.addSpread(key, m.GetHistogram())
	}
}

func (r reading) addSpread(key string, h *dto.Histogram) {
	n := len(h.GetBucket())
	if r.buckets[key] == nil {
		r.buckets[key] = make([]float64, n+1)
		for _, b := range h.GetBucket() {
			r.bounds[key] = append(r.bounds[key], b.GetUpperBound())
		}
	}
	if len(r.buckets[key]) != n+1 {
		return // another histogram of the same name: not ours
	}
	below := uint64(0)
	for i, b := range h.GetBucket() {
		r.buckets[key][i] += float64(b.GetCumulativeCount() - below)
		below = b.GetCumulativeCount()
	}
	r.buckets[key][n] += float64(h.GetSampleCount() - below)
}

// since makes the sample between two readings.
func (r reading) since(before reading) Sample {
	s := Sample{At: r.at.Truncate(sampleEvery).UnixMilli(), Seconds: r.at.Sub(before.at).Seconds(), Values: map[string]float64{}}
	for key, value := range r.gauged {
		s.Values[key] = value
	}
	for key, value := range r.counted {
		if d := value - before.counted[key]; d > 0 {
			s.Values[key] = d
		}
	}
	for key, now := range r.buckets {
		old := before.buckets[key]
		seen, some := make([]float64, len(now)), false
		for i := range now {
			seen[i] = now[i]
			if i < len(old) {
				seen[i] -= old[i]
			}
			some = some || seen[i] > 0
		}
		if some {
			if s.Spreads == nil {
				s.Spreads = map[string][]float64{}
			}
			s.Spreads[key] = seen
		}
	}
	return s
}

// quantile of observations in buckets, assumed evenly spread in each; -1 without any.
// Above the last bound it is the last bound.
func quantile(bounds, counts []float64, q float64) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += n
	}
	if sum == 0 || len(bounds) == 0 {
		return -1
	}
	rank, below, from := q*sum, 0.0, 0.0
	for i, n := range counts {
		if i >= len(bounds) {
			break
		}
		if below+n >= rank && n > 0 {
			return from + (bounds[i]-from)*(rank-below)/n
		}
		below, from = below+n, bounds[i]
	}
	return bounds[len(bounds)-1]
}

// Metrics are the names of those that the console follows.
func Metrics() []string {
	var names []string
	for _, t := range tracks() {
		if !slices.Contains(names, t.metric) {
			names = append(names, t.metric)
		}
	}
	return names
}
