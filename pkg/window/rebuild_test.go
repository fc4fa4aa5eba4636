package window_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"eshop/pkg/window"
)

// Invariant 11, PITFALLS 1: a window rebuilt from a part of the log, by whoever gets
// the partition, is the one that saw all, if the part begins at the first record of
// watermark - span - slack or sooner. Event times are up to slack off the times of
// their records, either way.
func TestRebuiltWindowIsTheSame(t *testing.T) {
	base := seed(t)
	runs := 60
	if long() {
		runs = 2000
	}
	type record struct {
		event
		written int64
	}
	const slack = 300
	for run := range runs {
		rnd := rand.New(rand.NewPCG(base, uint64(run)))
		cfg := shapes[run%len(shapes)]
		saw := open(t, cfg)
		var log []record
		now, late := int64(1_700_000_000_000), 0
		for range 2000 + rnd.IntN(4000) {
			now += rnd.Int64N(5)
			if rnd.IntN(1000) == 0 {
				now += rnd.Int64N(3000)
			}
			r := record{event{int64(rnd.ExpFloat64() * 20), 1 + rnd.Int64N(3), now + rnd.Int64N(2*slack+1) - slack}, now}
			log = append(log, r)
			if !saw.Add(r.id, r.n, r.at) {
				late++
			}
		}
		clock := now
		if rnd.IntN(2) == 0 { // read to its end: the clock moved the watermark on
			clock += rnd.Int64N(cfg.Span.Milliseconds())
		}
		saw.Advance(clock)

		from := saw.Watermark() - cfg.Span.Milliseconds() - slack
		cut := slices.IndexFunc(log, func(r record) bool { return r.written >= from })
		if rnd.IntN(2) == 0 {
			cut = rnd.IntN(cut + 1)
		}
		rebuilt := open(t, cfg)
		for _, r := range log[cut:] {
			rebuilt.Add(r.id, r.n, r.at)
		}
		rebuilt.Advance(clock)

		a, b := saw.Top(1000, nil), rebuilt.Top(1000, nil)
		if saw.Total() != rebuilt.Total() || saw.ColdMean() != rebuilt.ColdMean() || !slices.Equal(a, b) ||
			saw.Watermark() != rebuilt.Watermark() || saw.Distinct() != rebuilt.Distinct() {
			t.Fatalf("run %d, cut at %d of %d, %d were late: rebuilt: %d events %v; the one that saw all: %d %v",
				run, cut, len(log), late, rebuilt.Total(), b, saw.Total(), a)
		}
	}
}

// A window that is rebuilt while keys are in the tail has the same totals, and
// no count above the truth.
func TestRebuiltFullWindow(t *testing.T) {
	cfg := window.Config{Bytes: 1 << 17}
	saw, rebuilt, truth := open(t, cfg), open(t, cfg), open(t, window.Config{})
	z := newZipf(20_000, 1, 5)
	for at := range int64(30_000) {
		for range 3 {
			id := z.next()
			saw.Add(id, 1, at)
			truth.Add(id, 1, at)
			if at >= 19_900 {
				rebuilt.Add(id, 1, at)
			}
		}
	}
	if !truth.Exact() || saw.Exact() || rebuilt.Exact() {
		t.Fatal("the big window must be exact and the small ones not")
	}
	for _, w := range []*window.Window{saw, rebuilt} {
		if w.Total() != truth.Total() {
			t.Errorf("total %d, want %d", w.Total(), truth.Total())
		}
		for _, c := range w.Top(5000, nil) {
			if c.N > truth.Count(c.ID) {
				t.Errorf("key %d: count %d above the truth %d", c.ID, c.N, truth.Count(c.ID))
			}
		}
	}
	for _, c := range truth.Top(50, nil) {
		if a, b := saw.Count(c.ID), rebuilt.Count(c.ID); a < c.N*9/10 || b < c.N*9/10-16 {
			t.Errorf("key %d: %d in the window that saw all, %d in the rebuilt one, the truth is %d", c.ID, a, b, c.N)
		}
	}
}
