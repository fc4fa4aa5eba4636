package admission

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestMemoryHasTwoThresholds(t *testing.T) {
	m := NewMemory(MemoryConfig{Limit: 1000})
	for i, c := range []struct {
		held int64
		want bool
	}{{840, false}, {850, true}, {800, true}, {750, true}, {749, false}, {849, false}, {2000, true}} {
		if m.look(c.held); m.Short() != c.want {
			t.Errorf("step %d, %d of 1000 bytes: short is %v", i, c.held, m.Short())
		}
	}
}

// What the process holds is seen, and given back when it is let go.
func TestMemoryWatches(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	debug.SetMemoryLimit(math.MaxInt64) // whatever the tests run with
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	debug.SetMemoryLimit(int64(stats.HeapAlloc+stats.StackInuse) + 100<<20)
	m := NewMemory(MemoryConfig{Every: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	until := func(short bool, what string) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(20 * time.Second); m.Short() != short; <-tick.C {
			if runtime.GC(); time.Now().After(deadline) {
				t.Fatalf("%s: %d of %d bytes, short is %v", what, m.Held(), m.Limit(), m.Short())
			}
		}
	}
	until(false, "nothing is held")
	held := make([]byte, 98<<20)
	until(true, "much is held")
	runtime.KeepAlive(held)
	until(false, "it was let go")
}

// In a process that allocates nothing any more no collection is near; memory that
// was let go is found to be free all the same.
func TestMemoryIsCollectedWhileShort(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent) })
	debug.SetMemoryLimit(math.MaxInt64)
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m := NewMemory(MemoryConfig{Every: time.Millisecond, Limit: int64(stats.HeapAlloc+stats.StackInuse) + 100<<20})
	held := make([]byte, 98<<20)
	runtime.GC()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	until := func(short bool) {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(20 * time.Second); m.Short() != short; <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d bytes, short is %v for 20 s", m.Held(), m.Limit(), m.Short())
			}
		}
	}
	until(true)
	runtime.KeepAlive(held)
	until(false)
}

func TestWithoutALimit(t *testing.T) {
	before := debug.SetMemoryLimit(math.MaxInt64) // whatever the tests run with
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	m := NewMemory(MemoryConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.Run(ctx)
	if m.Short() || m.Limit() != 0 {
		t.Errorf("short is %v of %d", m.Short(), m.Limit())
	}
}
