package admin_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/admin"
)

// A part that holds its lock for ever is named, however often one looks, and costs one goroutine; when it
// gives it back all is well again. A part that panics is not taken for deadlocked.
func TestAlive(t *testing.T) {
	var mu sync.Mutex
	s := admin.New(admin.Config{}, admin.Deps{})
	s.AddSection("parts", func() any { return nil })
	s.AddSection("broken", func() any { panic("no state") })
	s.AddSection("gateway", func() any { mu.Lock(); defer mu.Unlock(); return nil })
	look := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		return s.Alive(ctx)
	}
	if err := look(10 * time.Second); err != nil {
		t.Errorf("nothing is wrong: %v", err)
	}
	mu.Lock()
	before := runtime.NumGoroutine()
	for range 5 {
		if err := look(20 * time.Millisecond); err == nil || !strings.Contains(err.Error(), `"gateway" does not tell its state`) {
			t.Errorf("with a lock that is held: got %v", err)
		}
	}
	if n := runtime.NumGoroutine() - before; n > 1 {
		t.Errorf("%d goroutines wait for the part", n)
	}
	mu.Unlock()
	if err := look(10 * time.Second); err != nil {
		t.Errorf("the lock is free again: %v", err)
	}
}

// A container's probe and a watchdog mean the same by it.
func TestHealthyTellsOfADeadlock(t *testing.T) {
	stuck := make(chan struct{})
	addr := running(t, admin.Config{}, admin.Deps{}, func(s *admin.Server) {
		s.AddSection("cache", func() any { <-stuck; return nil })
	})
	defer close(stuck)
	if code, _, body := ask(t, http.MethodGet, "http://"+addr+"/-/healthy", nil); code != http.StatusServiceUnavailable || !strings.Contains(body, `the part "cache"`) {
		t.Errorf("got %d %q, want 503 with the part's name", code, body)
	}
}
