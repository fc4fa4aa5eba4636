package kafka

import (
	"hash/crc32"
	"time"

	"github.com/IBM/sarama"
)

// item is one record in the producer. done is nil for an offered record.
type item struct {
	rec       Record
	size      int64
	queued    time.Time
	done      chan error // capacity 1, sent to exactly once
	left      bool       // has been part of a request
	cancelled bool       // its sender no longer waits
}

func newItem(r Record) *item {
	now := time.Now()
	if r.Time.IsZero() {
		r.Time = now
	}
	return &item{rec: r, size: int64(r.bytes() + recordOverhead), queued: now}
}

// finish tells the sender, if there is one.
func (it *item) finish(err error) {
	if it.done != nil {
		it.done <- err
	}
}

// topicQueue holds the records of one topic; waiting is used until the number of partitions is known.
type topicQueue struct {
	name    string
	parts   []*partitionQueue
	waiting []*item
	next    int // round robin of records without a key
}

// choose picks the partition: by hand, by CRC-32/IEEE of the key modulo the
// partitions (as lua-resty-kafka and librdkafka do, so that foreign producers
// of the same topic agree with us), or round robin over partitions that have a
// leader and room. Nil means that there is no room. The partition that was
// picked by hand has to exist, see misplaced.
func (t *topicQueue) choose(it *item, manual bool, share int) *partitionQueue {
	n := len(t.parts)
	switch {
	case manual:
		return t.parts[it.rec.Partition].withRoom(share)
	case it.rec.Key != nil:
		return t.parts[crc32.ChecksumIEEE(it.rec.Key)%uint32(n)].withRoom(share)
	}
	var second *partitionQueue
	for range n {
		t.next = (t.next + 1) % n
		q := t.parts[t.next]
		if q.count() >= share {
			continue
		}
		if q.leader >= 0 && q.failures == 0 {
			return q
		}
		if second == nil {
			second = q
		}
	}
	return second
}

// misplaced says that a partition picked by hand is not one of the topic's. What
// is meant for it must not go to another: readers of that would take it for theirs.
func (t *topicQueue) misplaced(it *item, manual bool) bool {
	return manual && (it.rec.Partition < 0 || int(it.rec.Partition) >= len(t.parts))
}

// partitionQueue holds the records of one partition in order. batch is the one
// that is being sent or will be sent again; nothing behind it moves before it is done.
type partitionQueue struct {
	topic    string
	id       int32
	leader   int32
	pending  []*item
	waiting  int64 // bytes pending
	urgent   int   // pending records that a Send waits for
	batch    *batch
	sending  bool
	retryAt  time.Time
	failures int
	limit    int // records a batch may hold; lowered while splitting one the broker found too large
	epoch    uint64
	sequence int32
}

func (q *partitionQueue) withRoom(share int) *partitionQueue {
	if q.count() >= share {
		return nil
	}
	return q
}

func (q *partitionQueue) count() int {
	n := len(q.pending)
	if q.batch != nil {
		n += len(q.batch.items)
	}
	return n
}

func (q *partitionQueue) push(it *item) {
	q.pending = append(q.pending, it)
	q.weigh(it, 1)
}

func (q *partitionQueue) weigh(it *item, sign int) {
	q.waiting += int64(sign) * it.size
	if it.done != nil {
		q.urgent += sign
	}
}

// batch is a run of records that is sent as one, again and again, unchanged.
type batch struct {
	queue *partitionQueue
	items []*item
	bytes int64
	wire  *sarama.RecordBatch
	epoch uint64 // which producer id its sequence belongs to; 0 none yet
}

// cut takes the next batch off the pending records. gone are the records whose sender gave up before they left.
func (q *partitionQueue) cut(maxBytes int) (b *batch, gone []*item) {
	limit := 5000
	if q.limit > 0 {
		limit = q.limit
	}
	b = &batch{queue: q}
	taken := 0
	for _, it := range q.pending {
		if it.cancelled && !it.left {
			gone = append(gone, it)
			q.weigh(it, -1)
			taken++
			continue
		}
		if len(b.items) >= limit || len(b.items) > 0 && b.bytes+it.size > int64(maxBytes) {
			break
		}
		it.left = true
		q.weigh(it, -1)
		b.items = append(b.items, it)
		b.bytes += it.size
		taken++
	}
	clear(q.pending[:taken])
	q.pending = q.pending[taken:]
	if len(q.pending) == 0 {
		q.pending = nil
	}
	if len(b.items) == 0 {
		return nil, gone
	}
	b.wire = encode(b.items)
	return b, gone
}

// unsend puts the records of the current batch back in front.
func (q *partitionQueue) unsend() {
	for _, it := range q.batch.items {
		q.weigh(it, 1)
	}
	q.pending = append(append(make([]*item, 0, len(q.batch.items)+len(q.pending)), q.batch.items...), q.pending...)
	q.batch = nil
}

func encode(items []*item) *sarama.RecordBatch {
	first := items[0].rec.Time.Truncate(time.Millisecond)
	w := &sarama.RecordBatch{
		Version: 2, FirstTimestamp: first, MaxTimestamp: first,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		LastOffsetDelta: int32(len(items) - 1),
		Records:         make([]*sarama.Record, len(items)),
	}
	for i, it := range items {
		at := it.rec.Time.Truncate(time.Millisecond)
		if at.After(w.MaxTimestamp) {
			w.MaxTimestamp = at
		}
		w.Records[i] = &sarama.Record{
			OffsetDelta: int64(i), TimestampDelta: at.Sub(first),
			Key: it.rec.Key, Value: it.rec.Value, Headers: wireHeaders(it.rec.Headers),
		}
	}
	return w
}

// due says when the queue has something to send: now if the time is not after
// now, never if ok is false.
func (q *partitionQueue) due(linger time.Duration, maxBytes int, draining bool) (at time.Time, ok bool) {
	switch {
	case q.sending:
		return time.Time{}, false
	case q.batch != nil:
		return q.retryAt, true
	case len(q.pending) == 0:
		return time.Time{}, false
	}
	at = q.pending[0].queued
	if !draining && q.urgent == 0 && q.waiting < int64(maxBytes) {
		at = at.Add(linger) // nobody waits and the batch is not full
	}
	if q.retryAt.After(at) {
		at = q.retryAt
	}
	return at, true
}
