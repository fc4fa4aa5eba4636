package kafka

import (
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// Assigned is one partition while this process holds it. Read and Commit are
// for the goroutine that holds it, the rest for any.
type Assigned struct {
	g         *GroupReader
	session   sarama.ConsumerGroupSession
	partition int32
	at        place
	messages  <-chan *sarama.ConsumerMessage
	done      <-chan struct{} // closed with the assignment
	high      func() int64

	over   atomic.Bool // Read has said so
	next   atomic.Int64
	marked atomic.Int64 // -1 while nothing is
	readAt atomic.Int64 // unix ns

	checked atomic.Pointer[confirmed] // never nil
}

func newAssigned(g *GroupReader, s sarama.ConsumerGroupSession, in sarama.ConsumerGroupClaim, at place) *Assigned {
	p := &Assigned{
		g: g, session: s, partition: in.Partition(), at: at,
		messages: in.Messages(), done: s.Context().Done(), high: in.HighWaterMarkOffset,
	}
	p.next.Store(at.start)
	p.marked.Store(-1)
	p.checked.Store(&confirmed{end: at.target, at: at.asked, next: at.start, since: time.Now()})
	return p
}

// ID is the partition's number.
func (p *Assigned) ID() int32 { return p.partition }

// Partitions is the number of partitions of the topic. A change of it makes
// the group assign anew, within about ten seconds.
func (p *Assigned) Partitions() int { return int(p.g.partitions.Load()) }

// Start is the first offset that was or will be read. When it is below the
// next that the holder gave, the log is another one than before.
func (p *Assigned) Start() int64 { return p.at.start }

// Target is the end of the log when reading began. See End for a log whose last
// records are never handed over.
func (p *Assigned) Target() int64 { return p.visible(p.at.target) }

// End is the offset after the last record of the log, as of the newest answer
// that brought records; End minus the next offset to read is the lag. It never
// lies below the next offset. What ends a transaction has an offset too and is not
// handed over: when that is all that is left, which shows after some seconds in
// which the brokers answer and nothing comes, the next offset is the end.
func (p *Assigned) End() int64 { return p.visible(max(p.high(), p.at.target, p.next.Load())) }

// Read waits for a record, a tick (n == 0) or the end of the assignment (ok ==
// false, then and ever after). It takes as many records as are there, up to
// len(buf), without further waiting; while there are always some, ticks still
// get their turn. A record's key and value are the holder's to keep, but are
// parts of a larger block of memory that stays as long as they do.
func (p *Assigned) Read(tick <-chan time.Time, buf []Record) (n int, ok bool) {
	if len(buf) == 0 {
		return 0, !p.over.Load()
	}
	select {
	case <-p.done: // what is left in the channel is read by whoever comes next
		p.over.Store(true)
		return 0, false
	default:
	}
	var m *sarama.ConsumerMessage
	select {
	case <-p.done:
	case <-tick:
		return 0, true
	case m, ok = <-p.messages:
	}
	next := p.next.Load()
	for ok {
		if m.Offset >= next && n < len(buf) {
			if m.Offset > next {
				p.g.lost(p.partition, next, m.Offset, GapHole)
			}
			r := &buf[n]
			r.Topic, r.Partition, r.Offset, r.Key, r.Value, r.Time = m.Topic, m.Partition, m.Offset, m.Key, m.Value, m.Timestamp
			next = m.Offset + 1
			n++
		}
		if n == len(buf) || len(p.messages) == 0 { // nobody else receives, so what is there stays
			break
		}
		m, ok = <-p.messages
	}
	if n > 0 {
		p.next.Store(next)
		p.readAt.Store(time.Now().UnixNano())
		p.g.records.Add(uint64(n))
		p.g.metrics.records.Add(float64(n))
		return n, true // an end that has shown is found again by the next call
	}
	if !ok {
		p.over.Store(true)
	}
	return 0, ok
}

// Commit tells the broker that everything below next is done with; the start of
// an assignment is committed by itself. It is for tools that show a group's lag:
// reading never begins there.
func (p *Assigned) Commit(next int64) {
	if next > p.marked.Load() {
		p.session.MarkOffset(p.g.topic, p.partition, next, "")
		p.marked.Store(next)
	}
}

func (p *Assigned) id() int32 { return p.partition }

// progress implements tracked. While the holder leaves records lying nothing is wrong with the reading.
func (p *Assigned) progress() claimObservation {
	return claimObservation{next: p.next.Load(), blocked: len(p.messages) > 0, marked: p.marked.Load()}
}
