package coalesce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/coalesce"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is what one caller got.
type result struct {
	v      string
	shared bool
	err    error
}

// call runs Do on a goroutine; the returned function waits for its result.
func call(g *coalesce.Group[string, string], ctx context.Context, k string, fn func(context.Context) (string, error)) func() result {
	done := make(chan result, 1)
	go func() {
		v, shared, err := g.Do(ctx, k, fn)
		done <- result{v, shared, err}
	}()
	return func() result { return <-done }
}

// after returns a load that takes d, unless its context ends before.
func after(d time.Duration, v string, runs *atomic.Int32) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		runs.Add(1)
		select {
		case <-time.After(d):
			return v, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func TestCallersShareOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{})
		var runs atomic.Int32
		var waits []func() result
		for range 1000 {
			waits = append(waits, call(g, t.Context(), "k", after(time.Second, "v", &runs)))
		}
		other := call(g, t.Context(), "other", after(2*time.Second, "w", &runs))
		synctest.Wait()
		if g.Waiting() != 1001 || g.Loads() != 2 {
			t.Errorf("got %d callers of %d loads, want 1001 of 2", g.Waiting(), g.Loads())
		}
		started := 0
		for _, wait := range waits {
			r := wait()
			if r.v != "v" || r.err != nil {
				t.Fatalf("got %+v, want v", r)
			}
			if !r.shared {
				started++
			}
		}
		if r := other(); r.v != "w" || r.shared {
			t.Errorf("another key: got %+v, want w of its own", r)
		}
		if runs.Load() != 2 || started != 1 {
			t.Errorf("%d loads ran, %d callers say they started k, want 2 and 1", runs.Load(), started)
		}
		if g.Waiting() != 0 || g.Loads() != 0 {
			t.Errorf("at the end: %d callers, %d loads", g.Waiting(), g.Loads())
		}
		if v, shared, err := g.Do(t.Context(), "k", after(0, "new", &runs)); v != "new" || shared || err != nil {
			t.Errorf("after the load: got %q, %v, %v, want a load of its own", v, shared, err)
		}
	})
}

func TestErrorsAreSharedAndNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{})
		fail := func(context.Context) (string, error) { time.Sleep(time.Nanosecond); return "", io.ErrUnexpectedEOF }
		a, b := call(g, t.Context(), "k", fail), call(g, t.Context(), "k", fail)
		for _, r := range []result{a(), b()} {
			if !errors.Is(r.err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v, want the load's error", r.err)
			}
		}
		if v, _, err := g.Do(t.Context(), "k", func(context.Context) (string, error) { return "v", nil }); v != "v" || err != nil {
			t.Errorf("after an error: got %q, %v", v, err)
		}
	})
}

// PITFALL 15: a panic in the load is an error for each of its callers, and the
// key is free.
func TestPitfall15Panic(t *testing.T) {
	for name, c := range map[string]struct {
		fn    func()
		check func(error) bool
	}{
		"a value": {func() { panic("boom") }, func(err error) bool {
			var p *coalesce.PanicError
			return errors.As(err, &p) && p.Value == "boom" && strings.Contains(string(p.Stack), "TestPitfall15Panic") && strings.Contains(err.Error(), "boom")
		}},
		"an error": {func() { panic(io.ErrNoProgress) }, func(err error) bool { return errors.Is(err, io.ErrNoProgress) }},
		"nil": {func() {
			var cause error
			panic(cause)
		}, func(err error) bool {
			var p *coalesce.PanicError
			return errors.As(err, &p)
		}},
		"an index":               {func() { none := []int{}; _ = none[len(none)] }, func(err error) bool { var re runtime.Error; return errors.As(err, &re) }},
		"the end of a goroutine": {runtime.Goexit, func(err error) bool { return errors.Is(err, coalesce.ErrExited) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := coalesce.New[string, string](coalesce.Config{})
				fn := func(context.Context) (string, error) { time.Sleep(time.Nanosecond); c.fn(); return "v", nil }
				var waits []func() result
				for range 5 {
					waits = append(waits, call(g, t.Context(), "k", fn))
				}
				for _, wait := range waits {
					if r := wait(); !c.check(r.err) || r.v != "" {
						t.Errorf("got %q, %v", r.v, r.err)
					}
				}
				if v, _, err := g.Do(t.Context(), "k", func(context.Context) (string, error) { return "v", nil }); v != "v" || err != nil {
					t.Errorf("the next load: got %q, %v", v, err)
				}
				if g.Loads() != 0 {
					t.Errorf("%d loads are left", g.Loads())
				}
			})
		})
	}
}

// PITFALL 17: the first caller goes away; the load goes on for the others, with
// the first caller's values and a deadline of its own.
func TestPitfall17FirstCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type trace struct{}
		g := coalesce.New[string, string](coalesce.Config{Timeout: 3 * time.Second})
		first, cancel := context.WithDeadline(context.WithValue(t.Context(), trace{}, "first"), time.Now().Add(time.Second))
		defer cancel()
		began := time.Now()
		fn := func(ctx context.Context) (string, error) {
			deadline, ok := ctx.Deadline()
			if !ok || deadline.Sub(began) != 3*time.Second {
				return "", fmt.Errorf("the load's deadline is %v", deadline)
			}
			time.Sleep(2 * time.Second)
			return fmt.Sprint(ctx.Value(trace{})), ctx.Err()
		}
		a := call(g, first, "k", fn)
		synctest.Wait()
		b := call(g, t.Context(), "k", fn)
		if r := a(); !errors.Is(r.err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("the first caller: got %+v after %v, want its own deadline after 1s", r, time.Since(began))
		}
		if r := b(); r.v != "first" || !r.shared || r.err != nil {
			t.Errorf("the second caller: got %+v", r)
		}
	})
}

// The load of a key goes on when all its callers left, and a late one joins it.
func TestAbandonedLoadIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var runs atomic.Int32
		a := call(g, ctx, "k", after(2*time.Second, "v", &runs))
		synctest.Wait()
		cancel()
		if r := a(); !errors.Is(r.err, context.Canceled) {
			t.Errorf("got %+v, want canceled", r)
		}
		if g.Waiting() != 0 || g.Loads() != 1 {
			t.Errorf("got %d callers, %d loads, want 0, 1", g.Waiting(), g.Loads())
		}
		time.Sleep(time.Second)
		if v, shared, err := g.Do(t.Context(), "k", after(0, "second", &runs)); v != "v" || !shared || err != nil || runs.Load() != 1 {
			t.Errorf("got %q, %v, %v after %d loads", v, shared, err, runs.Load())
		}
	})
}

// PITFALL 18: each caller waits as long as its own context allows, whatever the
// load and the others do.
func TestPitfall18OwnTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{Timeout: time.Minute})
		var runs atomic.Int32
		began := time.Now()
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				patience := time.Duration(i+1) * time.Second
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				v, _, err := g.Do(ctx, "k", after(10500*time.Millisecond, "v", &runs))
				waited := time.Since(began)
				if patience <= 10*time.Second {
					if !errors.Is(err, context.DeadlineExceeded) || waited != patience {
						t.Errorf("patience %v: got %v after %v", patience, err, waited)
					}
				} else if v != "v" || err != nil || waited != 10500*time.Millisecond {
					t.Errorf("patience %v: got %q, %v after %v", patience, v, err, waited)
				}
			})
		}
		wg.Wait()
		dead, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := g.Do(dead, "k", after(0, "v", &runs)); !errors.Is(err, context.Canceled) || runs.Load() != 1 {
			t.Errorf("a caller that is gone already: got %v, %d loads", err, runs.Load())
		}
	})
}

// PITFALL 31: callers per key, callers in all and loads are capped; the one too
// many is refused at once.
func TestPitfall31Caps(t *testing.T) {
	cases := []struct {
		name string
		cfg  coalesce.Config
		keys []string // of the callers that fit
		over string   // key of the one too many
		fits string   // key of one that fits still, if any
	}{
		{"callers in all", coalesce.Config{MaxWaiters: 3}, []string{"a", "b", "a"}, "c", ""},
		{"callers of a key", coalesce.Config{MaxPerKey: 2}, []string{"a", "a", "b"}, "a", "b"},
		{"loads", coalesce.Config{MaxLoads: 2}, []string{"a", "b"}, "c", "a"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := coalesce.New[string, string](c.cfg)
				var runs atomic.Int32
				load := after(time.Second, "v", &runs)
				var waits []func() result
				for _, k := range c.keys {
					waits = append(waits, call(g, t.Context(), k, load))
					synctest.Wait()
				}
				began := time.Now()
				if _, _, err := g.Do(t.Context(), c.over, load); !errors.Is(err, coalesce.ErrOverloaded) || time.Since(began) != 0 {
					t.Errorf("one too many: got %v after %v, want ErrOverloaded at once", err, time.Since(began))
				}
				if c.fits != "" {
					waits = append(waits, call(g, t.Context(), c.fits, load))
				}
				for _, wait := range waits {
					if r := wait(); r.err != nil {
						t.Errorf("a caller that fits: got %v", r.err)
					}
				}
				if _, _, err := g.Do(t.Context(), c.over, load); err != nil {
					t.Errorf("when the others are gone: got %v", err)
				}
			})
		})
	}
}

// A load that does not heed its deadline: its callers are released and its key
// is free, but it keeps its place among the loads until it ends.
func TestDeafLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{Timeout: time.Second, MaxLoads: 2})
		deaf := func(context.Context) (string, error) { time.Sleep(10 * time.Second); return "late", nil }
		began := time.Now()
		for range 2 {
			if v, _, err := g.Do(t.Context(), "k", deaf); !errors.Is(err, context.DeadlineExceeded) || v != "" {
				t.Errorf("got %q, %v, want the load's deadline", v, err)
			}
		}
		if time.Since(began) != 2*time.Second || g.Loads() != 2 {
			t.Errorf("after %v there are %d loads, want 2s and 2", time.Since(began), g.Loads())
		}
		if _, _, err := g.Do(t.Context(), "k", deaf); !errors.Is(err, coalesce.ErrOverloaded) {
			t.Errorf("a third deaf load: got %v, want ErrOverloaded", err)
		}
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if g.Loads() != 0 {
			t.Errorf("%d loads are left", g.Loads())
		}
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{})
		var runs atomic.Int32
		old := call(g, t.Context(), "k", after(time.Second, "old", &runs))
		synctest.Wait()
		g.Forget("k")
		g.Forget("unknown")
		recent := call(g, t.Context(), "k", after(3*time.Second, "new", &runs))
		if r := old(); r.v != "old" || r.err != nil {
			t.Errorf("the forgotten load's caller: got %+v", r)
		}
		// The end of the old load must not free the key of the new one.
		if v, shared, _ := g.Do(t.Context(), "k", after(0, "third", &runs)); v != "new" || !shared {
			t.Errorf("a later caller: got %q, shared %v, want new, true", v, shared)
		}
		if r := recent(); r.v != "new" {
			t.Errorf("the new load's caller: got %+v", r)
		}
	})
}

// On real threads: each caller gets a value, and one that started a load gets
// what was read after it asked. (One that joined may get what was read before.)
func TestRace(t *testing.T) {
	g := coalesce.New[int, int64](coalesce.Config{Timeout: 5 * time.Second})
	var clock atomic.Int64
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				before := clock.Add(1)
				v, shared, err := g.Do(t.Context(), (i+w)%7, func(context.Context) (int64, error) { return clock.Add(1), nil })
				if err != nil || v == 0 || !shared && v < before {
					t.Errorf("called at %d, got %d, shared %v, %v", before, v, shared, err)
					return
				}
				if i%50 == 0 {
					g.Forget(i % 7)
				}
			}
		})
	}
	wg.Wait()
	if g.Waiting() != 0 {
		t.Errorf("%d callers are left", g.Waiting())
	}
}

func BenchmarkDo(b *testing.B) {
	g := coalesce.New[int, int](coalesce.Config{})
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := g.Do(ctx, 1, func(context.Context) (int, error) { return 1, nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMaxWaitersCanBeChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{MaxWaiters: 1})
		var runs atomic.Int32
		first := call(g, t.Context(), "a", after(time.Second, "v", &runs))
		synctest.Wait()
		if r := call(g, t.Context(), "b", after(time.Second, "v", &runs))(); !errors.Is(r.err, coalesce.ErrOverloaded) {
			t.Errorf("a second caller: got %+v, want ErrOverloaded", r)
		}
		g.SetMaxWaiters(2)
		second := call(g, t.Context(), "b", after(time.Second, "v", &runs))
		synctest.Wait()
		if r := call(g, t.Context(), "c", after(time.Second, "v", &runs))(); !errors.Is(r.err, coalesce.ErrOverloaded) {
			t.Errorf("a third caller of two: got %+v, want ErrOverloaded", r)
		}
		for _, r := range []result{first(), second()} {
			if r.v != "v" || r.err != nil {
				t.Errorf("got %+v", r)
			}
		}
	})
}
