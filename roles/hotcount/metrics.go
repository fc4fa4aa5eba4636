package hotcount

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/accesslog"
)

type metrics struct {
	events        [accesslog.ShapeForeign + 1]prometheus.Counter // by shape
	records       prometheus.Counter
	malformed     prometheus.Counter
	noProduct     prometheus.Counter
	duplicate     prometheus.Counter
	late          prometheus.Counter
	future        prometheus.Counter
	undated       prometheus.Counter
	missing       prometheus.Counter
	published     *prometheus.CounterVec
	publishErrors prometheus.Counter
	detection     prometheus.Histogram
	turnedHot     prometheus.Counter
	cooled        prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, h *holder) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_" + name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eshop_" + name, Help: help}, labels)
	}
	events := vec("hotcount_events_total", "Hits counted, again when a window is rebuilt, by the form of their record: counts, request (as the gateways write it), foreign (took the full JSON decoder).", "shape")
	skipped := vec("hotcount_skipped_total", "What was not counted: records that are malformed, name no_product, or are a duplicate; and hits that came late, when no window could hold them any more.", "reason")
	changes := vec("hotcount_changes_total", "Products that turned hot by the rule, and that cooled.", "change")
	m := &metrics{
		records:       counter("hotcount_records_total", "Records read."),
		malformed:     skipped.WithLabelValues("malformed"),
		noProduct:     skipped.WithLabelValues("no_product"),
		duplicate:     skipped.WithLabelValues("duplicate"),
		late:          skipped.WithLabelValues("late"),
		future:        counter("hotcount_future_total", "Hits counted as of now because their time lay more than a second ahead: a sender's clock is wrong."),
		undated:       counter("hotcount_undated_total", "Hits counted as of now because their record has no time: their producer is from before Kafka 0.10."),
		missing:       counter("hotcount_missing_records_total", "Counts records that never came, by the gaps in their senders' sequences; the senders have counted them as dropped."),
		published:     vec("hotcount_published_total", "Lists that ZooKeeper has acknowledged.", "list"),
		publishErrors: counter("hotcount_publish_errors_total", "Lists that could not be published or claimed, and were tried again."),
		detection: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "eshop_hot_detection_seconds",
			Help:    "From the time of the newest hit counted when a product was found hot to the acknowledgement of the list by ZooKeeper.",
			Buckets: prometheus.ExponentialBuckets(0.004, 1.6, 16)}),
		turnedHot: changes.WithLabelValues("hot"),
		cooled:    changes.WithLabelValues("cooled"),
	}
	for shape, name := range map[accesslog.Shape]string{accesslog.ShapeCounts: "counts", accesslog.ShapeRequest: "request", accesslog.ShapeForeign: "foreign"} {
		m.events[shape] = events.WithLabelValues(name)
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{events, skipped, m.records, m.future, m.undated, m.missing, m.published, m.publishErrors, m.detection, changes, newGauges(h)} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// add takes over what a partition has counted since the last call. It is called
// once a batch, so that a hit costs no atomic operation.
func (m *metrics) add(t *tally) {
	for _, one := range []struct {
		c prometheus.Counter
		n int64
	}{{m.records, t.records}, {m.malformed, t.malformed}, {m.noProduct, t.noProduct}, {m.duplicate, t.duplicate}, {m.late, t.late},
		{m.future, t.future}, {m.undated, t.undated}, {m.missing, int64(t.missing)},
		{m.events[accesslog.ShapeCounts], t.events[accesslog.ShapeCounts]},
		{m.events[accesslog.ShapeRequest], t.events[accesslog.ShapeRequest]},
		{m.events[accesslog.ShapeForeign], t.events[accesslog.ShapeForeign]}} {
		if one.n > 0 {
			one.c.Add(float64(one.n))
		}
	}
	*t = tally{}
}

// gauges tells of the partitions that are held at the moment it is asked.
type gauges struct {
	holder                                    *holder
	lag, watermark, hot, waiting, bytes, held *prometheus.Desc
}

func newGauges(h *holder) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("eshop_"+name, help, labels, nil)
	}
	return &gauges{
		holder:    h,
		lag:       desc("hotcount_lag_records", "Records of the partition that are not counted yet.", "partition"),
		watermark: desc("hotcount_watermark_age_seconds", "Age of the newest event time of the partition that its published counts can be complete for.", "partition"),
		hot:       desc("hot_keys", "Products that are hot by the rule, in the partitions of this process."),
		waiting:   desc("hotcount_waiting_keys", "Products that meet the rule and are not hot because the rule's max is reached."),
		bytes:     desc("hotcount_window_bytes", "Memory of the windows, those kept after their partition was taken away included."),
		held:      desc("hotcount_partitions", "Partitions that this process holds."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.lag, g.watermark, g.hot, g.waiting, g.bytes, g.held} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	held, bytes, hot, waiting := g.holder.holds(), g.holder.keptBytes(), 0, int64(0)
	for id, p := range held {
		name := strconv.Itoa(int(id))
		gauge(g.lag, float64(p.behind()), name)
		if w := p.watermark.Load(); w > 0 {
			gauge(g.watermark, max(0, time.Since(time.UnixMilli(w)).Seconds()), name)
		}
		bytes += p.bytes.Load()
		if s := p.state.Load(); s != nil {
			hot += len(s.hot)
			waiting += s.waiting
		}
	}
	gauge(g.hot, float64(hot))
	gauge(g.waiting, float64(waiting))
	gauge(g.bytes, float64(bytes))
	gauge(g.held, float64(len(held)))
}
