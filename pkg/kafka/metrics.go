package kafka

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// registerOr registers a collector, or returns the equal one that another client of the process has registered.
func registerOr[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	if err := r.Register(c); err != nil {
		var there prometheus.AlreadyRegisteredError
		if errors.As(err, &there) {
			if same, ok := there.ExistingCollector.(C); ok {
				return same
			}
		}
	}
	return c
}

func counters(r prometheus.Registerer, name, text string, labels ...string) *prometheus.CounterVec {
	return registerOr(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: text}, labels))
}

func gauges(r prometheus.Registerer, name, text string, labels ...string) *prometheus.GaugeVec {
	return registerOr(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: text}, labels))
}

type producerMetrics struct {
	client         string
	records, bytes prometheus.Gauge
	ok, retry      prometheus.Counter
	lost           *prometheus.CounterVec
}

func newProducerMetrics(r prometheus.Registerer, client string) producerMetrics {
	return producerMetrics{
		client:  client,
		records: gauges(r, "eshop_kafka_producer_queue_records", "Records a producer holds, queued and in flight.", "client").WithLabelValues(client),
		bytes:   gauges(r, "eshop_kafka_producer_queue_bytes", "Bytes a producer holds, queued and in flight.", "client").WithLabelValues(client),
		ok:      counters(r, "eshop_kafka_producer_acked_total", "Records acknowledged by the brokers.", "client").WithLabelValues(client),
		retry:   counters(r, "eshop_kafka_producer_failed_batches_total", "Batches that had to be sent again.", "client").WithLabelValues(client),
		lost:    counters(r, "eshop_kafka_producer_dropped_total", "Records dropped, by reason.", "client", "reason"),
	}
}

func (m producerMetrics) held(records int, bytes int64) {
	m.records.Set(float64(records))
	m.bytes.Set(float64(bytes))
}
func (m producerMetrics) acked(n int)  { m.ok.Add(float64(n)) }
func (m producerMetrics) failed(n int) { m.retry.Add(float64(n)) }
func (m producerMetrics) dropped(reason string) {
	m.lost.WithLabelValues(m.client, reason).Inc()
}

type readerMetrics struct {
	client, topic   string
	records, faults prometheus.Counter
	gaps            *prometheus.CounterVec
}

func newReaderMetrics(r prometheus.Registerer, client, topic string) readerMetrics {
	return readerMetrics{
		client: client, topic: topic,
		records: counters(r, "eshop_kafka_reader_records_total", "Records read.", "client", "topic").WithLabelValues(client, topic),
		faults:  counters(r, "eshop_kafka_reader_faults_total", "Errors met with the brokers.", "client", "topic").WithLabelValues(client, topic),
		gaps:    counters(r, "eshop_kafka_reader_gaps_total", "Gaps in the offsets read, by reason.", "client", "topic", "reason"),
	}
}

func (m readerMetrics) gap(reason string) { m.gaps.WithLabelValues(m.client, m.topic, reason).Inc() }
