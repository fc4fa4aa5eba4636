package simulation_test

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/simulation"
)

// schedules is how many TestSchedules runs: 20,000, or 1,000 under the race
// detector, a million with ESHOP_LONG=1, or as many as ESHOP_SCHEDULES says.
func schedules(t *testing.T) uint64 {
	if text := os.Getenv("ESHOP_SCHEDULES"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if os.Getenv("ESHOP_LONG") == "1" {
		return 1_000_000
	}
	if raced {
		return 1_000
	}
	return 20_000
}

// seed is where the seeds begin: ESHOP_SEED, else always the same, so that a
// change of the protocol is what changes the outcome.
func seed(t *testing.T) (first uint64, given bool) {
	text := os.Getenv("ESHOP_SEED")
	if text == "" {
		return 1, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n, true
}

// replay runs one schedule again and prints what happened.
func replay(t *testing.T, cfg simulation.Config) {
	t.Helper()
	cfg.Trace = true
	r, err := simulation.NewRunner()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := r.Run(cfg)
	t.Logf("seed %d\n%s", cfg.Seed, strings.Join(got.Trace, "\n"))
	if got.Violation != "" {
		t.Errorf("seed %d: %s", cfg.Seed, got.Violation)
	}
}

// search runs schedules on all cores until one violates an invariant. It returns
// the lowest such seed it met, and what happened in all schedules that were run.
func search(t *testing.T, first, n uint64, w simulation.Wiring) (bad uint64, violation string, events simulation.Events) {
	t.Helper()
	events = simulation.Events{}
	var next, lowest atomic.Uint64
	next.Store(first)
	lowest.Store(first + n)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			r, err := simulation.NewRunner()
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			own := simulation.Events{}
			for {
				s := next.Add(1) - 1
				if s >= lowest.Load() {
					break
				}
				if done := s - first; done > 0 && done%100_000 == 0 {
					t.Logf("%d of %d schedules", done, n)
				}
				got := r.Run(simulation.Config{Seed: s, Wiring: w})
				own.Add(got.Events)
				if got.Violation == "" {
					continue
				}
				mu.Lock()
				if s < lowest.Load() {
					lowest.Store(s)
					violation = got.Violation
				}
				mu.Unlock()
			}
			mu.Lock()
			defer mu.Unlock()
			events.Add(own)
		})
	}
	wg.Wait()
	return lowest.Load(), violation, events
}

// TestSchedules runs many schedules and finds no violation. With ESHOP_SEED it
// runs that one and prints each step.
func TestSchedules(t *testing.T) {
	first, given := seed(t)
	if given {
		replay(t, simulation.Config{Seed: first})
		return
	}
	n, began := schedules(t), time.Now()
	bad, violation, events := search(t, first, n, simulation.Wiring{})
	if violation != "" {
		replay(t, simulation.Config{Seed: bad})
		t.Fatalf("replay it with: ESHOP_SEED=%d go test ./pkg/simulation -run TestSchedules -v", bad)
	}
	t.Logf("%d schedules in %v\n%s", n, time.Since(began).Round(time.Second), events)
	for _, name := range hostile {
		if n >= 20_000 && events[name] == 0 {
			t.Errorf("it never happened: %s", name)
		}
	}
}

// hostile is what has to happen in 20,000 schedules, so that finding nothing
// means something.
var hostile = []string{
	"announcements whose answer was lost",
	"answers of a peer that the floor refused",
	"change messages read again or for the first time by a new owner",
	"change messages sent twice",
	"change messages tried again",
	"commits that did not get through",
	"copies in Redis that the floor refused",
	"beginnings of the bus that were gone",
	"crash before: announce on the bus",
	"crash before: ask another process",
	"crash before: ask the origin",
	"crash before: commit",
	"crash before: end the copies that the bus outdates",
	"crash before: end the own copies",
	"crash before: find the beginning of the bus",
	"crash before: give the lock back",
	"crash before: hear from the origin",
	"crash before: look at the floor again",
	"crash before: look into L1",
	"crash before: make a lock node",
	"crash before: make the copy the newest",
	"crash before: put the copy into L1",
	"crash before: read Redis",
	"crash before: read the bus",
	"crash before: send a heartbeat",
	"crash before: take a change message",
	"crash before: wait for earlier changes",
	"crash before: wait for the answer",
	"crash before: wait for the load under way",
	"crash before: wait for the lock",
	"crash before: write a dead letter",
	"crash before: write into Redis",
	"dead letters",
	"deletions",
	"documents below the floor in Redis that were repaired",
	"errors of the origin",
	"evictions",
	"failovers that lost an acknowledged write",
	"fills of L1 that the floor refused",
	"fills of L1 that the floor refused afterwards",
	"fills of a heap that the floor refused",
	"forced back",
	"gaps on the bus",
	"holders that wrote after their session had expired",
	"loads that a change overtook",
	"loads that joined another",
	"log: moves of the partition",
	"log: records that were dropped",
	"log: records written twice",
	"log: restarts of a sender",
	"malformed change messages",
	"old copies that were shown, marked",
	"pages served from a peer",
	"provisional answers",
	"pulls that went on without the lock",
	"reads of a replica that lags",
	"sessions that expired while their process was stopped",
	"writes that Redis refused",
	"writes whose answer was lost",
}

// TestDeterminism: one seed is one schedule.
func TestDeterminism(t *testing.T) {
	r, err := simulation.NewRunner()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for s := range uint64(50) {
		a := r.Run(simulation.Config{Seed: s, Trace: true})
		b := r.Run(simulation.Config{Seed: s, Trace: true})
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("seed %d: two runs differ", s)
		}
	}
}
