package coalesce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/coalesce"
)

// loadAll answers for each key at once, in capitals.
func loadAll(asked *[]string) func(context.Context, []string, func(int, string, error)) {
	return func(_ context.Context, keys []string, done func(int, string, error)) {
		*asked = append(*asked, keys...)
		for i, k := range keys {
			done(i, "of "+k, nil)
		}
	}
}

// Several keys are one call for those that nobody loads yet; the others are joined.
func TestManyJoinsWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{})
		var runs atomic.Int32
		b := call(g, t.Context(), "b", after(time.Second, "b of its own", &runs))
		synctest.Wait()
		var asked []string
		got := g.DoMany(t.Context(), []string{"a", "b", "c"}, loadAll(&asked))
		want := []coalesce.Result[string]{{Value: "of a"}, {Value: "b of its own", Shared: true}, {Value: "of c"}}
		if !slices.Equal(got, want) || !slices.Equal(asked, []string{"a", "c"}) {
			t.Errorf("got %+v by a call for %q, want %+v by one for a and c", got, asked, want)
		}
		if r := b(); r.shared || r.v != "b of its own" {
			t.Errorf("who loaded b got %+v", r)
		}
		if g.DoMany(t.Context(), nil, nil); g.Waiting() != 0 || g.Loads() != 0 {
			t.Errorf("at the end: %d callers, %d loads", g.Waiting(), g.Loads())
		}
	})
}

// Who wants one key of a load of many has it as soon as that is done, and starts
// a load of its own from then on, while the rest is still under way.
func TestManyTellsOfEachAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{Timeout: time.Minute})
		end := make(chan struct{})
		var batch []coalesce.Result[string]
		var wg sync.WaitGroup
		wg.Go(func() {
			batch = g.DoMany(t.Context(), []string{"quick", "slow"}, func(_ context.Context, _ []string, done func(int, string, error)) {
				time.Sleep(time.Second)
				done(0, "quick", nil)
				<-end
				done(1, "", io.ErrUnexpectedEOF)
				done(0, "again", nil) // has no effect
			})
		})
		synctest.Wait()
		var runs atomic.Int32
		began := time.Now()
		if r := call(g, t.Context(), "quick", after(0, "another", &runs))(); r.v != "quick" || !r.shared || time.Since(began) != time.Second {
			t.Errorf("who joined got %+v after %v", r, time.Since(began))
		}
		if g.Loads() != 1 || g.Waiting() != 2 {
			t.Errorf("%d loads and %d callers, want 1 and the 2 of the batch", g.Loads(), g.Waiting())
		}
		if r := call(g, t.Context(), "quick", after(0, "another", &runs))(); r.v != "another" || r.shared {
			t.Errorf("after it was done: got %+v, want a load of its own", r)
		}
		close(end)
		wg.Wait()
		if batch[0].Value != "quick" || batch[0].Err != nil || !errors.Is(batch[1].Err, io.ErrUnexpectedEOF) {
			t.Errorf("the batch got %+v", batch)
		}
		if g.Waiting() != 0 || g.Loads() != 0 {
			t.Errorf("at the end: %d callers, %d loads", g.Waiting(), g.Loads())
		}
	})
}

// What a load of many is not done with fails with it: by a panic, by its end, by
// its deadline, and for a caller whose own time is up.
func TestManyFailsWhatIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		fn   func(ctx context.Context)
		want func(error) bool
	}{
		"panic":    {func(context.Context) { panic("broken") }, func(err error) bool { var p *coalesce.PanicError; return errors.As(err, &p) }},
		"end":      {func(context.Context) {}, func(err error) bool { return errors.Is(err, coalesce.ErrExited) }},
		"deadline": {func(ctx context.Context) { <-ctx.Done() }, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		"caller":   {func(context.Context) { time.Sleep(2 * time.Second) }, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := coalesce.New[string, string](coalesce.Config{Timeout: 5 * time.Second})
				ctx := t.Context()
				if name == "caller" {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Second)
					defer cancel()
				}
				got := g.DoMany(ctx, []string{"done", "left"}, func(ctx context.Context, _ []string, done func(int, string, error)) {
					done(0, "had", nil)
					c.fn(ctx)
				})
				if got[0].Value != "had" || got[0].Err != nil || !c.want(got[1].Err) {
					t.Errorf("got %+v", got)
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if g.Waiting() != 0 || g.Loads() != 0 {
					t.Errorf("at the end: %d callers, %d loads", g.Waiting(), g.Loads())
				}
			})
		})
	}
}

// The bounds hold for each key: a batch for which there is no room in part has the rest.
func TestManyWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := coalesce.New[string, string](coalesce.Config{MaxLoads: 3, MaxPerKey: 2})
		var runs atomic.Int32
		var waits []func() result
		for range 2 {
			waits = append(waits, call(g, t.Context(), "full", after(time.Second, "v", &runs)))
		}
		synctest.Wait()
		var asked []string
		got := g.DoMany(t.Context(), []string{"full", "a", "b", "c"}, loadAll(&asked))
		for i, refused := range []bool{true, false, false, true} {
			if errors.Is(got[i].Err, coalesce.ErrOverloaded) != refused {
				t.Errorf("key %d: got %+v, refused should be %v", i, got[i], refused)
			}
		}
		if !slices.Equal(asked, []string{"a", "b"}) {
			t.Errorf("loaded %q", asked)
		}
		for _, wait := range waits {
			wait()
		}
	})
}

// Batches and single callers at once: everybody gets the value of the key.
func TestManyRace(t *testing.T) {
	g := coalesce.New[int, string](coalesce.Config{})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for round := range 300 {
				keys := []int{round % 5, 5 + (round+n)%7, 12 + n}
				for i, r := range g.DoMany(t.Context(), keys, func(_ context.Context, keys []int, done func(int, string, error)) {
					for i := range keys {
						done(i, fmt.Sprint(keys[i]), nil)
					}
				}) {
					if r.Err != nil || r.Value != fmt.Sprint(keys[i]) {
						t.Errorf("key %d: %+v", keys[i], r)
					}
				}
				if v, _, err := g.Do(t.Context(), round%5, func(context.Context) (string, error) { return fmt.Sprint(round % 5), nil }); err != nil || v != fmt.Sprint(round%5) {
					t.Errorf("key %d: %q, %v", round%5, v, err)
				}
			}
		})
	}
	wg.Wait()
	if g.Waiting() != 0 || g.Loads() != 0 {
		t.Errorf("at the end: %d callers, %d loads", g.Waiting(), g.Loads())
	}
}
