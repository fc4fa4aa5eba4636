package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// maxFetchBytes is the largest answer asked for when a single batch is larger than FetchBytes.
const maxFetchBytes = 64 << 20

// partitionReader reads one partition over a connection of its own, so that a
// silent or dead broker delays only the partitions it leads, and a fetch that
// waits for data delays none. Only its goroutine writes the fields.
type partitionReader struct {
	r          *Reader
	id         int32
	start      int64 // where to begin: a time in ms, or one of sarama's two marks
	topic      sarama.Uuid
	fetchBytes int32
	conn       *sarama.Broker
	addr       string
	failures   int

	mu         sync.Mutex // guards what Status reads
	next       int64
	high       int64
	target     int64 // the end of the log when reading began
	lastRecord time.Time
	lastAnswer time.Time
}

func (p *partitionReader) run(ctx context.Context) {
	defer p.hangUp()
	for ctx.Err() == nil {
		addr, topic, changed := p.r.leader(p.id)
		if addr == "" {
			p.hangUp()
			p.r.askRefresh()
			p.rest(ctx, changed)
			continue
		}
		err := p.step(ctx, addr, topic)
		if ctx.Err() != nil {
			return
		}
		p.r.note(err)
		if err == nil {
			p.failures = 0
			continue
		}
		p.hangUp()
		p.r.askRefresh()
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			// Under the same name there may be another topic by the next fetch, and
			// our offset may be one of its: not before its id is asked for anew.
			_, _, changed = p.r.leader(p.id)
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
		p.rest(ctx, changed)
	}
}

// rest waits after a failure, shorter when a new layout comes in.
func (p *partitionReader) rest(ctx context.Context, changed <-chan struct{}) {
	t := time.NewTimer(p.r.cfg.Backoff.delay(p.failures))
	defer t.Stop()
	p.failures++
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-changed:
		pause(ctx, p.r.cfg.Backoff.Min)
	}
}

func (p *partitionReader) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}

// step connects where needed, finds the start where needed, and fetches once.
func (p *partitionReader) step(ctx context.Context, addr string, topic sarama.Uuid) error {
	if p.conn != nil && p.addr != addr {
		p.hangUp()
	}
	if p.conn == nil {
		conn, err := connect(ctx, p.r.conf, addr)
		if err != nil {
			return err
		}
		p.conn, p.addr = conn, addr
	}
	if topic != p.topic {
		return p.recreated(topic)
	}
	if p.next < 0 {
		return p.begin()
	}
	return p.fetch()
}

// begin finds the first offset to read and the end of the log as of now. When it
// is the oldest that the log still has, then what came before may be as young as
// the start too: the brokers may not have answered for as long as they keep
// records. That is a gap.
func (p *partitionReader) begin() error {
	end, err := p.offsetAt(sarama.OffsetNewest)
	if err != nil {
		return err
	}
	next, lost := end, false
	if p.start != sarama.OffsetNewest {
		if next, err = p.offsetAt(p.start); err != nil {
			return err
		}
		if next < 0 { // nothing is as young as that
			next = end
		}
	}
	if p.start >= 0 && next > 0 { // a point in time
		first, err := p.offsetAt(sarama.OffsetOldest) // after next: it only grows
		if err != nil {
			return err
		}
		lost = first >= next
		next = max(next, first)
	}
	p.mu.Lock()
	p.next, p.target, p.high = next, max(next, end), max(next, end)
	p.lastAnswer = time.Now()
	p.mu.Unlock()
	if lost {
		p.gap(0, next, GapRetention)
	}
	return nil
}

// recreated begins the new incarnation of the topic from its beginning.
func (p *partitionReader) recreated(topic sarama.Uuid) error {
	first, err := p.offsetAt(sarama.OffsetOldest)
	if err != nil {
		return err
	}
	p.topic = topic
	if p.next < 0 {
		return nil
	}
	from := p.next
	p.mu.Lock()
	p.next = first
	p.target = min(p.target, first)
	p.mu.Unlock()
	p.gap(from, first, GapRecreated)
	return nil
}

func (p *partitionReader) gap(from, to int64, reason string) {
	p.r.metrics.gap(reason)
	p.r.log.Warn("kafka reader lost records", "topic", p.r.cfg.Topic, "partition", p.id, "from", from, "to", to, "reason", reason)
	p.r.events.Gap(p.id, from, to, reason)
}

// offsetAt asks for the offset at a time in ms or at one of sarama's marks; -1 means no record is as young.
func (p *partitionReader) offsetAt(at int64) (int64, error) {
	req := sarama.NewOffsetRequest(p.r.conf.Version)
	req.AddBlock(p.r.cfg.Topic, p.id, at, 1)
	resp, err := p.conn.GetAvailableOffsets(req)
	if err != nil {
		return 0, fmt.Errorf("ask kafka broker %s for an offset of topic %s partition %d: %w", p.addr, p.r.cfg.Topic, p.id, err)
	}
	b := resp.GetBlock(p.r.cfg.Topic, p.id)
	if b == nil {
		return 0, fmt.Errorf("ask kafka broker %s for an offset of topic %s partition %d: %w", p.addr, p.r.cfg.Topic, p.id, sarama.ErrIncompleteResponse)
	}
	if b.Err != sarama.ErrNoError {
		return 0, fmt.Errorf("ask kafka broker %s for an offset of topic %s partition %d: %w", p.addr, p.r.cfg.Topic, p.id, b.Err)
	}
	return b.Offset, nil
}

func (p *partitionReader) fetch() error {
	req := &sarama.FetchRequest{
		Version: 11, MaxWaitTime: int32(p.r.cfg.MaxWait.Milliseconds()), MinBytes: 1, MaxBytes: p.fetchBytes,
		SessionID: 0, SessionEpoch: -1, Isolation: sarama.ReadUncommitted,
	}
	req.AddBlock(p.r.cfg.Topic, p.id, p.next, p.fetchBytes, -1)
	resp, err := p.conn.Fetch(req)
	if err != nil {
		return fmt.Errorf("fetch topic %s partition %d from kafka broker %s: %w", p.r.cfg.Topic, p.id, p.addr, err)
	}
	block := resp.GetBlock(p.r.cfg.Topic, p.id)
	switch {
	case block == nil && resp.ThrottleTime > 0:
		return nil
	case block == nil:
		return fmt.Errorf("fetch topic %s partition %d from kafka broker %s: %w", p.r.cfg.Topic, p.id, p.addr, sarama.ErrIncompleteResponse)
	case block.Err == sarama.ErrOffsetOutOfRange:
		return p.outOfRange()
	case block.Err != sarama.ErrNoError:
		return fmt.Errorf("fetch topic %s partition %d from kafka broker %s: %w", p.r.cfg.Topic, p.id, p.addr, block.Err)
	}
	return p.deliver(block)
}

// outOfRange finds out on which side of the log we are and goes on at its nearer end.
func (p *partitionReader) outOfRange() error {
	first, err := p.offsetAt(sarama.OffsetOldest)
	if err != nil {
		return err
	}
	end, err := p.offsetAt(sarama.OffsetNewest)
	if err != nil {
		return err
	}
	from := p.next
	switch {
	case from < first:
		p.moveTo(first)
		p.gap(from, first, GapRetention)
	case from > end:
		p.moveTo(end)
		p.gap(from, end, GapTruncated)
	default: // in range by now; a leader that has just been elected can be behind for a moment
		return errors.New("the broker said out of range for an offset that is in range")
	}
	return nil
}

func (p *partitionReader) moveTo(next int64) {
	p.mu.Lock()
	p.next = next
	p.lastAnswer = time.Now()
	p.mu.Unlock()
}

// deliver hands over the records of one answer.
func (p *partitionReader) deliver(block *sarama.FetchResponseBlock) error {
	p.mu.Lock()
	p.high = block.HighWaterMarkOffset
	p.lastAnswer = time.Now()
	p.mu.Unlock()
	records, end, partial := decode(block, p.r.cfg.Topic, p.id, p.next)
	for _, rec := range records {
		if rec.Offset > p.next {
			from := p.next
			p.moveTo(rec.Offset)
			p.gap(from, rec.Offset, GapHole)
		}
		p.r.events.Record(rec)
		p.mu.Lock()
		p.next = rec.Offset + 1
		p.lastRecord = rec.Time
		p.mu.Unlock()
	}
	p.r.metrics.records.Add(float64(len(records)))
	if end > p.next { // control records at the end
		p.moveTo(end)
	}
	if len(records) == 0 && partial {
		if p.fetchBytes >= maxFetchBytes {
			from := p.next
			p.moveTo(from + 1)
			p.gap(from, from+1, GapCorrupt)
			return nil
		}
		p.fetchBytes *= 2
	} else if len(records) > 0 {
		p.fetchBytes = p.r.cfg.FetchBytes
	}
	return nil
}
