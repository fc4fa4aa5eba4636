package zookeeper

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff spaces the attempts of one caller: at once, then 10 ms, doubling up
// to 2 s, with jitter.
type backoff struct{ attempts int }

func (b *backoff) reset() { b.attempts = 0 }

// wait returns when the next attempt is due, or with the cause of ctx, or with
// errGone.
func (b *backoff) wait(ctx context.Context, gone <-chan struct{}) error {
	b.attempts++
	if b.attempts == 1 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	pause := min(10*time.Millisecond<<min(b.attempts-2, 8), 2*time.Second)
	timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-gone:
		return errGone
	}
}
