package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"eshop/pkg/zookeeper"
)

// fence is what a lock protects: it refuses tokens that do not rise, and knows
// who believes to hold.
type fence struct {
	mu      sync.Mutex
	granted int64
	holder  *zookeeper.Ticket
}

// grant notes a new holder and says what is wrong with it.
func (f *fence) grant(t *zookeeper.Ticket) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, token := f.holder, f.granted
	f.holder, f.granted = t, t.Token()
	switch {
	case before != nil && !isClosed(before.Lost()):
		return "two holders at a time"
	case t.Token() <= token:
		return fmt.Sprintf("token %d was granted after %d", t.Token(), token)
	}
	return ""
}

func (f *fence) leave(t *zookeeper.Ticket) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.holder == t {
		f.holder = nil
	}
}

// Connections are cut and silenced at random, some for so long that sessions
// expire, contexts end at random, holders forget to hurry: never do two
// holders that have not lost their lock overlap, tokens rise in grant order,
// and in the end no node is left. PITFALLS 26 to 29, 39, 40.
func TestRandomSchedules(t *testing.T) {
	onBoth(t, func(e *env) {
		const sessions, workers, names = 4, 16, 3
		seed := uint64(time.Now().UnixNano())
		e.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		chaos, calm := context.WithTimeout(e.Context(), 6*time.Second)
		defer calm()
		var fences [names]fence
		var tasks sync.WaitGroup
		var grants, losses, gaveUp int
		var counts sync.Mutex
		var all []*zookeeper.Session
		for range sessions {
			p := e.proxy()
			s := e.session(through(p, p), timeout(1500*time.Millisecond))
			all = append(all, s)
			dice := rand.New(rand.NewPCG(random.Uint64(), 1))
			tasks.Go(func() { e.disturb(chaos, p, dice) })
		}
		for worker := range workers {
			dice := rand.New(rand.NewPCG(seed, uint64(worker)+2))
			s := all[worker%len(all)]
			tasks.Go(func() {
				for chaos.Err() == nil {
					name := dice.IntN(names)
					outcome := e.takeOnce(chaos, s, fmt.Sprint("k", name), &fences[name], dice)
					counts.Lock()
					switch outcome {
					case "held":
						grants++
					case "lost":
						losses++
					default:
						gaveUp++
					}
					counts.Unlock()
				}
			})
		}
		tasks.Wait()
		e.Logf("%d held and released, %d lost while held, %d gave up", grants, losses, gaveUp)
		if grants == 0 {
			e.Error("no lock was ever held")
		}
		observer := e.session()
		e.wantNoLockNodes(observer)
		for i, s := range all {
			for name := range names {
				ticket := e.held(s, fmt.Sprint("k", name))
				if wrong := fences[name].grant(ticket); wrong != "" {
					e.Errorf("session %d in the end: %s", i, wrong)
				}
				fences[name].leave(ticket)
				ticket.Release()
			}
		}
		e.wantNoLockNodes(observer)
	})
}

// takeOnce takes a lock, keeps it for a random while and releases it.
func (e *env) takeOnce(ctx context.Context, s *zookeeper.Session, name string, f *fence, dice *rand.Rand) string {
	limit := time.Duration(dice.IntN(1500)) * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticket, err := s.Enqueue(ctx, name)
	if err != nil {
		if ctx.Err() == nil {
			e.Errorf("enqueue: %v", err)
		}
		return "gave up"
	}
	defer ticket.Release()
	if err := ticket.Wait(ctx); err != nil {
		if ctx.Err() == nil && !errors.Is(err, zookeeper.ErrLost) {
			e.Errorf("wait: %v", err)
		}
		return "gave up"
	}
	if wrong := f.grant(ticket); wrong != "" && !isClosed(ticket.Lost()) {
		e.Error(wrong)
	}
	defer f.leave(ticket)
	work := time.NewTimer(time.Duration(dice.IntN(20)) * time.Millisecond)
	if dice.IntN(8) == 0 {
		work.Reset(time.Second)
	}
	defer work.Stop()
	select {
	case <-work.C:
		return "held"
	case <-ticket.Lost():
		return "lost"
	}
}

// disturb breaks a session's connection in random ways until ctx ends, and
// leaves it whole.
func (e *env) disturb(ctx context.Context, p *proxy, dice *rand.Rand) {
	defer p.unmute()
	defer p.heal()
	span := func(limit int) bool {
		select {
		case <-time.After(time.Duration(dice.IntN(limit)) * time.Millisecond):
			return true
		case <-ctx.Done():
			return false
		}
	}
	for span(1500) {
		limit := 300
		if dice.IntN(4) == 0 {
			limit = 2500 // past the session timeout
		}
		if dice.IntN(2) == 0 {
			p.cut()
			span(limit)
			p.heal()
		} else {
			p.mute()
			span(limit)
			p.unmute()
		}
	}
}
