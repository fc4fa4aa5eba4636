package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/lifecycle"

	"github.com/google/go-cmp/cmp"
)

// journal records what happened in which order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

// lasting is an actor that is ready after a second and stops a second after it was asked to.
func (j *journal) lasting(name string) (string, func(context.Context, func()) error) {
	return name, func(ctx context.Context, ready func()) error {
		j.add("start " + name)
		time.Sleep(time.Second) // synctest's clock
		j.add("ready " + name)
		ready()
		<-ctx.Done()
		time.Sleep(time.Second)
		j.add("stop " + name)
		return ctx.Err()
	}
}

func TestStartInOrderStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var ready lifecycle.Ready
		g := lifecycle.New(lifecycle.Config{ShutdownDelay: 5 * time.Second}, lifecycle.Deps{Ready: &ready})
		g.Add(j.lasting("a"))
		g.AddStep("topics", func(context.Context) error { j.add("topics"); return nil })
		g.Add(j.lasting("b"))
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() { result <- g.Run(ctx) }()

		time.Sleep(1500 * time.Millisecond)
		if got, want := ready.Reasons(), []string{"lifecycle: starting b"}; !cmp.Equal(got, want) {
			t.Errorf("reasons while b starts: got %q, want %q", got, want)
		}
		time.Sleep(time.Second)
		if !ready.OK() {
			t.Errorf("not ready after all have started: %q", ready.Reasons())
		}
		if got, want := states(g), "a=running topics=stopped b=running"; got != want {
			t.Errorf("states: got %q, want %q", got, want)
		}

		cancel()
		synctest.Wait()
		if got, want := ready.Reasons(), []string{"lifecycle: shutting down"}; !cmp.Equal(got, want) {
			t.Errorf("reasons just after the signal: got %q, want %q", got, want)
		}
		time.Sleep(4 * time.Second)
		if got, want := states(g), "a=running topics=stopped b=running"; got != want {
			t.Errorf("states within the shutdown delay: got %q, want %q", got, want)
		}
		time.Sleep(1500 * time.Millisecond)
		if got, want := states(g), "a=running topics=stopped b=stopping"; got != want {
			t.Errorf("states while b stops: got %q, want %q", got, want)
		}
		if err := <-result; err != nil {
			t.Errorf("Run: got %v, want nil after an orderly stop", err)
		}
		want := []string{"start a", "ready a", "topics", "start b", "ready b", "stop b", "stop a"}
		if diff := cmp.Diff(want, j.all()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestFirstErrorWinsWithTheActorsName(t *testing.T) {
	boom, later := errors.New("boom"), errors.New("later")
	tests := []struct {
		name  string
		build func(g *lifecycle.Group, j *journal)
		want  string
		is    error
		steps []string
	}{
		{
			name: "an actor fails while running; an error of a stopping one comes second",
			build: func(g *lifecycle.Group, j *journal) {
				g.Add("server", func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return later })
				g.Add("feed", func(_ context.Context, ready func()) error { ready(); time.Sleep(time.Minute); return boom })
			},
			want: "feed: boom", is: boom,
		},
		{
			name: "an actor fails before it is ready; what comes after is never started",
			build: func(g *lifecycle.Group, j *journal) {
				g.Add(j.lasting("first"))
				g.Add("second", func(context.Context, func()) error { return boom })
				g.Add(j.lasting("third"))
			},
			want: "second: boom", is: boom, steps: []string{"start first", "ready first", "stop first"},
		},
		{
			name: "an earlier actor fails while a later one starts",
			build: func(g *lifecycle.Group, j *journal) {
				g.Add("early", func(_ context.Context, ready func()) error { ready(); time.Sleep(time.Second); return boom })
				g.Add("slow", func(ctx context.Context, _ func()) error { <-ctx.Done(); j.add("slow told"); return nil })
			},
			want: "early: boom", is: boom, steps: []string{"slow told"},
		},
		{
			name: "a step fails",
			build: func(g *lifecycle.Group, j *journal) {
				g.AddStep("topics", func(context.Context) error { return boom })
				g.Add(j.lasting("never"))
			},
			want: "topics: boom", is: boom,
		},
		{
			name: "an actor ends without being asked to",
			build: func(g *lifecycle.Group, j *journal) {
				g.Add("server", func(_ context.Context, ready func()) error { ready(); return nil })
			},
			want: "server: ended without being asked to",
		},
		{
			name: "an actor ends without ever being ready",
			build: func(g *lifecycle.Group, j *journal) {
				g.Add("server", func(context.Context, func()) error { return nil })
			},
			want: "server: ended without being asked to",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				g := lifecycle.New(lifecycle.Config{ShutdownDelay: time.Hour}, lifecycle.Deps{})
				tt.build(g, &j)
				begin := time.Now()
				err := g.Run(t.Context())
				if err == nil || err.Error() != tt.want {
					t.Fatalf("Run: got %v, want %q", err, tt.want)
				}
				if tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("the error does not wrap %v", tt.is)
				}
				if diff := cmp.Diff(tt.steps, j.all()); diff != "" {
					t.Errorf("order (-want +got):\n%s", diff)
				}
				if took := time.Since(begin); took > 2*time.Minute {
					t.Errorf("took %s: the shutdown delay is for signals, not for failures", took)
				}
			})
		})
	}
}

func TestErrorWhileStoppingIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("7 records not flushed")
		g := lifecycle.New(lifecycle.Config{}, lifecycle.Deps{})
		g.Add("producer", func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return lost })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Run(ctx); !errors.Is(err, lost) {
			t.Errorf("Run: got %v, want %v", err, lost)
		}
	})
}

func TestFailureWithinTheShutdownDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		g := lifecycle.New(lifecycle.Config{ShutdownDelay: time.Hour}, lifecycle.Deps{})
		g.Add("server", func(_ context.Context, ready func()) error { ready(); time.Sleep(time.Minute); return boom })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := g.Run(ctx); !errors.Is(err, boom) {
			t.Errorf("Run: got %v, want %v", err, boom)
		}
		if got, want := time.Since(begin), time.Minute; got != want {
			t.Errorf("Run took %s, want %s: the failure ends the delay", got, want)
		}
	})
}

func TestShutdownTimeoutNamesWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hang := func(ctx context.Context, ready func()) error { ready(); <-release; return nil }
		var told bool
		g := lifecycle.New(lifecycle.Config{ShutdownTimeout: 10 * time.Second}, lifecycle.Deps{})
		g.Add("below", func(ctx context.Context, ready func()) error {
			ready()
			<-ctx.Done()
			told = true
			<-release
			return nil
		})
		g.Add("hanging", hang)
		g.Add("quick", func(ctx context.Context, ready func()) error { ready(); <-ctx.Done(); return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		err := g.Run(ctx)
		want := "not stopped within the shutdown timeout of 10s: hanging, below"
		if err == nil || err.Error() != want {
			t.Errorf("Run: got %v, want %q", err, want)
		}
		if got, want := time.Since(begin), 11*time.Second; got != want {
			t.Errorf("Run took %s, want %s", got, want)
		}
		synctest.Wait()
		if !told {
			t.Error("the actor below the hanging one was not told to stop")
		}
		close(release)
	})
}

func TestCancelledWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		g := lifecycle.New(lifecycle.Config{}, lifecycle.Deps{})
		g.Add(j.lasting("a"))
		g.Add("waits for ever", func(ctx context.Context, _ func()) error { <-ctx.Done(); return ctx.Err() })
		g.Add(j.lasting("never"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
		if diff := cmp.Diff([]string{"start a", "ready a", "stop a"}, j.all()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		if got, want := states(g), "a=stopped waits for ever=stopped never=waiting"; got != want {
			t.Errorf("states: got %q, want %q", got, want)
		}
	})
}

func TestStepsOnlyEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := lifecycle.New(lifecycle.Config{}, lifecycle.Deps{})
		g.AddStep("one", func(context.Context) error { return nil })
		g.AddStep("two", func(context.Context) error { return nil })
		if err := g.Run(t.Context()); err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

func states(g *lifecycle.Group) string {
	var all []string
	for _, s := range g.States() {
		all = append(all, s.Name+"="+s.State.String())
	}
	return strings.Join(all, " ")
}
