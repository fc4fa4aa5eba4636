package hotcount

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"eshop/pkg/hotlist"
)

// Times of publishing.
const (
	publishTimeout = 5 * time.Second        // of one write
	publishAgain   = 200 * time.Millisecond // after a failure
	publishGap     = 20 * time.Millisecond  // between two writes of a hot list: every one is read by every gateway
	complainAgain  = time.Minute            // between two log lines on failures of a partition
	claimAgain     = 20 * time.Second       // after another process was found to have claimed the partition
)

// lists is where a partition's lists are published; *hotlist.Publisher is one.
type lists interface {
	PublishHot(ctx context.Context, list hotlist.Hot) error
	PublishTop(ctx context.Context, list hotlist.Top) error
}

// claimed is the right to publish a partition's lists, and what the former
// holder has published.
type claimed struct {
	lists      lists
	generation int64
	former     hotlist.Hot
}

// publisher writes one partition's lists to ZooKeeper beside the counting, which
// only leaves the newest ones in its mailbox. While ZooKeeper is away the
// mailbox is all that fills, and holds one list of each kind.
type publisher struct {
	log       *slog.Logger
	metrics   *metrics
	delays    *delays
	connected func(ctx context.Context) error // waits for ZooKeeper
	claim     func(ctx context.Context) (claimed, error)

	// former is set when the partition has been claimed; generation is that of
	// the claim.
	former     atomic.Pointer[hotlist.Hot]
	generation atomic.Int64
	// superseded says that another process has claimed the partition.
	superseded atomic.Bool
	complained time.Time // of run

	mail  chan struct{} // capacity 1: there is something in the mailbox
	mu    sync.Mutex
	hot   *hotlist.Hot
	top   *hotlist.Top
	found []int64 // event times, for the keys of hot that are new
}

// offerHot leaves a hot list, in place of one that has not been published yet.
// found are the times of the newest hits when its new keys were found.
func (p *publisher) offerHot(list *hotlist.Hot, found []int64) {
	p.mu.Lock()
	p.hot = list
	p.found = append(p.found, found...)
	if over := len(p.found) - len(list.Keys); over > 0 { // keys that came and went while ZooKeeper was away
		p.found = p.found[over:]
	}
	p.mu.Unlock()
	p.wake()
}

// offerTop leaves a ranking, in place of one that has not been published yet.
func (p *publisher) offerTop(list *hotlist.Top) {
	p.mu.Lock()
	p.top = list
	p.mu.Unlock()
	p.wake()
}

func (p *publisher) wake() {
	select {
	case p.mail <- struct{}{}:
	default:
	}
}

// run claims the partition and publishes until ctx ends. When another process
// has claimed it since, this one writes nothing more: the group is about to take
// the partition away. If it has not done so after claimAgain, the other one is
// the one that came late, and the partition is claimed anew.
func (p *publisher) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := p.hold(ctx)
		if !errors.Is(err, hotlist.ErrSuperseded) {
			return // ctx or the ZooKeeper session has ended
		}
		p.superseded.Store(true)
		p.log.Warn("another process publishes this partition now: this one stops", "err", err)
		pause(ctx, claimAgain)
	}
}

// hold publishes until ctx ends, or until another process has claimed the
// partition, which is what its error says.
func (p *publisher) hold(ctx context.Context) error {
	out, err := p.claimIt(ctx)
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.mail:
		}
		var wait time.Duration
		wait, err = p.deliver(ctx, out)
		if err != nil && !errors.Is(err, hotlist.ErrSuperseded) {
			p.failed(ctx, "a list could not be published and is tried again", err)
			err = nil
		}
		if err == nil && !pause(ctx, wait) {
			return ctx.Err()
		}
	}
	return err
}

// claimIt tries until it succeeds, ctx ends, or another process turns out to
// have claimed the partition meanwhile.
func (p *publisher) claimIt(ctx context.Context) (lists, error) {
	for {
		if err := p.connected(ctx); err != nil {
			return nil, err
		}
		try, cancel := context.WithTimeout(ctx, publishTimeout)
		got, err := p.claim(try)
		cancel()
		if err == nil {
			p.generation.Store(got.generation)
			p.former.Store(&got.former)
			p.superseded.Store(false)
			return got.lists, nil
		}
		if errors.Is(err, hotlist.ErrSuperseded) {
			return nil, err
		}
		p.failed(ctx, "the partition's lists could not be claimed and are tried again", err)
		if !pause(ctx, publishAgain) {
			return nil, ctx.Err()
		}
	}
}

func (p *publisher) failed(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		p.metrics.publishErrors.Inc()
		if now := time.Now(); now.Sub(p.complained) >= complainAgain {
			p.complained = now
			p.log.Warn(what, "err", err)
		}
	}
}

// deliver writes what is in the mailbox once ZooKeeper is there, so that what
// goes out after an outage is the newest. It returns how long to wait before the
// next delivery.
func (p *publisher) deliver(ctx context.Context, out lists) (time.Duration, error) {
	if err := p.connected(ctx); err != nil {
		return 0, err
	}
	p.mu.Lock()
	hot, found, top := p.hot, p.found, p.top
	p.hot, p.found, p.top = nil, nil, nil
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	if hot != nil {
		if err := out.PublishHot(ctx, *hot); err != nil {
			p.putBack(hot, found, top)
			return publishAgain, err
		}
		p.told(found)
	}
	if top != nil {
		if err := out.PublishTop(ctx, *top); err != nil {
			p.putBack(nil, nil, top)
			return publishAgain, err
		}
		p.metrics.published.WithLabelValues("top").Inc()
	}
	if hot == nil {
		return 0, nil
	}
	return publishGap, nil
}

// told counts a hot list that ZooKeeper has acknowledged.
func (p *publisher) told(found []int64) {
	p.metrics.published.WithLabelValues("hot").Inc()
	now := time.Now().UnixMilli()
	for _, at := range found {
		delay := time.Duration(max(0, now-at)) * time.Millisecond // a sender's clock may be ahead
		p.metrics.detection.Observe(delay.Seconds())
		p.delays.add(delay)
	}
}

// putBack returns what could not be published to the mailbox, unless there is
// something newer by now.
func (p *publisher) putBack(hot *hotlist.Hot, found []int64, top *hotlist.Top) {
	p.mu.Lock()
	if p.hot == nil {
		p.hot = hot
	}
	p.found = append(found, p.found...)
	if p.top == nil {
		p.top = top
	}
	p.mu.Unlock()
	p.wake()
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
