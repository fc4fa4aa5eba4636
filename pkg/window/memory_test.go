package window_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"eshop/pkg/window"
)

// PITFALLS 2: a burst is not lost. Whatever does not fit: the total is the truth, no
// count is above it, a window that says it is exact is, and it is a span later.
func TestShortOfMemory(t *testing.T) {
	base := seed(t)
	runs, steps := 30, 4000
	if long() {
		runs, steps = 1000, 20_000
	}
	inexact, entryShort, pairShort := 0, 0, 0
	for run := range runs {
		rnd := rand.New(rand.NewPCG(base, uint64(run)))
		cfg := window.Config{Span: time.Second, Slice: 50 * time.Millisecond, Bytes: 42 << 10}
		w, err := window.Seeded(cfg, rnd.Uint64())
		if err != nil {
			t.Fatal(err)
		}
		m := &model{slice: 50, n: 20}
		s := newSchedule(rnd, cfg)
		s.keys, s.pace = []int64{60, 300, 3000}[run%3], 200
		for step := range steps {
			err := apply(w, m, s.step())
			if err == nil && step%97 == 0 {
				if err = w.Check(); err == nil {
					err = never(w, m)
				}
				promotion, pair := w.Bars()
				inexact += one(!w.Exact())
				entryShort += one(promotion > 2)
				pairShort += one(pair > 0)
			}
			if err != nil {
				t.Fatalf("run %d, step %d: %v", run, step, err)
			}
		}
		for i := range 2 * m.n { // a span of few events, and the rest of those before
			if err := apply(w, m, event{1, 1, m.watermark + 50 - i%2}); err != nil {
				t.Fatal(err)
			}
		}
		if err := compare(w, m); err != nil {
			t.Fatalf("run %d: a quiet span later: %v", run, err)
		}
	}
	if inexact == 0 || entryShort == 0 || pairShort == 0 {
		t.Errorf("it was never short: %d checks not exact, %d without entries, %d without pairs", inexact, entryShort, pairShort)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// never compares a window that may lack memory.
func never(w *window.Window, m *model) error {
	counts, total := m.counts()
	if w.Total() != total {
		return fmt.Errorf("total: got %d, want %d", w.Total(), total)
	}
	for id, n := range counts {
		if got := w.Count(id); got > n || w.Exact() && got != n {
			return fmt.Errorf("count of key %d: got %d, the truth is %d, exact is %v", id, got, n, w.Exact())
		}
	}
	for _, c := range w.Top(100, nil) {
		if c.N > counts[c.ID] {
			return fmt.Errorf("key %d in the top: got %d, the truth is %d", c.ID, c.N, counts[c.ID])
		}
	}
	return nil
}

// A flood of keys that come once does not use up the reserve, at no rate: a key
// that turns up in the middle of it is promoted after few events, and its count is
// exact a span later.
func TestPromotionInAFlood(t *testing.T) {
	for _, perMilli := range []int{1, 10, 60} {
		t.Run(fmt.Sprint(perMilli, "k a second"), func(t *testing.T) {
			w := open(t, window.Config{Bytes: 1 << 17})
			rnd := rand.New(rand.NewPCG(1, 2))
			flood := func(at int64) {
				for range perMilli {
					w.Add(rnd.Int64(), 1, at)
				}
			}
			at, most := int64(0), 0
			_, plain, limit := w.Entries()
			for ; at < 12_000; at++ {
				flood(at)
				used, _, _ := w.Entries()
				most = max(most, used-plain)
			}
			if most > 9*(limit-plain)/10 {
				t.Errorf("the flood used %d of the reserve of %d", most, limit-plain)
			}
			lost, sent := int64(-1), int64(0)
			for ; at < 24_000; at++ {
				flood(at)
				if at%5 == 0 { // 2,000 in a span
					w.Add(-7, 1, at)
					sent++
				}
				if lost < 0 && w.Count(-7) > 0 {
					lost = sent - 1
				}
			}
			t.Logf("used %d of the reserve of %d, promoted after %d events", most, limit-plain, lost)
			if lost < 0 || lost > 200 {
				t.Errorf("promoted after %d events", lost)
			}
			if got := w.Count(-7); got != 1980 { // 24,000 - 10,000 + what is left of a slice
				if got < 1980 || got > 2000 {
					t.Errorf("a span later its count is %d, want 1,980 to 2,000", got)
				}
			}
		})
	}
}

// Far more pairs than there are: heavy keys keep theirs, light keys get coarse.
func TestHeavyKeysKeepTheirPairs(t *testing.T) {
	cfg := window.Config{Bytes: 1 << 18}
	w, truth := open(t, cfg), open(t, window.Config{Bytes: 64 << 20})
	z := newZipf(2500, 1, 3) // of 250,000 pairs, 26,000 are there
	worst, heavy, low, high := 0.0, 0.0, 1.0, 1.0
	for at := range int64(25_000) {
		for range 20 {
			id := z.next()
			w.Add(id, 1, at)
			truth.Add(id, 1, at)
		}
		if at%1000 != 999 {
			continue
		}
		if err := w.Check(); err != nil {
			t.Fatal(err)
		}
		low, high = min(low, w.ColdMean()/truth.ColdMean()), max(high, w.ColdMean()/truth.ColdMean())
		for i, c := range truth.Top(2500, nil) {
			off := 1 - float64(w.Count(c.ID))/float64(c.N)
			if off < 0 {
				t.Fatalf("key %d: count %d above the truth %d", c.ID, w.Count(c.ID), c.N)
			}
			if c.N < 10 {
				break
			}
			if i < 20 {
				heavy = max(heavy, off)
			}
			worst = max(worst, off)
		}
	}
	_, pairs := w.Bars()
	t.Logf("cold mean between %.2f and %.2f times the truth", low, high)
	t.Logf("off by at most %.2f %% in the first 20 keys, %.0f %% in all; the bar is %.0f", 100*heavy, 100*worst, pairs)
	if !truth.Exact() || w.Exact() || pairs == 0 {
		t.Fatal("it was not short, or the truth was")
	}
	if low < 0.85 || high > 1.15 {
		t.Errorf("cold mean between %.2f and %.2f times the truth", low, high)
	}
	if heavy > 0.1 {
		t.Errorf("a heavy key is off by %.2f %%", 100*heavy)
	}
	if used, _, _ := w.Entries(); used < 2300 {
		t.Errorf("%d keys have entries, nearly all of 2,500 could", used)
	}
}

// A key whose events come out of order takes a pair a slice, not one an event.
func TestLateEventsOfOneKey(t *testing.T) {
	w := open(t, window.Config{Bytes: 1 << 17})
	for at := range int64(200_000) {
		w.Add(7, 1, at/10-at%8*100) // over 8 slices at once
	}
	if _, pairs := w.Bars(); pairs != 0 || !w.Exact() {
		t.Errorf("one key used up the pool: the bar is %v, exact %v", pairs, w.Exact())
	}
}

// The numbers of keys and their mean, estimated while most keys are in the tail.
func TestTailEstimates(t *testing.T) {
	for _, keys := range []int64{3000, 20_000, 200_000} {
		w := open(t, window.Config{Bytes: 1 << 18})
		rnd := rand.New(rand.NewPCG(uint64(keys), 2))
		seen := map[int64]int64{} // at
		at := int64(0)
		for ; at < 20_000; at++ {
			for range 10 {
				id := rnd.Int64N(keys)
				w.Add(id, 1, at)
				seen[id] = at
			}
		}
		distinct := 0
		for _, last := range seen {
			distinct += one(last >= 10_000)
		}
		got, want := float64(w.Distinct()), float64(distinct)
		mean, wantMean := w.ColdMean(), float64(w.Total())/want
		t.Logf("%d keys: %.0f distinct of %.0f, cold mean %.2f, mean %.2f, exact %v", keys, got, want, mean, wantMean, w.Exact())
		if math.Abs(got/want-1) > 0.25 {
			t.Errorf("%d keys: %v distinct, want about %v", keys, got, want)
		}
		if mean < 0.7*wantMean || mean > 1.3*wantMean {
			t.Errorf("%d keys: cold mean %v, the mean is %v", keys, mean, wantMean)
		}
	}
}

// 10 M distinct keys over 8 windows of 8 MiB: what the heap holds, measured.
func TestMemory(t *testing.T) {
	keys := int64(1_400_000) // of which 1.1 M get an entry at once
	if long() {
		keys = 10_000_000
	}
	windows := make([]*window.Window, 8)
	before := heap()
	said := int64(0)
	for i := range windows {
		windows[i] = open(t, window.Config{})
		said += windows[i].Bytes()
	}
	for id := range keys {
		windows[id%8].Add(id, 1, id*10_000/keys)
	}
	held := int64(heap() - before)
	distinct := int64(0)
	for _, w := range windows {
		distinct += w.Distinct()
		if w.Exact() || w.Total() != keys/8 {
			t.Errorf("exact %v, total %d", w.Exact(), w.Total())
		}
	}
	t.Logf("%d keys, %d by the windows: %.2f MiB on the heap, %.2f by Bytes", keys, distinct, mib(held), mib(said))
	if held > 64<<20 || said > 64<<20 {
		t.Errorf("%.2f MiB on the heap, %.2f by Bytes, want 64 at most", mib(held), mib(said))
	}
	if said < held*97/100 {
		t.Errorf("Bytes says %.2f MiB, the heap has %.2f", mib(said), mib(held))
	}
	runtime.KeepAlive(windows)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func TestBytes(t *testing.T) {
	for _, bytes := range []int64{42 << 10, 1 << 16, 1 << 20, 8 << 20, 100 << 20} {
		for _, span := range []time.Duration{100 * time.Millisecond, time.Second} {
			w := open(t, window.Config{Span: span, Bytes: bytes})
			if got := w.Bytes(); got > bytes || got < bytes*95/100 {
				t.Errorf("%d bytes: it holds %d", bytes, got)
			}
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		cfg  window.Config
		want []string
	}{
		{window.Config{Slice: time.Microsecond, Bytes: 1 << 50}, []string{"whole milliseconds", "bytes"}},
		{window.Config{Slice: -time.Second}, []string{"whole milliseconds"}},
		{window.Config{Slice: 1500 * time.Microsecond}, []string{"whole milliseconds"}},
		{window.Config{Span: 150 * time.Millisecond}, []string{"span 150ms"}},
		{window.Config{Span: -time.Second}, []string{"span -1s"}},
		{window.Config{Span: time.Hour}, []string{"span 1h0m0s"}},
		{window.Config{Bytes: 1}, []string{"1 bytes: too few for 100 slices"}},
		{window.Config{Bytes: -1}, []string{"-1 bytes"}},
		{window.Config{Bytes: 1 << 16, Slice: 10 * time.Millisecond}, []string{"too few for 1000 slices"}},
	} {
		_, err := window.New(c.cfg)
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: got %v, want %q in it", c.cfg, err, want)
			}
		}
	}
}
