package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// Bounds of one look.
const (
	maxLook      = 1000
	maxLookBytes = 8 << 20
	lookIdle     = 2 * time.Second // offsets that hold no record are not waited for any longer
)

// Look says which records of a topic to read.
type Look struct {
	Topic string
	// Partition and From begin at one record; Partition < 0 takes the newest of
	// every partition instead.
	Partition int32
	From      int64
	// Max is how many records of a partition, from 1 to 1000.
	Max int
}

// Span is what a partition holds: offsets from <= o < To. Those that retention or
// compaction removed in the middle are among them.
type Span struct {
	Partition int32
	From, To  int64
}

// LookAt reads records of a topic once, as an operator does who looks what is
// there: it commits nothing and belongs to no group. The records come by
// partition, each in the order of their offsets; spans are those of all
// partitions. What is together above 8 MiB is left out.
func LookAt(ctx context.Context, cfg Config, look Look) (spans []Span, records []Record, err error) {
	conf, err := cfg.sarama()
	if err != nil {
		return nil, nil, err
	}
	fail := func(what string, err error) ([]Span, []Record, error) {
		return nil, nil, fmt.Errorf("%s of the topic %s: %w", what, look.Topic, conf.explain(err))
	}
	look.Max = max(1, min(look.Max, maxLook))
	client, err := sarama.NewClient(cfg.Brokers, bind(ctx, conf))
	if err != nil {
		return fail("find the brokers", err)
	}
	defer func() { _ = client.Close() }()
	ids, err := client.Partitions(look.Topic)
	if err != nil {
		return fail("list the partitions", err)
	}
	for _, id := range ids {
		s := Span{Partition: id}
		if s.From, err = client.GetOffset(look.Topic, id, sarama.OffsetOldest); err != nil {
			return fail(fmt.Sprintf("find the beginning of partition %d", id), err)
		}
		if s.To, err = client.GetOffset(look.Topic, id, sarama.OffsetNewest); err != nil {
			return fail(fmt.Sprintf("find the end of partition %d", id), err)
		}
		spans = append(spans, s)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return fail("read records", err)
	}
	defer func() { _ = consumer.Close() }()
	room := maxLookBytes
	for _, s := range spans {
		from := max(s.From, s.To-int64(look.Max))
		if look.Partition >= 0 {
			if from = look.From; s.Partition != look.Partition {
				continue
			}
		}
		if from < s.From || from >= s.To {
			continue
		}
		found, err := read(ctx, consumer, look, s, from, &room)
		if err != nil {
			return fail(fmt.Sprintf("read partition %d", s.Partition), err)
		}
		records = append(records, found...)
	}
	return spans, records, nil
}

// read takes records of one partition from an offset that is there.
func read(ctx context.Context, consumer sarama.Consumer, look Look, s Span, from int64, room *int) ([]Record, error) {
	p, err := consumer.ConsumePartition(look.Topic, s.Partition, from)
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.Close() }()
	idle := time.NewTimer(lookIdle)
	defer idle.Stop()
	var found []Record
	for len(found) < look.Max {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-idle.C:
			return found, nil
		case m, open := <-p.Messages():
			if !open {
				return found, nil
			}
			if *room -= len(m.Key) + len(m.Value); *room < 0 {
				return found, nil
			}
			found = append(found, Record{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Time: m.Timestamp})
			if m.Offset >= s.To-1 {
				return found, nil
			}
			idle.Reset(lookIdle)
		}
	}
	return found, nil
}
