package kafka

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff grows from Min to Max by doubling, with up to a quarter of jitter taken off.
type Backoff struct{ Min, Max time.Duration }

func (b Backoff) or(minimum, maximum time.Duration) Backoff {
	if b.Min <= 0 {
		b.Min = minimum
	}
	if b.Max <= 0 {
		b.Max = max(maximum, b.Min)
	}
	return b
}

// delay is the pause after the attempt with this number, counted from 0.
func (b Backoff) delay(attempt int) time.Duration {
	d := b.Min
	for range min(attempt, 40) {
		if d >= b.Max {
			break
		}
		d *= 2
	}
	d = min(d, b.Max)
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

// pause waits, or returns false when ctx ends first.
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
