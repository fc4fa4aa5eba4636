package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func always() error { return nil }

// testGuard is a guard with small numbers: half of four requests within 10 s
// open it, after 2 s (and up to a tenth) two probes are let through.
func testGuard(t *testing.T, concurrency int) *limited {
	t.Helper()
	cfg := Config{BaseURL: "http://x", Concurrency: concurrency, Breaker: Breaker{MinRequests: 4}}
	if _, err := cfg.complete(); err != nil {
		t.Fatal(err)
	}
	return &limited{newGuard(cfg, slog.New(slog.DiscardHandler)), newLimits(cfg.Timeout, cfg.Concurrency)}
}

// limited is a guard with the limits that its requests have.
type limited struct {
	*guard
	*limits
}

func (g *limited) do(ctx context.Context, may func() error, fn func() ([]byte, error)) ([]byte, error) {
	return g.guard.do(ctx, g.limits, may, fn)
}

func (g *limited) with(err error) error {
	_, got := g.do(context.Background(), always, func() ([]byte, error) { return nil, err })
	return got
}

var errBroken = fmt.Errorf("read: %w", io.ErrUnexpectedEOF)

func TestWhatOpensTheBreaker(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		opens bool
	}{
		{"a document", nil, false},
		{"404", errNotFound, false},
		{"a bad document", fmt.Errorf("%w: no JSON", ErrBadAnswer), false},
		{"400", &StatusError{400}, false},
		{"403", &StatusError{403}, false},
		{"429", fmt.Errorf("ask: %w", &StatusError{429}), true},
		{"500", &StatusError{500}, true},
		{"503", fmt.Errorf("ask: %w", &StatusError{503}), true},
		{"a broken connection", errBroken, true},
		{"no answer in time", fmt.Errorf("ask: %w", context.DeadlineExceeded), true},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := testGuard(t, 4)
			for i := range 3 {
				if err := g.with(c.err); !errors.Is(err, c.err) {
					t.Fatalf("%s, request %d: got %v", c.name, i, err)
				}
			}
			if g.state() != 0 {
				t.Errorf("%s: after 3 requests the state is %v, want closed until there were 4", c.name, g.state())
			}
			_ = g.with(c.err)
			if opened := g.state() == 2; opened != c.opens {
				t.Errorf("%s: open is %v, want %v", c.name, opened, c.opens)
			}
			called := false
			_, err := g.do(t.Context(), always, func() ([]byte, error) { called = true; return nil, nil })
			if errors.Is(err, ErrOpen) != c.opens || called == c.opens {
				t.Errorf("%s: the next request: got %v, sent: %v", c.name, err, called)
			}
		})
	}
}

func open(t *testing.T, g *limited) {
	t.Helper()
	for range 4 {
		_ = g.with(errBroken)
	}
	if g.state() != 2 {
		t.Fatalf("the state is %v, want open", g.state())
	}
}

// After the delay exactly two probes are let through; both succeed: closed.
func TestProbesCloseTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(t, 10)
		open(t, g)
		time.Sleep(1700 * time.Millisecond)
		if err := g.with(nil); !errors.Is(err, ErrOpen) {
			t.Errorf("before the delay: got %v", err)
		}
		time.Sleep(600 * time.Millisecond)
		hold := make(chan struct{})
		results := make(chan error, 5)
		for range 5 {
			go func() {
				_, err := g.do(t.Context(), always, func() ([]byte, error) { <-hold; return nil, nil })
				results <- err
			}()
		}
		synctest.Wait()
		if g.state() != 1 || len(results) != 3 {
			t.Errorf("with two probes under way: state %v, %d refused, want half-open and 3", g.state(), len(results))
		}
		close(hold)
		open, closed := 0, 0
		for range 5 {
			switch err := <-results; {
			case errors.Is(err, ErrOpen):
				open++
			case err == nil:
				closed++
			}
		}
		if open != 3 || closed != 2 || g.state() != 0 {
			t.Errorf("%d refused, %d probed, state %v, want 3, 2, closed", open, closed, g.state())
		}
	})
}

func TestAFailingProbeOpensTheBreakerAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(t, 10)
		open(t, g)
		time.Sleep(2300 * time.Millisecond)
		if err := g.with(nil); err != nil || g.state() != 1 {
			t.Errorf("the first probe: got %v, state %v, want half-open until the second", err, g.state())
		}
		if err := g.with(errBroken); !errors.Is(err, io.ErrUnexpectedEOF) || g.state() != 2 {
			t.Errorf("the second probe fails: got %v, state %v, want open", err, g.state())
		}
		if err := g.with(nil); !errors.Is(err, ErrOpen) {
			t.Errorf("afterwards: got %v", err)
		}
	})
}

// Neither a caller that leaves the queue nor a full bulkhead says anything to
// the breaker: half-open it stays half-open and keeps its probes.
func TestLeaversDoNotTouchTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(t, 1)
		open(t, g)
		time.Sleep(2300 * time.Millisecond)
		_ = g.with(nil) // the first of two probes
		hold := make(chan struct{})
		second := make(chan error)
		go func() {
			_, err := g.do(t.Context(), always, func() ([]byte, error) { <-hold; return nil, nil })
			second <- err
		}()
		synctest.Wait()
		never := func() ([]byte, error) { t.Error("a request was sent"); return nil, nil }
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() { _, err := g.do(ctx, always, never); left <- err }()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that leaves the queue: got %v", err)
		}
		if _, err := g.do(ctx, always, never); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that is gone: got %v", err)
		}
		began := time.Now()
		if _, err := g.do(t.Context(), always, never); !errors.Is(err, ErrOverloaded) || time.Since(began) != g.timeout {
			t.Errorf("a full bulkhead: got %v after %v, want ErrOverloaded after %v", err, time.Since(began), g.timeout)
		}
		if g.state() != 1 {
			t.Errorf("the state is %v, want half-open", g.state())
		}
		close(hold)
		if err := <-second; err != nil || g.state() != 0 {
			t.Errorf("the second probe: got %v, state %v, want closed", err, g.state())
		}
	})
}

// A panic gives the places back and counts as a failure.
func TestPanicGivesPlacesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(t, 1)
		for range 4 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the panic was swallowed")
					}
				}()
				_, _ = g.do(t.Context(), always, func() ([]byte, error) { panic("boom") })
			}()
		}
		if g.state() != 2 {
			t.Errorf("after 4 panics the state is %v, want open", g.state())
		}
		time.Sleep(2300 * time.Millisecond)
		if err := g.with(nil); err != nil {
			t.Errorf("afterwards: got %v", err)
		}
	})
}

// Failures are forgotten after the period.
func TestOldFailuresDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := testGuard(t, 1)
		for range 3 {
			_ = g.with(errBroken)
		}
		time.Sleep(11 * time.Second)
		_ = g.with(errBroken)
		if g.state() != 0 {
			t.Errorf("the state is %v, want closed", g.state())
		}
	})
}
