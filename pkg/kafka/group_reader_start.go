package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// place is where the reading of a partition begins.
type place struct {
	start  int64
	target int64 // the end of the log when it was asked
	asked  time.Time
	gap    string // why what lies between from and to is lost; "" when nothing is
	from   int64
	to     int64
}

// The bounds of the questions of one session; the next one asks again.
const (
	lookupAttempts = 3
	lookupLimit    = 10 * time.Second
)

// locate asks the holder and then, for all partitions at once, the brokers.
// Partitions without a leader are left out: their claims wait for one, and the
// others do not wait for them. It returns when ctx ends although a broker that
// is silent keeps its question for longer; Run waits for those.
func (g *GroupReader) locate(ctx context.Context, partitions []int32) (map[int32]place, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	type answer struct {
		partition int32
		place     place
		err       error
	}
	answers := make(chan answer, len(partitions))
	client := g.client
	for _, id := range partitions {
		from, next := g.holder.Start(id)
		g.lookups.Go(func() {
			at, err := g.lookup(ctx, client, id, from, next)
			answers <- answer{id, at, err}
		})
	}
	found := make(map[int32]place, len(partitions))
	for range partitions {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the brokers did not answer for %d of %d partitions: %w", len(partitions)-len(found), len(partitions), ctx.Err())
		case a := <-answers:
			switch {
			case a.err == nil:
				found[a.partition] = a.place
			case !client.PartitionNotReadable(g.topic, a.partition):
				return nil, fmt.Errorf("partition %d: %w", a.partition, a.err)
			}
		}
	}
	return found, nil
}

func (g *GroupReader) lookup(ctx context.Context, client sarama.Client, partition int32, from time.Time, next int64) (at place, err error) {
	for attempt := range lookupAttempts {
		if at, err = locateOnce(client, g.topic, partition, from, next); err == nil {
			return at, nil
		}
		g.fault(fmt.Errorf("look up where to begin in topic %s partition %d: %w", g.topic, partition, err))
		if !pause(ctx, Backoff{Min: 100 * time.Millisecond, Max: time.Second}.delay(attempt)) {
			break
		}
	}
	return at, err
}

func locateOnce(client sarama.Client, topic string, partition int32, from time.Time, next int64) (place, error) {
	asked := time.Now()
	// The end first: a record that comes in between is behind it, so it is not passed over.
	end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
	if err != nil {
		return place{}, err
	}
	when := from.UnixMilli()
	if when < 0 { // before 1970, and the brokers' marks are negative
		when = sarama.OffsetOldest
	}
	start, err := client.GetOffset(topic, partition, when)
	if err != nil {
		return place{}, err
	}
	if start < 0 { // no record is as young as that
		start = end
	}
	at := place{start: start, target: max(start, end), asked: asked}
	switch {
	case next > end:
		at.gap, at.from, at.to = GapTruncated, next, end
	case next >= start:
		at.start = next
	case next >= 0:
		// What lies between is left out for its age, unless it is gone altogether.
		first, err := client.GetOffset(topic, partition, sarama.OffsetOldest)
		if err != nil {
			return place{}, err
		}
		if next < first {
			at.gap, at.from, at.to = GapRetention, next, first
		}
	}
	return at, nil
}

// lost counts offsets that will not be read.
func (g *GroupReader) lost(partition int32, from, to int64, reason string) {
	g.metrics.gap(reason)
	if reason == GapTruncated {
		g.truncated.Add(1)
	} else {
		g.skipped.Add(uint64(to - from))
		g.metrics.skipped.Add(float64(to - from))
	}
	g.log.Warn("kafka group reader lost records", "topic", g.topic, "partition", partition, "from", from, "to", to, "reason", reason)
}
