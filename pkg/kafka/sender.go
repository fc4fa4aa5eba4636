package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// requestBytes bounds one produce request over all its partitions.
const requestBytes = 4 << 20

// sender owns the connection to one broker and sends the batches of the
// partitions it leads, one request at a time: a broker works through a
// connection serially, so more in flight would only hide the order.
type sender struct {
	p      *Producer
	broker int32
	wake   chan struct{} // capacity 1
	conn   *sarama.Broker
	addr   string
}

func (s *sender) run(ctx context.Context) {
	defer s.hangUp()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		batches, addr, next := s.p.take(s.broker)
		if len(batches) > 0 {
			s.send(ctx, addr, batches)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(0, time.Until(next))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

func (s *sender) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}

// take collects the batches that may go to this broker now, or says when the next one may.
func (p *Producer) take(broker int32) (out []*batch, addr string, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var total int64
	for _, t := range p.topics {
		for _, q := range t.parts {
			if q.leader != broker {
				continue
			}
			at, ok := q.due(p.cfg.Flush, p.cfg.BatchBytes, p.state == producerDraining)
			if !ok {
				continue
			}
			if at.After(now) || total > requestBytes {
				if next.IsZero() || at.Before(next) {
					next = at
				}
				continue
			}
			if q.batch == nil {
				b, gone := q.cut(p.cfg.BatchBytes)
				for _, it := range gone {
					p.settle(1, it.size)
				}
				if b == nil {
					continue
				}
				q.batch = b
			}
			q.sending = true
			total += q.batch.bytes
			out = append(out, q.batch)
		}
	}
	return out, p.addrs[broker], next
}

// send makes one request of the batches and hands every one its result.
func (s *sender) send(ctx context.Context, addr string, batches []*batch) {
	if s.conn != nil && s.addr != addr {
		s.hangUp()
	}
	if s.conn == nil {
		conn, err := connect(ctx, s.p.conf, addr)
		if err != nil {
			s.p.failed(batches, err)
			return
		}
		s.conn, s.addr = conn, addr
	}
	acks := sarama.WaitForAll
	if s.p.cfg.Acks == AcksLeader {
		acks = sarama.WaitForLocal
	}
	id, err := s.p.ids.current(s.conn, acks)
	if err != nil {
		s.hangUp()
		s.p.failed(batches, fmt.Errorf("get a producer id from kafka broker %s: %w", addr, err))
		return
	}
	req := &sarama.ProduceRequest{RequiredAcks: acks, Timeout: 3000, Version: 9}
	s.p.mu.Lock()
	for _, b := range batches {
		b.number(id)
		req.AddBatch(b.queue.topic, b.queue.id, b.wire)
	}
	s.p.mu.Unlock()
	resp, err := s.conn.Produce(req)
	if err != nil {
		s.hangUp()
		s.p.failed(batches, fmt.Errorf("send to kafka broker %s: %w", addr, err))
		return
	}
	for _, b := range batches {
		block := resp.GetBlock(b.queue.topic, b.queue.id)
		if block == nil {
			s.p.failed([]*batch{b}, fmt.Errorf("send to kafka broker %s: the answer leaves out topic %s partition %d", addr, b.queue.topic, b.queue.id))
			continue
		}
		s.p.answered(b, id, block.Err)
	}
}

// number gives the batch its sequence. A batch keeps it over retries as long
// as the producer id lives; the broker then recognises a copy. Caller holds mu.
func (b *batch) number(id producerID) {
	q := b.queue
	if b.epoch == id.epoch {
		return
	}
	b.epoch = id.epoch
	b.wire.ProducerID, b.wire.ProducerEpoch, b.wire.FirstSequence = id.id, id.generation, -1
	if id.id < 0 {
		return
	}
	if q.epoch != id.epoch {
		q.epoch, q.sequence = id.epoch, 0
	}
	b.wire.FirstSequence = q.sequence
}

// answered handles the broker's word on one batch.
func (p *Producer) answered(b *batch, id producerID, code sarama.KError) {
	switch code {
	case sarama.ErrNoError, sarama.ErrDuplicateSequenceNumber:
		p.done(b, nil)
	case sarama.ErrMessageSizeTooLarge, sarama.ErrInvalidRecord, sarama.ErrMessageSetSizeTooLarge:
		if len(b.items) > 1 { // find the culprit by halving; the good ones go on
			p.split(b)
			return
		}
		cause := error(code)
		if code != sarama.ErrInvalidRecord {
			cause = errors.Join(ErrTooLarge, code)
		}
		p.done(b, fmt.Errorf("send to topic %s partition %d: refused: %w", b.queue.topic, b.queue.id, cause))
	case sarama.ErrInvalidTopic, sarama.ErrInvalidTimestamp, sarama.ErrPolicyViolation, sarama.ErrUnsupportedForMessageFormat:
		p.done(b, fmt.Errorf("send to topic %s partition %d: refused: %w", b.queue.topic, b.queue.id, code))
	case sarama.ErrOutOfOrderSequenceNumber, sarama.ErrUnknownProducerID, sarama.ErrInvalidProducerEpoch, sarama.ErrInvalidProducerIDMapping:
		p.ids.reset(id) // the log lost our state: begin a new sequence under a new id
		p.failed([]*batch{b}, fmt.Errorf("send to topic %s partition %d: %w", b.queue.topic, b.queue.id, code))
	default: // no leader, not enough replicas, time-outs, authorization that may yet be granted
		p.failed([]*batch{b}, fmt.Errorf("send to topic %s partition %d: %w", b.queue.topic, b.queue.id, code))
	}
}

// done takes a batch off the books, written (nil) or refused for good.
func (p *Producer) done(b *batch, err error) {
	if err == nil && p.cfg.OnAck != nil {
		for _, it := range b.items { // nobody else touches a batch that is being sent
			if it.done == nil {
				p.cfg.OnAck(it.rec)
			}
		}
	}
	p.mu.Lock()
	q := b.queue
	q.batch, q.sending, q.failures, q.retryAt = nil, false, 0, time.Time{}
	if err == nil {
		if b.wire.FirstSequence >= 0 && q.epoch == b.epoch {
			q.sequence = nextSequence(q.sequence, len(b.items))
		}
		q.limit = 0
		p.acked += uint64(len(b.items))
		p.metrics.acked(len(b.items))
		p.lastErr = nil
	} else {
		p.lastErr = err
	}
	for _, it := range b.items {
		if err != nil && it.done == nil {
			p.drop(it, DropRejected)
		}
		it.finish(err)
	}
	p.settle(len(b.items), b.bytes)
	p.wake(q.leader) // it may have moved to another sender meanwhile
	p.mu.Unlock()
	if err != nil {
		p.log.Error("kafka refused records for good", "error", err, "records", len(b.items))
	}
}

func (p *Producer) split(b *batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := b.queue
	q.limit = max(1, len(b.items)/2)
	q.unsend()
	q.sending = false
	p.wake(q.leader)
}

// failed leaves the batches where they are, to be sent again after a pause, and asks where they should go now (13).
func (p *Producer) failed(batches []*batch, err error) {
	err = p.conf.explain(err)
	p.mu.Lock()
	first := p.lastErr == nil
	p.lastErr = err
	p.retries += uint64(len(batches))
	p.metrics.failed(len(batches))
	for _, b := range batches {
		q := b.queue
		q.sending = false
		q.retryAt = time.Now().Add(p.cfg.Backoff.delay(q.failures))
		q.failures++
		p.wake(q.leader)
	}
	p.mu.Unlock()
	p.askRefresh()
	if first {
		p.log.Warn("kafka producer has to retry", "error", err)
	}
}

// producerID numbers the batches of this process. epoch counts the ids this
// process has had, from 1; id is -1 where the cluster allows none.
type producerID struct {
	epoch      uint64
	id         int64
	generation int16
}

type producerIDs struct {
	mu    sync.Mutex
	now   producerID
	valid bool
}

// current returns the id in use, asking the broker for one when there is none.
func (p *producerIDs) current(conn *sarama.Broker, acks sarama.RequiredAcks) (producerID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.valid {
		return p.now, nil
	}
	next := producerID{epoch: p.now.epoch + 1, id: -1, generation: -1}
	if acks == sarama.WaitForAll { // the protocol numbers batches only with all replicas' acknowledgement
		resp, err := conn.InitProducerID(&sarama.InitProducerIDRequest{Version: 4, TransactionTimeout: time.Minute, ProducerID: -1, ProducerEpoch: -1})
		switch {
		case err != nil:
			return producerID{}, err
		case resp.Err == sarama.ErrClusterAuthorizationFailed: // an old cluster that grants no idempotent writes
		case resp.Err != sarama.ErrNoError:
			return producerID{}, resp.Err
		default:
			next.id, next.generation = resp.ProducerID, resp.ProducerEpoch
		}
	}
	p.now, p.valid = next, true
	return next, nil
}

// reset gives up id, unless another one is in use already.
func (p *producerIDs) reset(id producerID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.now.epoch == id.epoch {
		p.valid = false
	}
}
