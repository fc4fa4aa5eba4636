package cache

import (
	"sync"
	"time"
)

// attempt names a record of the change feed.
type attempt struct {
	partition int32
	offset    int64
}

// maxAttempts bounds the records that are remembered while they are tried again.
const maxAttempts = 1 << 14

// attempts remembers when a record that fails first did. The time a message was
// produced says nothing about that: it may have waited out an outage, and its
// sender's clock may be wrong.
type attempts struct {
	mu    sync.Mutex
	first map[attempt]time.Time
}

// since returns how long a record has been failing, 0 at its first failure.
// When too many are remembered an arbitrary one is forgotten: it gets more
// patience than it should, never less.
func (a *attempts) since(at attempt, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if first, ok := a.first[at]; ok {
		return now.Sub(first)
	}
	if a.first == nil {
		a.first = map[attempt]time.Time{}
	}
	if len(a.first) >= maxAttempts {
		for other := range a.first {
			delete(a.first, other)
			break
		}
	}
	a.first[at] = now
	return 0
}

func (a *attempts) forget(at attempt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.first, at)
}
