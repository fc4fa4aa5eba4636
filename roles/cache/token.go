package cache

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// floodLimit is how many pulls within a second may end in 404 before fills stop
// taking locks.
const floodLimit = 100

// absentRate counts pulls that ended in 404 in the current second.
type absentRate struct {
	mu     sync.Mutex
	second int64
	count  int
	before int // in the second before
}

func (a *absentRate) roll(now time.Time) {
	switch s := now.Unix(); s {
	case a.second:
	case a.second + 1:
		a.second, a.before, a.count = s, a.count, 0
	default:
		a.second, a.before, a.count = s, 0, 0
	}
}

func (r *Role) noteAbsent() {
	r.overload.spend()
	a := &r.absents
	a.mu.Lock()
	defer a.mu.Unlock()
	a.roll(time.Now())
	a.count++
}

// flooded reports whether ids that do not exist are being asked for in bulk.
func (r *Role) flooded() bool {
	a := &r.absents
	a.mu.Lock()
	defer a.mu.Unlock()
	a.roll(time.Now())
	return a.count > floodLimit || a.before > floodLimit
}

// tokenLife is how long a shared token is used.
const tokenLife = time.Second

// sharedToken returns a fencing token that is at most tokenLife old. An older
// token than necessary is safe: it still precedes the pull, and whatever was
// written under a higher one refuses ours.
func (r *Role) sharedToken(ctx context.Context) (int64, error) {
	if t := r.lastToken.Load(); t != nil && time.Since(t.at) < tokenLife {
		return t.token, nil
	}
	token, _, err := r.tokens.Do(ctx, struct{}{}, func(ctx context.Context) (int64, error) {
		at := time.Now() // before it is taken: it must not seem younger than it is
		token, err := r.zk.Token(ctx)
		if err == nil {
			r.lastToken.Store(&sharedToken{token: token, at: at})
		}
		return token, err
	})
	if err != nil {
		return 0, fmt.Errorf("take a fencing token: %w", err)
	}
	return token, nil
}

type sharedToken struct {
	token int64
	at    time.Time
}
