package cache

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// modelShop is what the walk's batches work on: each id is pulled once, unless
// it does not exist or has failures to come.
type modelShop struct {
	mu       sync.Mutex
	dice     *rand.Rand
	pulls    map[int64]int
	failures map[int64]int  // to come
	weak     map[int64]bool // there were failures to come at first
	missing  map[int64]bool
	shaken   map[int64]int
	busy     int // one in so many answers is "later"; 0: none
	inflight int
	most     int
	largest  int
}

func newModelShop(seed uint64) *modelShop {
	return &modelShop{dice: rand.New(rand.NewPCG(seed, 2)), pulls: map[int64]int{}, failures: map[int64]int{}, weak: map[int64]bool{}, shaken: map[int64]int{}, missing: map[int64]bool{}}
}

func (m *modelShop) roll(n int) int { m.mu.Lock(); defer m.mu.Unlock(); return m.dice.IntN(n) }

func (m *modelShop) batch(ctx context.Context, ids []int64) (r batchResult) {
	m.mu.Lock()
	m.inflight++
	m.most, m.largest = max(m.most, m.inflight), max(m.largest, len(ids))
	m.mu.Unlock()
	_ = pause(ctx, time.Duration(1+m.roll(20))*time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.inflight--
	for _, id := range ids {
		o := pulled
		switch {
		case ctx.Err() != nil:
			o, r.fault = failed, ctx.Err()
		case m.busy > 0 && m.dice.IntN(m.busy) == 0:
			o, r.busy = later, errors.New("busy")
		case !m.weak[id] && m.shaken[id] < retryRounds && m.dice.IntN(40) == 0: // not so often that it fails for good
			m.shaken[id]++
			o, r.fault = shaky, errors.New("no answer")
		case m.failures[id] > 0:
			m.failures[id]--
			o, r.fault = failed, errors.New("spoilt")
		case m.missing[id]:
			o = absent
		case m.pulls[id] == 0:
			m.pulls[id]++
		}
		r.outcomes = append(r.outcomes, o)
	}
	return r
}

func (m *modelShop) walk(s prewarmState, ids []int64, save func(context.Context, prewarmState) error) *walk {
	return &walk{ids: ids, parallel: 4, size: 16, batch: m.batch, save: save, state: s, log: slog.New(slog.DiscardHandler)}
}

func upTo(n int) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(i + 1)
	}
	return list
}

// TestWalkAcrossProcesses: whatever fails, is busy or missing, and however often
// the process dies, the saved states lead each successor on, every product ends
// up counted once and as what it is, and nothing is given up too early.
func TestWalkAcrossProcesses(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			m := newModelShop(seed)
			n := 1 + m.roll(700)
			ids := upTo(n)
			m.busy = m.roll(3) * 20
			hopeless := map[int64]bool{}
			for _, id := range ids {
				switch m.roll(12) {
				case 0:
					m.failures[id], m.weak[id] = 1+m.roll(6), true
					if m.failures[id] > retryRounds {
						hopeless[id] = true
					}
				case 1:
					m.missing[id] = true
				}
			}
			saved := (&prewarmState{Generation: 1, Total: n}).encode()
			last := prewarmState{}
			save := func(_ context.Context, s prewarmState) error {
				time.Sleep(time.Duration(m.roll(10)) * time.Millisecond)
				if s.Round < last.Round || s.Round == last.Round && s.Cursor < last.Cursor {
					t.Errorf("seed %d: the cursor went from %d.%d to %d.%d", seed, last.Round, last.Cursor, s.Round, s.Cursor)
				}
				if s.Round == 0 && s.done()+s.Failed != s.Cursor || s.Round > 0 && s.done()+s.Failed != n {
					t.Errorf("seed %d: counted %d, the cursor is at %d.%d of %d", seed, s.done()+s.Failed, s.Round, s.Cursor, n)
				}
				if s.Fault == context.Canceled.Error() {
					t.Errorf("seed %d: what the death of the process broke off counts as failed", seed)
				}
				saved, last = s.encode(), s
				return nil
			}
			deaths := m.roll(5)
			for {
				s, err := parsePrewarmState(saved)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if deaths > 0 {
					deaths--
					time.AfterFunc(time.Duration(m.roll(400))*time.Millisecond, cancel)
				}
				err = m.walk(s, ids, save).run(ctx)
				cancel()
				if err == nil {
					break
				}
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			if last.Finished == 0 || last.Failing != nil || last.Waiting != "" || last.done()+last.Failed != n || last.Absent != len(m.missing) {
				t.Errorf("seed %d: ended with %+v; %d are missing", seed, last, len(m.missing))
			}
			if last.Failed > len(hopeless) { // fewer, where a try was not counted because the process died
				t.Errorf("seed %d: %d failed for good, %d had to", seed, last.Failed, len(hopeless))
			}
			if m.most > 4 || m.largest > 16 {
				t.Errorf("seed %d: %d batches at once, the largest of %d, want at most 4 of 16", seed, m.most, m.largest)
			}
			for _, id := range ids {
				if m.pulls[id] == 0 && !m.missing[id] && !hopeless[id] {
					t.Errorf("seed %d: product %d was never pulled", seed, id)
				}
			}
		})
	}
}

// TestWalkOfAPausedProcess: a runner that is paused in the middle, and goes on
// when its successor is done, changes nothing any more.
func TestWalkOfAPausedProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, zk := newModelShop(1), newMemoryNodes()
		ids := upTo(500)
		node := newVersioned(zk, stateNode)
		first := prewarmState{Generation: 1, Total: len(ids), Runner: "first", Term: 1}
		if err := node.write(t.Context(), first.encode()); err != nil {
			t.Fatal(err)
		}
		paused, resumed := make(chan struct{}), make(chan struct{})
		written, once := 0, sync.Once{} // what it has told of its progress; it stops when that is some
		former := m.walk(first, ids, func(ctx context.Context, s prewarmState) error {
			if written > 0 {
				once.Do(func() { close(paused); <-resumed })
			}
			if err := node.write(ctx, s.encode()); err != nil {
				return err
			}
			written = s.Cursor
			return nil
		})
		ended := make(chan error, 1)
		go func() { ended <- former.run(t.Context()) }()
		<-paused

		after := newVersioned(zk, stateNode)
		if err := after.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		s, err := parsePrewarmState(after.data)
		if err != nil || s.Cursor == 0 || s.Cursor == len(ids) {
			t.Fatalf("paused at %d of %d (%v), want it in the middle", s.Cursor, len(ids), err)
		}
		s.Runner, s.Term = "second", 2
		save := func(ctx context.Context, s prewarmState) error { return after.write(ctx, s.encode()) }
		if err := save(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := m.walk(s, ids, save).run(t.Context()); err != nil {
			t.Fatal(err)
		}
		end := slices.Clone(after.data)
		close(resumed)
		if err := <-ended; !errors.Is(err, errOvertaken) {
			t.Errorf("the former runner: %v, want that it was overtaken", err)
		}
		if err := after.read(t.Context()); err != nil || !slices.Equal(after.data, end) {
			t.Errorf("the state became %s (%v), it was %s", after.data, err, end)
		}
		if s, _ := parsePrewarmState(after.data); s.Runner != "second" || s.Finished == 0 || s.Pulled != len(ids) {
			t.Errorf("the state is %+v", s)
		}
	})
}

// TestWalkEndsWithASaveUnderWay: slow nodes and lost answers do not make a walk
// take its own writes for another's.
func TestWalkEndsWithASaveUnderWay(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			m, zk := newModelShop(seed), newMemoryNodes()
			zk.slow = func() time.Duration { return time.Duration(m.roll(30)) * time.Millisecond }
			zk.lost = func() bool { return m.roll(8) == 0 }
			node := newVersioned(zk, stateNode)
			save := func(ctx context.Context, s prewarmState) error { return node.write(ctx, s.encode()) }
			if err := m.walk(prewarmState{Generation: 1, Total: 300}, upTo(300), save).run(t.Context()); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
			if s, err := parsePrewarmState(node.data); err != nil || s.Finished == 0 || s.Pulled != 300 {
				t.Errorf("seed %d: ended with %+v (%v)", seed, s, err)
			}
		})
	}
}

// TestWalkGivesWay: while what it needs is busy it asks ever more rarely, tells
// so, and counts nothing as failed.
func TestWalkGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		asked, told := 0, ""
		w := &walk{ids: upTo(3), parallel: 1, size: 3, log: slog.New(slog.DiscardHandler), state: prewarmState{Generation: 1, Total: 3},
			save: func(_ context.Context, s prewarmState) error {
				if s.Waiting != "" {
					told = s.Waiting
				}
				return nil
			},
			batch: func(_ context.Context, ids []int64) batchResult {
				asked++
				if time.Since(began) < 10*time.Minute {
					return batchResult{outcomes: make([]outcome, len(ids)), busy: errors.New("the breaker is open")}
				}
				return batchResult{outcomes: []outcome{pulled, pulled, pulled}}
			}}
		if err := w.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.state.Pulled != 3 || w.state.Failed != 0 || told != "the breaker is open" || w.state.Waiting != "" {
			t.Errorf("ended with %+v after it told %q", w.state, told)
		}
		if took := time.Since(began); asked > 250 || took > 11*time.Minute {
			t.Errorf("asked %d times in %v", asked, took)
		}
	})
}

// TestWalkGivesShakyOnesUp: what Redis alone does not answer for, while it does
// for others, is tried some times, ever more rarely, and then fails.
func TestWalkGivesShakyOnesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[int64]int{}
		w := &walk{ids: upTo(3), parallel: 1, size: 3, log: slog.New(slog.DiscardHandler), state: prewarmState{Generation: 1, Total: 3},
			save: func(context.Context, prewarmState) error { return nil },
			batch: func(_ context.Context, ids []int64) (r batchResult) {
				for _, id := range ids {
					asked[id]++
					o := pulled
					if id == 2 || id == 3 && asked[id] < shakyTries {
						o, r.fault = shaky, errors.New("no answer")
					}
					r.outcomes = append(r.outcomes, o)
				}
				return r
			}}
		if err := w.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.state.Pulled != 2 || w.state.Failed != 1 || w.state.Fault != "no answer" || asked[1] != 1 || asked[2] != shakyTries+retryRounds || asked[3] != shakyTries {
			t.Errorf("ended with %+v after %v tries", w.state, asked)
		}
	})
}

// TestWalkSeparatesWhatSpoilsABatch: one product that makes its whole batch fail
// is alone in the end, and the others are warmed.
func TestWalkSeparatesWhatSpoilsABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &walk{ids: upTo(300), parallel: 4, size: 128, log: slog.New(slog.DiscardHandler), state: prewarmState{Generation: 1, Total: 300},
			save: func(context.Context, prewarmState) error { return nil },
			batch: func(_ context.Context, ids []int64) (r batchResult) {
				o := pulled
				if slices.Contains(ids, 77) {
					o, r.fault = failed, errors.New("a bad answer")
				}
				r.outcomes = slices.Repeat([]outcome{o}, len(ids))
				return r
			}}
		began := time.Now()
		if err := w.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.state.Pulled != 299 || w.state.Failed != 1 || w.state.Fault != "a bad answer" || w.state.Round != retryRounds {
			t.Errorf("ended with %+v", w.state)
		}
		if took := time.Since(began); took < 7*time.Second {
			t.Errorf("gave it up after %v, want 1 + 2 + 4 s at least", took)
		}
	})
}

// TestWalkFailsWithItsSaves: progress that cannot be saved is not made.
func TestWalkFailsWithItsSaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, broken := newModelShop(3), errors.New("no such node")
		err := m.walk(prewarmState{Generation: 1, Total: 500}, upTo(500), func(context.Context, prewarmState) error { return broken }).run(t.Context())
		if !errors.Is(err, broken) || len(m.pulls) == 500 {
			t.Errorf("got %v after %d pulls, want the error of the save before the end", err, len(m.pulls))
		}
	})
}
