package admission_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/admission"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reason of a refusal, "" for none.
func reason(err error) string {
	var r *admission.Refused
	if errors.As(err, &r) {
		return r.Reason.String()
	}
	return ""
}

// scene is a gate whose callers are started one after the other.
type scene struct {
	*admission.Gate
	t     *testing.T
	mu    sync.Mutex
	order []int          // of those that got a slot
	ended map[int]string // of the others: why, and after how long
}

func newScene(t *testing.T, cfg admission.Config) *scene {
	return &scene{Gate: admission.NewGate(cfg), t: t, ended: map[int]string{}}
}

// come starts a caller that holds its slot for a while.
func (s *scene) come(id int, hold, deadline time.Duration) {
	go func() {
		ctx, cancel := context.WithTimeout(s.t.Context(), deadline)
		defer cancel()
		begin := time.Now()
		pass, err := s.Enter(ctx)
		s.mu.Lock()
		if err != nil {
			s.ended[id] = fmt.Sprintf("%s after %v", reason(err), time.Since(begin))
		} else {
			s.order = append(s.order, id)
		}
		s.mu.Unlock()
		if err == nil {
			<-time.After(hold)
			pass.Leave()
		}
	}()
	synctest.Wait()
}

// after lets time pass and everybody act on it.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// In calm the queue is one, and short enough to empty within the interval.
func TestFirstComeInCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, admission.Config{Name: "x", Slots: 1, Queue: 8, Interval: 100 * time.Millisecond})
		for i := range 5 {
			s.come(i, 10*time.Millisecond, time.Second)
		}
		after(time.Second)
		if want := []int{0, 1, 2, 3, 4}; !slices.Equal(s.order, want) {
			t.Errorf("served in the order %v, want %v", s.order, want)
		}
		if st := s.State(); st.Running != 0 || st.Waiting != 0 || st.Usual != 10*time.Millisecond {
			t.Errorf("afterwards: %+v", st)
		}
	})
}

// A queue that stands for an interval turns: the newest first, the others are
// refused after the target and not after their deadline.
func TestNewestFirstUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, admission.Config{Name: "x", Slots: 1, Queue: 8, Interval: 100 * time.Millisecond, Target: 20 * time.Millisecond})
		s.come(0, 70*time.Millisecond, time.Minute) // holds the slot; nobody knows yet how long a call takes
		s.come(1, 45*time.Millisecond, time.Minute) // takes it at 70 ms
		after(60 * time.Millisecond)
		s.come(2, time.Millisecond, time.Minute) // waits from 60 ms on
		after(43 * time.Millisecond)             // 103 ms: the queue stands since 0
		s.come(3, 5*time.Millisecond, time.Minute)
		s.come(4, 5*time.Millisecond, time.Minute) // the newest: at 115 ms
		after(time.Minute)
		// 4 runs until 120 ms, then 3 does until 125 (103 + 20 is 123), then 2.
		if want := []int{0, 1, 4, 3, 2}; !slices.Equal(s.order, want) {
			t.Errorf("served in the order %v, want %v; refused: %v", s.order, want, s.ended)
		}
	})
}

func TestPressedWaitsNoLongerThanTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, admission.Config{Name: "x", Slots: 1, Queue: 2, Interval: 100 * time.Millisecond, Target: 20 * time.Millisecond})
		s.come(0, time.Second, time.Minute)
		s.come(1, 0, time.Minute)
		after(90 * time.Millisecond)
		s.come(2, 0, time.Minute)
		s.come(3, 0, time.Minute) // a third is one too many in calm
		after(10 * time.Millisecond)
		s.come(4, 0, time.Minute) // 1 has just left: there is room
		after(1 * time.Millisecond)
		s.come(5, 0, time.Minute) // pressed and full: the oldest, 2, goes
		after(time.Minute)
		want := map[int]string{1: "pressed after 100ms", 2: "pressed after 11ms", 3: "full after 0s", 4: "pressed after 100ms", 5: "pressed after 20ms"}
		got := fmt.Sprint(s.ended)
		// Whether 4 met a pressed gate is decided at the very moment: both are right.
		want2 := map[int]string{1: want[1], 2: want[2], 3: want[3], 4: "pressed after 20ms", 5: want[5]}
		if got != fmt.Sprint(want) && got != fmt.Sprint(want2) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// What cannot be done in time is refused when it comes, not when its time is up.
func TestLateIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, admission.Config{Name: "x", Slots: 2, Queue: 100, Interval: 10 * time.Second})
		s.come(0, time.Second, time.Minute)
		after(time.Second) // the usual call takes a second
		s.come(1, time.Second, time.Minute)
		s.come(2, time.Second, time.Minute)
		for i := range 4 {
			s.come(10+i, time.Second, time.Minute) // two more rounds of two
		}
		s.come(20, time.Second, 3400*time.Millisecond) // its turn is in 2.5 s, and it takes a second
		s.come(21, time.Second, 4100*time.Millisecond) // this one makes it
		s.come(22, time.Second, 4100*time.Millisecond) // and this one, beside it
		after(time.Minute)
		if got := s.ended; len(got) != 1 || got[20] != "late after 0s" {
			t.Errorf("refused: %v, want 20 only, as late at once", got)
		}
		if len(s.order) != 9 {
			t.Errorf("served %v, want all but 20", s.order)
		}
	})
}

// A wait that would be longer than the interval is refused at once too.
func TestPatienceIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t, admission.Config{Name: "x", Slots: 1, Queue: 100, Interval: 100 * time.Millisecond})
		s.come(0, 40*time.Millisecond, time.Minute)
		after(time.Second)
		for i := range 4 {
			s.come(1+i, 40*time.Millisecond, time.Minute)
		}
		after(time.Second)
		if got := fmt.Sprint(s.order, s.ended); got != "[0 1 2 3] map[4:full after 0s]" {
			t.Errorf("got %s", got)
		}
	})
}

func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := admission.NewGate(admission.Config{Name: "x", Slots: 1, Queue: 1, Interval: time.Minute})
		pass, err := g.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { _, err := g.Enter(ctx); gone <- err }()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
		if _, err := g.Enter(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: got %v", err)
		}
		pass.Leave()
		if st := g.State(); st.Running != 0 || st.Waiting != 0 || st.Left != 1 {
			t.Errorf("afterwards: %+v", st)
		}
	})
}

// A slot that is handed to a caller which leaves at that moment is not lost.
func TestLeavesAsItsTurnComes(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			g := admission.NewGate(admission.Config{Name: "x", Slots: 1, Queue: 1, Interval: time.Minute})
			held, err := g.Enter(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				if pass, err := g.Enter(ctx); err == nil {
					pass.Leave()
				}
			}()
			synctest.Wait()
			cancel()
			held.Leave()
			synctest.Wait()
			if st := g.State(); st.Running != 0 || st.Waiting != 0 {
				t.Fatalf("afterwards: %+v", st)
			}
		})
	}
}

func TestRetryAfterIsSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 200 {
		d := admission.Spread(time.Hour)
		if d < time.Second || d >= 11*time.Second {
			t.Fatalf("come back in %v", d)
		}
		seen[d.Truncate(time.Second)] = true
	}
	if len(seen) < 5 {
		t.Errorf("all are sent back at the same time: %v", seen)
	}
	if d := admission.Spread(0); d >= 3*time.Second {
		t.Errorf("come back in %v after no trouble at all", d)
	}
}

// TestInvariants has callers come, hold and leave at random and looks after each
// step: never more at work or waiting than may, no slot idle while somebody waits,
// nobody waits beyond the interval or its deadline, and everybody is accounted for.
func TestInvariants(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			cfg := admission.Config{Name: "x", Slots: 1 + r.IntN(4), Queue: r.IntN(8), Interval: 50 * time.Millisecond, Target: 10 * time.Millisecond}
			g := admission.NewGate(cfg)
			ms := func(n int) time.Duration { return time.Duration(r.IntN(n)) * time.Millisecond }
			var mu sync.Mutex
			at, passed, refused, left := 0, uint64(0), uint64(0), uint64(0)
			const callers = 400
			var all sync.WaitGroup
			for range callers {
				hold, deadline, cancelAt := ms(40), 1+ms(200), time.Duration(0)
				if r.IntN(10) == 0 {
					cancelAt = 1 + ms(60)
				}
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), deadline)
					defer cancel()
					if cancelAt > 0 {
						stop := time.AfterFunc(cancelAt, cancel)
						defer stop.Stop()
					}
					begin := time.Now()
					pass, err := g.Enter(ctx)
					waited := time.Since(begin)
					mu.Lock()
					defer mu.Unlock()
					if waited > min(cfg.Interval, deadline) {
						t.Errorf("seed %d: waited %v of %v", seed, waited, deadline)
					}
					switch {
					case err == nil:
						passed++
						if at++; at > cfg.Slots {
							t.Errorf("seed %d: %d at work, at most %d may be", seed, at, cfg.Slots)
						}
						mu.Unlock()
						<-time.After(hold)
						mu.Lock()
						at--
						pass.Leave()
					case reason(err) != "":
						refused++
					default:
						left++
					}
				})
				if r.IntN(3) == 0 {
					after(ms(12))
				}
				st := g.State()
				if st.Running > cfg.Slots || st.Waiting > max(cfg.Queue, 0) || st.Running < cfg.Slots && st.Waiting > 0 {
					t.Errorf("seed %d: %+v", seed, st)
				}
			}
			all.Wait()
			st := g.State()
			if st.Running != 0 || st.Waiting != 0 || passed+refused+left != callers || st.Left > left ||
				st.Refused["full"]+st.Refused["late"]+st.Refused["pressed"] != refused {
				t.Errorf("seed %d: %d passed, %d refused, %d left of %d; %+v", seed, passed, refused, left, callers, st)
			}
		})
	}
}

func BenchmarkEnterLeave(b *testing.B) {
	g := admission.NewGate(admission.Config{Name: "x", Slots: 4, Queue: 4})
	b.ReportAllocs()
	for b.Loop() {
		pass, err := g.Enter(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		pass.Leave()
	}
}
