package admission

import (
	"cmp"
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// MemoryConfig says when memory is short. Zero values mean the defaults.
type MemoryConfig struct {
	// Limit in bytes (default: GOMEMLIMIT, and without that none).
	Limit int64
	// Kept tells what caches hold of Budget, their bound, at the moment. That is
	// there on purpose: what is watched is the rest, and the room for it beside
	// the whole budget. nil and 0: there are none.
	Kept   func() int64
	Budget int64
	// High is the share of that room from which on memory is short (0.85), Low
	// the one below which it is not any more (0.75).
	High, Low float64
	// Every is how often that is looked at (100 ms).
	Every time.Duration
}

// collectPause is how long memory may be short without a collection.
const collectPause = time.Second

// Memory watches what the process holds: the live heap as the last collection
// found it, and the stacks. With GOMEMLIMIT the collector runs ever more often
// as that nears the limit, until it does nothing else; so work that needs memory
// has to end before.
//
// A process that refuses such work may allocate so little that the next
// collection, the only one that can find memory not to be short any more, is two
// minutes away. So while memory is short and none has ended for a second, Run
// makes one.
type Memory struct {
	cfg    MemoryConfig
	budget atomic.Int64 // MemoryConfig.Budget
	short  atomic.Bool
	held   atomic.Int64
}

// NewMemory returns a watcher that finds memory not to be short until Run runs.
func NewMemory(cfg MemoryConfig) *Memory {
	cfg.Limit = cmp.Or(cfg.Limit, MemoryLimit())
	cfg.High, cfg.Low = cmp.Or(cfg.High, 0.85), cmp.Or(cfg.Low, 0.75)
	cfg.Every = cmp.Or(cfg.Every, 100*time.Millisecond)
	m := &Memory{cfg: cfg}
	m.budget.Store(cfg.Budget)
	return m
}

// MemoryLimit returns GOMEMLIMIT in bytes, 0 if there is none.
func MemoryLimit() int64 {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return limit
	}
	return 0
}

// Run watches until ctx ends. Without a limit there is nothing to watch.
func (m *Memory) Run(ctx context.Context) {
	if m.cfg.Limit <= 0 {
		<-ctx.Done()
		return
	}
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	var cycles uint64
	ended := time.Now() // when a collection was last seen to have ended
	tick := time.NewTicker(m.cfg.Every)
	defer tick.Stop()
	for {
		metrics.Read(samples)
		m.look(int64(samples[0].Value.Uint64() + samples[1].Value.Uint64()))
		switch n := samples[2].Value.Uint64(); {
		case n != cycles:
			cycles, ended = n, time.Now()
		case m.Short() && time.Since(ended) >= collectPause:
			runtime.GC() // waits for the collection's end, on this goroutine alone
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (m *Memory) look(held int64) {
	m.held.Store(held)
	if m.cfg.Kept != nil {
		held -= m.cfg.Kept()
	}
	share := float64(held) / float64(max(1, m.cfg.Limit-m.budget.Load()))
	if m.short.Load() {
		m.short.Store(share >= m.cfg.Low)
	} else {
		m.short.Store(share >= m.cfg.High)
	}
}

// SetBudget changes what caches may hold.
func (m *Memory) SetBudget(bytes int64) { m.budget.Store(bytes) }

// Short reports whether memory is short: what costs more of it should be refused.
func (m *Memory) Short() bool { return m.short.Load() }

// Held returns the bytes last seen, Limit those that may be (0: no bound).
func (m *Memory) Held() int64  { return m.held.Load() }
func (m *Memory) Limit() int64 { return m.cfg.Limit }
