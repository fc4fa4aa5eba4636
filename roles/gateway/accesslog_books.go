package gateway

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/accesslog"
	"eshop/pkg/kafka"
)

// Reasons for which hits are lost, beside those of the producer.
const (
	lostKeys = "keys" // more different products at once than there is room for
	lostOld  = "old"  // held back for so long that no window has room for them
)

// slots is how many partitions have books of their own. More of them share one,
// which makes them look fuller than they are.
const slots = 4096

// books say what has become of each hit that was swept or recorded: it is in a
// record that Kafka has acknowledged, lost, or held. With sampling, hits are the
// weights of records, and requests = hits only on average; exact then is
// requests = records that are acknowledged, lost or held + unrecorded.
type books struct {
	hits, records prometheus.Counter // acknowledged
	lostVec       *prometheus.CounterVec
	lost          map[string]prometheus.Counter
	sampled, shed prometheus.Counter // requests without a record, for which others' weights stand

	held atomic.Int64 // hits, from the sweep or the record on
	gone atomic.Int64 // hits lost, all reasons together
	// records and bytes that the producer has, and the records by partition.
	pending, bytes atomic.Int64
	partitions     [slots]atomic.Int32
}

func newBooks() *books {
	c := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_accesslog_" + name, Help: help})
	}
	unrecorded := func(reason string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_accesslog_unrecorded_total",
			Help: "Requests for products without a record of their own, for which the weight of others stands.", ConstLabels: prometheus.Labels{"reason": reason}})
	}
	b := &books{lost: map[string]prometheus.Counter{},
		hits:    c("hits_total", "Requests for products that acknowledged records stand for."),
		records: c("records_total", "Records of the access log that Kafka has acknowledged."),
		sampled: unrecorded("sampled"), shed: unrecorded("shed"),
		lostVec: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eshop_accesslog_dropped_total",
			Help: "Requests for products that are in no record of the access log, by reason."}, []string{"reason"})}
	for _, reason := range []string{lostKeys, lostOld, kafka.DropFull, kafka.DropPartitionFull, kafka.DropTooLarge,
		kafka.DropClosed, kafka.DropShutdown, kafka.DropRejected} {
		b.lost[reason] = b.lostVec.WithLabelValues(reason)
	}
	return b
}

func (b *books) collectors() []prometheus.Collector {
	return []prometheus.Collector{b.hits, b.records, b.sampled, b.shed, b.lostVec,
		gauge("accesslog_buffered_hits", "Requests for products that are counted and neither acknowledged by Kafka nor dropped.",
			func() float64 { return float64(b.held.Load()) })}
}

// slot is where the books of a partition are; -1, an unknown one, has a slot too.
func (b *books) slot(partition int32) *atomic.Int32 { return &b.partitions[uint32(partition)%slots] }

// lose counts hits that were never held.
func (b *books) lose(reason string, hits int64) {
	b.gone.Add(hits)
	if c := b.lost[reason]; c != nil {
		c.Add(float64(hits))
	} else {
		b.lostVec.WithLabelValues(reason).Add(float64(hits))
	}
}

// giveUp counts held hits as lost.
func (b *books) giveUp(reason string, hits int64) {
	b.held.Add(-hits)
	b.lose(reason, hits)
}

// offered is called before a record goes to the producer, whose answer may be
// quicker than the return of Offer.
func (b *books) offered(r *kafka.Record) {
	b.pending.Add(1)
	b.bytes.Add(recordBytes(r))
	b.slot(r.Partition).Add(1)
}

func (b *books) settled(r *kafka.Record) int64 {
	b.pending.Add(-1)
	b.bytes.Add(-recordBytes(r))
	b.slot(r.Partition).Add(-1)
	return accesslog.Hits(r.Value)
}

func (b *books) acknowledged(r kafka.Record) {
	n := b.settled(&r)
	b.held.Add(-n)
	b.records.Inc()
	b.hits.Add(float64(n))
}

// dropped is called with the producer's lock held.
func (b *books) dropped(r kafka.Record, reason string) { b.giveUp(reason, b.settled(&r)) }

// recordBytes is what the producer charges for a record.
func recordBytes(r *kafka.Record) int64 { return int64(len(r.Key)+len(r.Value)) + 64 }
