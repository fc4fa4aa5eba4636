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

// sharedToken returns a fencing token that is at most a second old. An older
// token than necessary is safe: it still precedes the pull, and whatever was
// written under a higher one refuses ours.
func (r *Role) sharedToken(ctx context.Context) (int64, error) {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	if time.Since(r.shared.at) < time.Second {
		return r.shared.token, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.LockWait)
	defer cancel()
	at := time.Now()
	token, err := r.zk.Token(ctx)
	if err != nil {
		return 0, fmt.Errorf("take a fencing token: %w", err)
	}
	r.shared.token, r.shared.at = token, at
	return token, nil
}

type sharedToken struct {
	mu    sync.Mutex
	token int64
	at    time.Time
}
