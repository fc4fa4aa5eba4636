package kafka

import (
	"time"

	"github.com/IBM/sarama"
)

// decode lists the records of an answer from offset next on, in order. end is
// the offset after everything in it, control records of transactions included,
// or next. partial says that the answer was cut off in the middle of a batch.
// Both record formats are read: batches, and the message sets of brokers and
// producers before 0.11, with relative offsets inside compressed ones.
func decode(block *sarama.FetchResponseBlock, topic string, partition int32, next int64) (out []Record, end int64, partial bool) {
	end = next
	add := func(offset int64, key, value []byte, at time.Time, headers []*sarama.RecordHeader) {
		if offset < end {
			return // a batch starts at its own first offset, which may lie before the one asked for
		}
		out = append(out, Record{Topic: topic, Partition: partition, Offset: offset, Key: key, Value: value, Time: at, Headers: headersOf(headers)})
		end = offset + 1
	}
	for _, set := range block.RecordsSet {
		switch {
		case set.RecordBatch != nil:
			b := set.RecordBatch
			if b.PartialTrailingRecord {
				partial = true
				continue
			}
			if !b.Control {
				for _, rec := range b.Records {
					at := b.FirstTimestamp.Add(rec.TimestampDelta)
					if b.LogAppendTime {
						at = b.MaxTimestamp
					}
					add(b.FirstOffset+rec.OffsetDelta, rec.Key, rec.Value, at, rec.Headers)
				}
			}
			if last := b.LastOffset() + 1; last > end {
				end = last
			}
		case set.MsgSet != nil:
			partial = partial || set.MsgSet.PartialTrailingMessage
			for _, outer := range set.MsgSet.Messages {
				inner := outer.Messages()
				for _, m := range inner {
					offset, at := m.Offset, m.Msg.Timestamp
					if m.Msg.Version >= 1 {
						offset += outer.Offset - inner[len(inner)-1].Offset
						if m.Msg.LogAppendTime {
							at = outer.Msg.Timestamp
						}
					}
					add(offset, m.Msg.Key, m.Msg.Value, at, nil)
				}
			}
		}
	}
	return out, end, partial
}
