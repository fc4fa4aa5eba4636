package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"sync"
	"time"
)

// Acks says when the broker answers: AcksAll (the default) after every in-sync
// replica has the record, AcksLeader after the leader has it.
type Acks int

// The two settings that give an answer; a producer without answers could not count its losses (14).
const (
	AcksAll Acks = iota
	AcksLeader
)

// ProducerConfig bounds a producer. Zero values mean the default in brackets.
type ProducerConfig struct {
	Config
	MaxRecords      int           // records held at once, queued and in flight [10,000]
	MaxBytes        int64         // bytes held at once, key, value, headers and 64 a record [32 MiB]
	MaxRecordBytes  int           // largest record accepted, key, value and headers [1,000,000]
	BatchBytes      int           // largest batch for one partition [512 KiB]
	Flush           time.Duration // how long an offered record may wait for company; Send never waits [1 ms]
	FlushTimeout    time.Duration // how long Run goes on sending after its context ended [5 s]
	Acks            Acks          // [AcksAll]
	ManualPartition bool          // use Record.Partition instead of the key
	Backoff         Backoff       // between attempts for one partition [20 ms to 1 s]

	// OnDrop, when set, is told of every dropped record exactly once, with the
	// reason Dropped counts it under. It is called with the producer's lock
	// held, so it must be quick and must not call the producer.
	OnDrop func(r Record, reason string)
	// OnAck, when set, is told of every offered record that the broker has
	// acknowledged, by several goroutines and without the lock, before it counts
	// as such in Status. Each offered record comes to one of the two.
	OnAck func(r Record)
}

// Reasons for which an offered record is dropped; keys of Dropped.
const (
	DropFull          = "full"           // the producer holds MaxRecords or MaxBytes
	DropPartitionFull = "partition_full" // the partition has used up its share, so that a dead broker cannot starve the others (24)
	DropTooLarge      = "too_large"      // above MaxRecordBytes
	DropClosed        = "closed"         // offered while or after Run ended
	DropShutdown      = "shutdown"       // still unsent when the flush at the end of Run ran out of time
	DropRejected      = "rejected"       // the broker refused it for good, or the topic has no such partition
)

var (
	// ErrTooLarge says that a record is above MaxRecordBytes or above the topic's limit.
	ErrTooLarge = errors.New("the record is too large")
	// ErrClosed says that the producer's Run has ended or is ending.
	ErrClosed = errors.New("the producer is closed")
	// ErrNoPartition says that the topic does not have the partition that was picked by hand.
	ErrNoPartition = errors.New("no such partition")
)

const recordOverhead = 64

// Producer sends records in order per partition, at most one batch in flight
// for each, and keeps every record until the broker has acknowledged it or
// refused it for good (38). All memory is under MaxRecords and MaxBytes: there
// is no second buffer for retries (23). A batch is sent again unchanged, with
// the same producer id and sequence, so a retry after a lost answer is not
// written twice.
type Producer struct {
	cfg     ProducerConfig
	conf    settings
	log     *slog.Logger
	metrics producerMetrics
	dir     *directory
	refresh chan struct{} // asks for fresh metadata; capacity 1

	mu      sync.Mutex
	state   producerState
	topics  map[string]*topicQueue
	senders map[int32]*sender
	addrs   map[int32]string
	records int
	bytes   int64
	room    chan struct{} // closed when records leave; nil when nobody waits
	idle    chan struct{} // closed when nothing is held any more; nil when nobody waits
	dropped map[string]uint64
	acked   uint64
	retries uint64
	lastErr error

	ids producerIDs
}

type producerState int

const (
	producerNew producerState = iota
	producerRunning
	producerDraining
	producerClosed
)

// ProducerStatus is a snapshot for a status page.
type ProducerStatus struct {
	Records   int    // held now
	Bytes     int64  // held now
	Acked     uint64 // acknowledged since the start
	Retries   uint64 // batches that had to be sent again
	LastError string // "" while all is well
}

// NewProducer checks the settings and does no I/O.
func NewProducer(cfg ProducerConfig, deps Deps) (*Producer, error) {
	conf, err := cfg.sarama()
	if err != nil {
		return nil, err
	}
	cfg.MaxRecords = positive(cfg.MaxRecords, 10_000)
	cfg.MaxBytes = positive(cfg.MaxBytes, 32<<20)
	cfg.MaxRecordBytes = positive(cfg.MaxRecordBytes, 1_000_000)
	cfg.BatchBytes = positive(cfg.BatchBytes, 512<<10)
	cfg.Flush = positive(cfg.Flush, time.Millisecond)
	cfg.FlushTimeout = positive(cfg.FlushTimeout, 5*time.Second)
	cfg.Backoff = cfg.Backoff.or(20*time.Millisecond, time.Second)
	return &Producer{
		cfg: cfg, conf: conf, log: deps.logger(),
		metrics: newProducerMetrics(deps.Registry, cfg.clientID()),
		dir:     newDirectory(conf, cfg.Brokers),
		refresh: make(chan struct{}, 1),
		topics:  make(map[string]*topicQueue),
		senders: make(map[int32]*sender),
		dropped: make(map[string]uint64),
	}, nil
}

func positive[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Offer queues a record without ever waiting. False means that it was dropped and counted under its reason.
func (p *Producer) Offer(r Record) bool {
	it := newItem(r)
	p.mu.Lock()
	reason := p.admit(it)
	if reason != "" {
		p.drop(it, reason)
	}
	p.mu.Unlock()
	return reason == ""
}

// Send queues a record, waiting for room, and returns nil once the broker has
// acknowledged it. It is retried inside until ctx ends; an error from ctx after
// the record left leaves its fate unknown, which the text says.
func (p *Producer) Send(ctx context.Context, r Record) error {
	it := newItem(r)
	it.done = make(chan error, 1)
	for {
		p.mu.Lock()
		reason := p.admit(it)
		var room chan struct{}
		if reason == DropFull || reason == DropPartitionFull {
			if p.room == nil {
				p.room = make(chan struct{})
			}
			room = p.room
		}
		p.mu.Unlock()
		switch reason {
		case "":
			return p.await(ctx, it)
		case DropTooLarge:
			return fmt.Errorf("send %d bytes to topic %s: %w", r.bytes(), r.Topic, ErrTooLarge)
		case DropClosed:
			return fmt.Errorf("send to topic %s: %w", r.Topic, ErrClosed)
		case DropRejected:
			return fmt.Errorf("send to topic %s: %w: %d", r.Topic, ErrNoPartition, r.Partition)
		}
		select {
		case <-room:
		case <-ctx.Done():
			return fmt.Errorf("send to topic %s: wait for room in the queue: %w", r.Topic, ctx.Err())
		}
	}
}

func (p *Producer) await(ctx context.Context, it *item) error {
	select {
	case err := <-it.done:
		return err
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case err := <-it.done: // the answer came while we took the lock
		return err
	default:
	}
	it.cancelled = true
	if it.left {
		return fmt.Errorf("send to topic %s: the broker has not acknowledged the record and may have written it: %w", it.rec.Topic, ctx.Err())
	}
	return fmt.Errorf("send to topic %s: the record was not sent: %w", it.rec.Topic, ctx.Err())
}

// Partitions is the number of partitions a topic has, 0 while it is not known.
// Asking makes the producer learn it and keep it fresh while Run runs, whether
// or not a record was ever offered for the topic.
func (p *Producer) Partitions(topic string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := len(p.topics)
	t := p.topic(topic)
	if len(p.topics) > known {
		p.askRefresh()
	}
	return len(t.parts)
}

// Dropped counts the dropped records by reason; only offered records are dropped, Send reports to its caller.
func (p *Producer) Dropped() map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.dropped)
}

// Status is a snapshot of the queue and counters.
func (p *Producer) Status() ProducerStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := ProducerStatus{Records: p.records, Bytes: p.bytes, Acked: p.acked, Retries: p.retries}
	if p.lastErr != nil {
		s.LastError = p.lastErr.Error()
	}
	return s
}

// admit puts the item into its queue, or says why not. Caller holds mu.
func (p *Producer) admit(it *item) string {
	switch {
	case p.state == producerDraining || p.state == producerClosed:
		return DropClosed
	case it.rec.bytes() > p.cfg.MaxRecordBytes:
		return DropTooLarge
	case p.records >= p.cfg.MaxRecords || p.bytes+it.size > p.cfg.MaxBytes && p.records > 0:
		return DropFull
	}
	t := p.topic(it.rec.Topic)
	if len(t.parts) == 0 {
		t.waiting = append(t.waiting, it)
		p.askRefresh()
	} else if t.misplaced(it, p.cfg.ManualPartition) {
		return DropRejected
	} else {
		q := t.choose(it, p.cfg.ManualPartition, p.share(len(t.parts)))
		if q == nil {
			return DropPartitionFull
		}
		q.push(it)
		p.wake(q.leader)
	}
	p.records++
	p.bytes += it.size
	p.metrics.held(p.records, p.bytes)
	return ""
}

// topic finds the queues of a topic; an entry is what makes the producer learn its layout. Caller holds mu.
func (p *Producer) topic(name string) *topicQueue {
	t := p.topics[name]
	if t == nil {
		t = &topicQueue{name: name}
		p.topics[name] = t
	}
	return t
}

// share is how many records one of n partitions may hold: with a third of the
// partitions on a dead broker at least a third of the queue stays free for the
// living ones (24).
func (p *Producer) share(n int) int {
	if n <= 1 {
		return p.cfg.MaxRecords
	}
	return max(1, int(int64(p.cfg.MaxRecords)*2/int64(n+1)))
}

// settle takes n records off the books and tells whoever waits. Caller holds mu.
func (p *Producer) settle(n int, bytes int64) {
	p.records -= n
	p.bytes -= bytes
	p.metrics.held(p.records, p.bytes)
	if p.room != nil && n > 0 {
		close(p.room)
		p.room = nil
	}
	if p.records == 0 && p.idle != nil {
		close(p.idle)
		p.idle = nil
	}
}

// drop counts a lost record and tells of it. Caller holds mu.
func (p *Producer) drop(it *item, reason string) {
	p.dropped[reason]++
	p.metrics.dropped(reason)
	if p.cfg.OnDrop != nil {
		p.cfg.OnDrop(it.rec, reason)
	}
}

func (p *Producer) askRefresh() {
	select {
	case p.refresh <- struct{}{}:
	default:
	}
}

func (p *Producer) wake(broker int32) {
	if s := p.senders[broker]; s != nil {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// nextSequence advances a sequence number; the protocol wraps it at 2^31.
func nextSequence(seq int32, n int) int32 {
	return int32((int64(seq) + int64(n)) & math.MaxInt32)
}
