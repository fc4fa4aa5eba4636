package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Run sends what is offered until ctx ends, then goes on for at most
// FlushTimeout to empty the queue. It reconnects for ever and returns nil; a
// second call is an error. All its goroutines are done when it returns.
func (p *Producer) Run(ctx context.Context) error {
	p.mu.Lock()
	if p.state != producerNew {
		p.mu.Unlock()
		return errors.New("kafka producer: Run was called before")
	}
	p.state = producerRunning
	p.mu.Unlock()

	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { p.followLayout(work, &wg) })
	<-ctx.Done()

	p.mu.Lock()
	p.state = producerDraining
	var idle chan struct{}
	if p.records > 0 {
		idle = make(chan struct{})
		p.idle = idle
	}
	for id := range p.senders {
		p.wake(id)
	}
	p.mu.Unlock()
	if idle != nil {
		limit := time.NewTimer(p.cfg.FlushTimeout)
		select {
		case <-idle:
		case <-limit.C:
		}
		limit.Stop()
	}
	stop()
	wg.Wait()
	p.dir.close()
	p.abandon()
	return nil
}

// abandon accounts for what could not be sent by the end.
func (p *Producer) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = producerClosed
	lose := func(items []*item) {
		for _, it := range items {
			if it.done == nil {
				p.drop(it, DropShutdown)
			}
			it.finish(fmt.Errorf("send to topic %s: not acknowledged by the end: %w", it.rec.Topic, ErrClosed))
			p.settle(1, it.size)
		}
	}
	for _, t := range p.topics {
		lose(t.waiting)
		t.waiting = nil
		for _, q := range t.parts {
			if q.batch != nil {
				lose(q.batch.items)
			}
			lose(q.pending)
			q.batch, q.pending = nil, nil
		}
	}
	if p.room != nil {
		close(p.room)
		p.room = nil
	}
}

// followLayout keeps the partitions and their leaders fresh: every 10 s, and
// at once after an error or for a new topic, but not more often than layoutInterval.
func (p *Producer) followLayout(ctx context.Context, wg *sync.WaitGroup) {
	again := time.NewTimer(0)
	defer again.Stop()
	failures := 0
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.refresh:
		case <-again.C:
		}
		if !pause(ctx, time.Until(last.Add(layoutInterval))) {
			return
		}
		last = time.Now()
		topics := p.wanted()
		if len(topics) == 0 {
			again.Reset(metadataInterval)
			continue
		}
		view, err := p.dir.fetch(ctx, true, topics...)
		next := metadataInterval
		if err != nil {
			if ctx.Err() == nil && failures == 0 {
				p.log.Warn("kafka producer cannot reach the brokers", "error", err)
			}
			p.note(err)
			next = p.cfg.Backoff.delay(failures)
			failures++
		} else {
			failures = 0
			next = p.adopt(ctx, view, wg)
		}
		again.Reset(next)
	}
}

func (p *Producer) note(err error) {
	p.mu.Lock()
	p.lastErr = err
	p.mu.Unlock()
}

func (p *Producer) wanted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]string, 0, len(p.topics))
	for name := range p.topics {
		out = append(out, name)
	}
	return out
}

// adopt takes over a new layout and says how soon to look again: records that
// wait for a partition or a leader want it at once, a topic that was only asked for soon.
func (p *Producer) adopt(ctx context.Context, view *clusterView, wg *sync.WaitGroup) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs = view.brokers
	next := metadataInterval
	for _, t := range p.topics {
		tv, ok := view.topics[t.name]
		if !ok || len(tv.partitions) == 0 {
			next = min(next, time.Second)
			if len(t.waiting) > 0 {
				next = 100 * time.Millisecond
				if tv.err != nil {
					err := p.conf.explain(fmt.Errorf("kafka topic %s: %w", t.name, tv.err))
					if p.lastErr == nil {
						p.log.Warn("kafka producer waits for a topic", "error", err)
					}
					p.lastErr = err
				}
			}
			continue
		}
		t.resize(len(tv.partitions))
		for i, q := range t.parts {
			moved := q.leader != tv.partitions[i].leader
			q.leader = tv.partitions[i].leader
			if moved {
				q.retryAt = time.Time{} // a new leader need not wait for the old one's pause
			}
			if q.leader < 0 {
				if q.count() > 0 {
					next = 100 * time.Millisecond
				}
			} else if p.senders[q.leader] == nil {
				s := &sender{p: p, broker: q.leader, wake: make(chan struct{}, 1)}
				p.senders[q.leader] = s
				wg.Go(func() { s.run(ctx) })
			}
		}
		p.distribute(t)
	}
	for id := range p.senders {
		p.wake(id)
	}
	return next
}

// distribute moves the records that waited for the layout to their partitions.
// They are on the books already, so the shares do not apply. One for a partition
// that the topic does not have is given up. Caller holds mu.
func (p *Producer) distribute(t *topicQueue) {
	waiting := t.waiting
	t.waiting = nil
	for _, it := range waiting {
		if t.misplaced(it, p.cfg.ManualPartition) {
			p.settle(1, it.size)
			if it.done == nil {
				p.drop(it, DropRejected)
			}
			it.finish(fmt.Errorf("send to topic %s: %w: %d", t.name, ErrNoPartition, it.rec.Partition))
			continue
		}
		t.choose(it, p.cfg.ManualPartition, p.cfg.MaxRecords+1).push(it)
	}
}

// resize follows the number of partitions. Records of partitions that are gone
// (the topic was created anew, smaller) go back to be placed again.
func (t *topicQueue) resize(n int) {
	for len(t.parts) < n {
		t.parts = append(t.parts, &partitionQueue{topic: t.name, id: int32(len(t.parts)), leader: -1})
	}
	for len(t.parts) > n {
		q := t.parts[len(t.parts)-1]
		if q.sending {
			return // in flight just now; the next refresh comes by again
		}
		if q.batch != nil {
			q.unsend()
		}
		t.waiting = append(t.waiting, q.pending...)
		q.pending = nil
		t.parts = t.parts[:len(t.parts)-1]
	}
}
