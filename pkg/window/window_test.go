package window_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"eshop/pkg/window"
)

func seed(t *testing.T) uint64 {
	s := rand.Uint64()
	if text := os.Getenv("ESHOP_SEED"); text != "" {
		s, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("ESHOP_SEED=%d", s)
	return s
}

var shapes = []window.Config{
	{Span: time.Second, Slice: 100 * time.Millisecond, Bytes: 1 << 20},
	{Span: 3 * time.Millisecond, Slice: time.Millisecond, Bytes: 1 << 20},
	{Span: time.Second, Slice: time.Second, Bytes: 1 << 20},
	{Span: 700 * time.Millisecond, Slice: 7 * time.Millisecond, Bytes: 1 << 20},
}

// schedule makes random steps of a log: mostly in order, some late, some far too
// late, with jumps, gaps and bursts of one key.
type schedule struct {
	rnd  *rand.Rand
	span int64 // ms
	pace int64 // one step in five moves time, by up to span/pace
	now  int64
	keys int64
	big  bool // with counts around the borders of a pair
}

func newSchedule(rnd *rand.Rand, cfg window.Config) *schedule {
	return &schedule{rnd: rnd, span: cfg.Span.Milliseconds(), pace: 50, now: rnd.Int64N(1 << 41),
		keys: 1 + rnd.Int64N([]int64{1, 3, 30, 1000}[rnd.IntN(4)]), big: rnd.IntN(2) == 0}
}

// step returns an event, or just a time with n == 0.
func (s *schedule) step() (e event) {
	e = event{id: int64(s.rnd.ExpFloat64()*float64(s.keys)/3) - 2, n: 1}
	if s.big && s.rnd.IntN(10) == 0 {
		e.n = []int64{2, 127, 128, 4000, 4095, 4096, 50_000, 1_000_000}[s.rnd.IntN(8)]
	}
	switch k := s.rnd.IntN(1000); {
	case k < 600:
	case k < 800:
		s.now += s.rnd.Int64N(max(s.span/s.pace, 2))
	case k < 803:
		s.now += s.rnd.Int64N(2 * s.span) // a gap
	case k < 804:
		s.now += s.rnd.Int64N(1 << 40) // years
	case k < 900:
		e.at = s.now - s.rnd.Int64N(s.span+s.span/8+1) // late, some too late
		return e
	case k < 910:
		e.n = 0
		s.now += s.rnd.Int64N(max(s.span/s.pace, 2))
	case k < 912:
		e.n, e.at = 0, s.now-s.rnd.Int64N(s.span+1)
		return e
	}
	e.at = s.now
	return e
}

// apply gives a step to both and compares what Add says.
func apply(w *window.Window, m *model, e event) error {
	if e.n == 0 {
		w.Advance(e.at)
		m.advance(e.at)
	} else if got, want := w.Add(e.id, e.n, e.at), m.add(e.id, e.n, e.at); got != want {
		return fmt.Errorf("Add(%d, %d, %d) at watermark %d: got %v, want %v", e.id, e.n, e.at, m.watermark, got, want)
	}
	if w.Watermark() != m.watermark {
		return fmt.Errorf("after %v the watermark is %d, want %d", e, w.Watermark(), m.watermark)
	}
	return nil
}

// compare compares everything that can be read of a window that lacks no memory.
func compare(w *window.Window, m *model) error {
	if err := w.Check(); err != nil {
		return err
	}
	counts, total := m.counts()
	all := ranking(counts)
	if w.Total() != total || w.Distinct() != int64(len(all)) {
		return fmt.Errorf("total, distinct: got %d %d, want %d %d", w.Total(), w.Distinct(), total, len(all))
	}
	for id, n := range counts {
		if got := w.Count(id); got != n {
			return fmt.Errorf("count of key %d: got %d, want %d", id, got, n)
		}
	}
	if !w.Exact() {
		return errors.New("not exact with memory left")
	}
	if w.Count(1<<50) != 0 {
		return fmt.Errorf("a key that never was has a count of %d", w.Count(1<<50))
	}
	want, exact := coldMean(all)
	if got := w.ColdMean(); exact && got != want || math.Abs(got-want) > want/64 {
		return fmt.Errorf("cold mean of %d keys: got %v, want %v", len(all), got, want)
	}
	for _, n := range []int{-1, 0, 1, 2, len(all) / 2, len(all), len(all) + 5} {
		got, want := w.Top(n, nil), all[:min(max(n, 0), len(all))]
		if !slices.Equal(got, want) {
			return fmt.Errorf("top %d: got %v, want %v", n, got, want)
		}
	}
	return nil
}

// A window agrees with one that keeps all events, whatever comes: none is lost or
// doubled where slices turn (PITFALLS 3).
func TestModel(t *testing.T) {
	base := seed(t)
	runs, steps := 40, 1500
	if long() {
		runs, steps = 2000, 5000
	}
	for run := range runs {
		rnd := rand.New(rand.NewPCG(base, uint64(run)))
		cfg := shapes[run%len(shapes)]
		w, err := window.Seeded(cfg, rnd.Uint64())
		if err != nil {
			t.Fatal(err)
		}
		m := &model{slice: cfg.Slice.Milliseconds(), n: int64(cfg.Span / cfg.Slice)}
		s := newSchedule(rnd, cfg)
		for step := range steps {
			err := apply(w, m, s.step())
			if err == nil && step%53 == 0 {
				err = compare(w, m)
			}
			if err != nil {
				t.Fatalf("run %d, step %d, %v in %v: %v", run, step, cfg.Span, cfg.Slice, err)
			}
		}
	}
}

// One key is hot or not by the floor alone: there is no coldest 95 % of one.
func TestColdMeanOfFewKeys(t *testing.T) {
	w := open(t, window.Config{})
	for i, want := range []float64{0, 0, 10} {
		if got := w.ColdMean(); got != want {
			t.Errorf("%d keys: cold mean %v, want %v", i, got, want)
		}
		w.Add(int64(i), int64(i+1)*10, 1000)
	}
}

func TestLateAndJumps(t *testing.T) {
	w := open(t, window.Config{})
	for _, c := range []struct {
		at   int64
		in   bool
		want int64
	}{
		{100_050, true, 1},
		{90_100, true, 2},            // the oldest slice
		{90_099, false, 2},           // before it
		{100_000, true, 3},           // the newest
		{100_100, true, 3},           // one slice on: 90,100 left
		{90_199, false, 3},           // late now
		{1_000_000_000_000, true, 1}, // thirty years
		{0, false, 1},
		{-5, false, 1},
		{math.MinInt64, false, 1},
		{math.MaxInt64, true, 1},
		{1 << 60, true, 2},
	} {
		if in := w.Add(7, 1, c.at); in != c.in || w.Total() != c.want || w.Count(7) != c.want {
			t.Errorf("at %d: got %v %d %d, want %v %d", c.at, in, w.Total(), w.Count(7), c.in, c.want)
		}
	}
	if !w.Add(7, 0, 5) || !w.Add(7, -1, 5) || w.Total() != 2 {
		t.Error("less than one event is something")
	}
}

// A count ends at MaxCount; the total goes on.
func TestHighestCount(t *testing.T) {
	w := open(t, window.Config{})
	for i, c := range []struct{ n, at, count, total int64 }{
		{math.MaxInt64, 1000, window.MaxCount, window.MaxCount},
		{5, 1000, window.MaxCount, window.MaxCount + 5},
		{5, 2000, window.MaxCount, window.MaxCount + 10},
		{5, 11_100, 5, 10}, // the count lacks the 5 that found it full, one slice longer
		{0, 0, 5, 10},
	} {
		w.Add(7, c.n, c.at)
		if got := w.Count(7); got != c.count || w.Total() != c.total || w.Exact() != (c.count == c.total) {
			t.Errorf("step %d: count %d, total %d, exact %v, want %d, %d", i, got, w.Total(), w.Exact(), c.count, c.total)
		}
		if err := w.Check(); err != nil {
			t.Error(err)
		}
	}
	w.Advance(12_000)
	if !w.Exact() || w.Count(7) != 5 {
		t.Errorf("a span later: exact %v, count %d", w.Exact(), w.Count(7))
	}
}

// A jump costs the slices, not the time between.
func TestJumpIsCheap(t *testing.T) {
	w := open(t, window.Config{Span: time.Second, Slice: time.Millisecond})
	for i := range int64(1000) {
		w.Add(i, 1, i<<50)
	}
	if w.Total() != 1 || w.Watermark() != 999<<50 {
		t.Errorf("after jumps of 36,000 years: %d events at %d", w.Total(), w.Watermark())
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	w := open(t, window.Config{Bytes: 1 << 17}) // soon full
	at := int64(0)
	top := make([]window.Count, 0, 100)
	n := testing.AllocsPerRun(20, func() {
		for range 1000 {
			at++
			w.Add(at*7%5000, 1, at)
		}
		top = w.Top(100, top)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
