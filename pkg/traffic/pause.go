package traffic

import (
	"context"
	"sync"
	"time"
)

// The first pause after a failure, and the longest.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// pause says how long to leave the server alone. Each failure after a pause makes
// the next one twice as long, up to lastPause; a success ends the series.
type pause struct {
	mu    sync.Mutex
	last  time.Duration // of the pause before, 0 after a success
	until time.Time
}

// failed begins a pause, unless the request belongs to those of before the last one.
// first tells that all was well before.
func (p *pause) failed(sent time.Time) (length time.Duration, first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sent.Before(p.until) {
		return 0, false
	}
	first = p.last == 0
	p.last = min(max(2*p.last, firstPause), lastPause)
	p.until = time.Now().Add(p.last)
	return p.last, first
}

// worked ends the series of failures. It tells whether there was one.
func (p *pause) worked(sent time.Time) (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == 0 || sent.Before(p.until) { // an answer to a request of before says nothing about now
		return false
	}
	p.last = 0
	return true
}

// wait returns when there is no pause, or false when ctx ends.
func (p *pause) wait(ctx context.Context) bool {
	for {
		p.mu.Lock()
		until := p.until
		p.mu.Unlock()
		left := time.Until(until)
		if left <= 0 {
			return ctx.Err() == nil
		}
		if !sleep(ctx, left) {
			return false
		}
	}
}

// sleep returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
