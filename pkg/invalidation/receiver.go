package invalidation

import (
	"fmt"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
)

// Handler is told what the bus says. Calls come from several goroutines, in
// order for one key.
type Handler interface {
	// Changed: Redis held the document with this stamp when the message was
	// sent. The floor has been raised already.
	Changed(catalog.Invalidation)
	// Unverified: messages were lost; every copy must be checked before use.
	Unverified(reason string)
}

// Receiver is what a Subscriber does with the topic's records, without the
// reading: it raises the floor, tells the handler, and keeps the watermark. It
// is safe for concurrent use, one goroutine a partition.
type Receiver struct {
	floor   *Floor
	handler Handler

	mu    sync.Mutex
	beats map[int32]time.Time // the newest heartbeat of each partition, as its sender's clock has it
}

// NewReceiver returns a receiver that has seen nothing yet.
func NewReceiver(floor *Floor, handler Handler) *Receiver {
	return &Receiver{floor: floor, handler: handler, beats: map[int32]time.Time{}}
}

// Record handles one record of a partition, in their order, at the time now. It
// returns the message; an error wraps catalog.ErrBadInvalidation.
func (r *Receiver) Record(partition int32, value []byte, now time.Time) (catalog.Invalidation, error) {
	inv, err := catalog.ParseInvalidation(value)
	if err != nil {
		return inv, err
	}
	if inv.Heartbeat != "" {
		r.beat(partition, inv.SentTime(), now)
		return inv, nil
	}
	r.floor.Raise(inv.Key, inv.Stamp)
	r.handler.Changed(inv)
	return inv, nil
}

// beat notes a heartbeat. One from the future (a sender's clock that is ahead)
// must not vouch for longer than one from now would.
func (r *Receiver) beat(partition int32, sent, now time.Time) {
	if sent.After(now) {
		sent = now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if sent.After(r.beats[partition]) {
		r.beats[partition] = sent
	}
}

// Gap handles the loss of the offsets from <= o < to of a partition.
func (r *Receiver) Gap(topic string, partition int32, from, to int64, reason string) {
	r.handler.Unverified(fmt.Sprintf("offsets %d to %d of partition %d of %s are lost: %s", from, to, partition, topic, reason))
}

// Watermark is the lowest over the given partitions of the newest heartbeat: each
// message sent before it has been handled. Zero while any partition has none.
func (r *Receiver) Watermark(partitions []kafka.PartitionStatus) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var low time.Time
	for i, p := range partitions {
		beat, ok := r.beats[p.Partition]
		if !ok {
			return time.Time{}
		}
		if i == 0 || beat.Before(low) {
			low = beat
		}
	}
	return low
}
