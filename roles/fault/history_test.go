package fault_test

import (
	"sync"
	"time"
)

// class is the kind of key a request is for; it decides which failures invariant 12 allows.
type class uint8

const (
	popular class = iota // asked for all the time and changed all the time: in L1
	hot                  // in the L1 of every gateway
	forced               // as popular, changed with op force too
	recast               // deleted and created again, over and over
	stored               // in Redis and the heaps of the cache role, and in no gateway: each is asked for once at each
	cold                 // nowhere but at the origin: each is asked for once at each
	unknown              // not even there
	classCount
)

func (c class) String() string {
	return [...]string{"popular", "hot", "forced", "recast", "stored", "cold", "unknown"}[c]
}

// classes is a set.
type classes uint8

func of(cs ...class) classes {
	var s classes
	for _, c := range cs {
		s |= 1 << c
	}
	return s
}

func (s classes) has(c class) bool { return s&(1<<c) != 0 }

// answer is what one client saw. Times count from the history's begin.
type answer struct {
	key            int64
	shown          int64 // the number of the write that the page shows; 0 is the state before the first
	gateway        int8
	class          class
	status         int16 // 0: no answer
	bare           bool  // 200 without such a number
	marked         bool  // the page says itself that it could not be checked
	excused        bool  // the gateway asked was dead, stopped or cut off from its clients
	sent, received time.Duration
}

// write is a change at the origin.
type write struct {
	key, number int64 // the writes of a key are numbered from 1
	gone        bool
	at          time.Duration
}

// mostAnswers bounds a history, at 56 bytes each.
const mostAnswers = 2_000_000

// history is what was done and seen in one scenario.
type history struct {
	begin time.Time

	mu      sync.Mutex
	answers []answer
	writes  []write
	lost    int // answers beyond the bound
}

func newHistory() *history { return &history{begin: time.Now()} }

func (h *history) now() time.Duration { return time.Since(h.begin) }

func (h *history) saw(a answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.answers) == mostAnswers {
		h.lost++
		return
	}
	h.answers = append(h.answers, a)
}

func (h *history) wrote(w write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writes = append(h.writes, w)
}
