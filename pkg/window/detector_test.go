package window_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"eshop/pkg/window"
)

var usual = window.Rule{Floor: 200, Factor: 10, Cool: 0.5, Hold: 5 * time.Second, Max: 256}

// watch counts the hot periods of each key.
type watch struct {
	d       *window.Detector
	hot     map[int64]bool
	periods map[int64]int
	left    int // how often a key cooled
}

func newWatch() *watch {
	return &watch{d: window.NewDetector(), hot: map[int64]bool{}, periods: map[int64]int{}}
}

func (o *watch) evaluate(w *window.Window, r window.Rule) {
	if !o.d.Evaluate(w, r) {
		return
	}
	now := map[int64]bool{}
	for _, h := range o.d.Hot() {
		now[h.ID] = true
		if !o.hot[h.ID] {
			o.periods[h.ID]++
		}
	}
	for id := range o.hot {
		if !now[id] {
			o.left++
		}
	}
	o.hot = now
}

// poisson calls each for the events of a rate per ms in one ms.
func poisson(rnd *rand.Rand, rate float64, each func()) {
	for left := rate; ; {
		if left -= rnd.ExpFloat64(); left < 0 {
			return
		}
		each()
	}
}

// A key whose rate is the threshold exactly, for a minute of event time, has one
// hot period. Without hysteresis and hold it has many, so the test can fail.
func TestNoFlappingAtTheThreshold(t *testing.T) {
	without := usual
	without.Cool, without.Hold = 1, 0
	for _, seed := range []uint64{1, 2, 3, 4, 5} {
		rnd := rand.New(rand.NewPCG(seed, 7))
		w := open(t, window.Config{})
		o, bad := newWatch(), newWatch()
		at := int64(1_700_000_000_000)
		for end := at + 70_000; at < end; at++ {
			poisson(rnd, 200.0/10_000, func() { w.Add(7, 1, at) })
			poisson(rnd, 0.5, func() { w.Add(rnd.Int64N(1_000_000), 1, at) })
			if at%20 == 0 {
				o.evaluate(w, usual)
			}
		}
		if o.periods[7] != 1 || !o.hot[7] {
			t.Errorf("seed %d: %d hot periods, hot at the end: %v", seed, o.periods[7], o.hot[7])
		}

		w, at = open(t, window.Config{}), 1_700_000_000_000
		for end := at + 70_000; at < end; at++ {
			poisson(rnd, 200.0/10_000, func() { w.Add(7, 1, at) })
			if at%20 == 0 {
				bad.evaluate(w, without)
			}
		}
		if bad.periods[7] < 5 {
			t.Errorf("seed %d: without hysteresis and hold it has only %d hot periods", seed, bad.periods[7])
		}
	}
}

// Long-tail traffic that does not change: no key cools, however close to the
// threshold many of them are.
func TestNoChurnOnLongTailTraffic(t *testing.T) {
	exponents, end := []float64{1.05}, int64(40_000)
	if long() {
		exponents, end = []float64{0.8, 1, 1.05, 1.2}, 130_000
	}
	for _, s := range exponents {
		z := newZipf(100_000, s, 9)
		w := open(t, window.Config{})
		o := newWatch()
		r := usual
		r.Floor, r.Factor = 120, 3
		first, at := 0, int64(0)
		for ; at < end; at++ {
			poisson(z.rnd, 10, func() { w.Add(z.next(), 1, at) })
			if at%20 == 0 {
				o.evaluate(w, r)
			}
			if at == 10_000 {
				first = len(o.hot)
			}
		}
		t.Logf("zipf %v: %d hot after the first span, %d after %d s, %d cooled", s, first, len(o.hot), end/1000, o.left)
		if first < 10 || o.left > 0 {
			t.Errorf("zipf %v: %d hot keys at first, %d cooled", s, first, o.left)
		}
	}
}

// A key that is asked for no more cools within hold + span + 1 s, and not before
// its count has been below the lower threshold for hold.
func TestCoolDown(t *testing.T) {
	for _, rate := range []int64{1, 5} { // per ms
		w, d := open(t, window.Config{}), window.NewDetector()
		at := int64(1_700_000_000_050)
		for end := at + 20_000; at < end; at++ {
			w.Add(7, rate, at)
			w.Add(at, 1, at)
		}
		if !d.Evaluate(w, usual) || len(d.Hot()) != 1 || d.Hot()[0].ID != 7 {
			t.Fatalf("hot: %v", d.Hot())
		}
		last, below := at-1, int64(0)
		for len(d.Hot()) > 0 {
			at += 20
			w.Add(at, 1, at)
			d.Evaluate(w, usual)
			if below == 0 && float64(w.Count(7)) < d.Threshold()/2 {
				below = at
			}
			if at > last+60_000 {
				t.Fatal("still hot after a minute")
			}
		}
		t.Logf("%d a ms: below %d ms after the last event, cold after %d", rate, below-last, at-last)
		if at-last > 16_000 {
			t.Errorf("cold after %d ms, want 16,000 at most", at-last)
		}
		if at-below < 5000 {
			t.Errorf("cold %d ms after it fell below, want 5,000 at least", at-below)
		}
	}
}

// A count that comes back within the hold begins it anew.
func TestHoldIsWithoutABreak(t *testing.T) {
	w, d := open(t, window.Config{Span: time.Second, Slice: 100 * time.Millisecond}), window.NewDetector()
	r := window.Rule{Floor: 10, Cool: 0.5, Hold: 3 * time.Second, Max: 10}
	w.Add(7, 10, 0)
	d.Evaluate(w, r)
	for at := int64(100); at < 60_000; at += 100 {
		if at%3000 == 0 {
			w.Add(7, 5, at)
		}
		w.Advance(at)
		if d.Evaluate(w, r) {
			t.Fatalf("at %d ms: %v", at, d.Hot())
		}
	}
}

// A holder that takes a partition over knows what was hot, and does not drop it
// while its window is rebuilt, however long ago the log begins.
func TestRestoreDoesNotFlap(t *testing.T) {
	before, d := open(t, window.Config{}), window.NewDetector()
	var log []event
	for at := int64(1_700_000_000_000); at < 1_700_000_030_000; at += 4 {
		log = append(log, event{7, 1, at}, event{at, 1, at})
	}
	for _, e := range log {
		before.Add(e.id, e.n, e.at)
		d.Evaluate(before, usual)
	}
	hot := d.Hot()
	if len(hot) != 1 {
		t.Fatalf("hot: %v", hot)
	}

	for _, stray := range []bool{false, true} {
		after, d := open(t, window.Config{}), window.NewDetector()
		d.Restore(append(hot, window.Hot{ID: 8, Count: 300, Since: 5})) // 8 is asked for no more
		if stray {
			after.Add(1, 1, 1_600_000_000_000) // one record with an old event time
		}
		for i, e := range log[len(log)-5500:] {
			after.Add(e.id, e.n, e.at)
			if d.Evaluate(after, usual) {
				t.Fatalf("stray %v, event %d of the rebuild: %v", stray, i, d.Hot())
			}
		}
		got := d.Hot()
		if got[0] != hot[0] || got[1].ID != 8 || got[1].Since != 5 || got[1].Count != 0 {
			t.Errorf("rebuilt: %v, before: %v", got, hot)
		}
		at := after.Watermark()
		for len(d.Hot()) == 2 {
			at += 20
			after.Add(7, 1, at)
			d.Evaluate(after, usual)
		}
		if took := at - log[len(log)-5500].at; took > 16_000 || d.Hot()[0].ID != 7 {
			t.Errorf("the key that nobody asks for cooled after %d ms, left is %v", took, d.Hot())
		}
	}
}

// There are no more hot keys than Max, the highest counts win, equals do not push
// each other out, and who waits is counted.
func TestMax(t *testing.T) {
	w, d := open(t, window.Config{}), window.NewDetector()
	r := window.Rule{Floor: 100, Cool: 0.5, Hold: time.Second, Max: 2}
	check := func(what string, changed bool, waiting int64, ids ...int64) {
		t.Helper()
		if got := d.Evaluate(w, r); got != changed {
			t.Errorf("%s: changed is %v", what, got)
		}
		var have []int64
		for _, h := range d.Hot() {
			have = append(have, h.ID)
		}
		if !slices.Equal(have, ids) || d.Overflow() != waiting {
			t.Errorf("%s: hot are %v, %d wait, want %v, %d", what, have, d.Overflow(), ids, waiting)
		}
	}
	w.Add(1, 100, 1000)
	w.Add(2, 150, 1000)
	w.Add(3, 140, 1000)
	check("three at once", true, 1, 2, 3)
	w.Add(1, 100, 1001)
	check("one overtakes them", false, 1, 2, 3)
	w.Add(1, 80, 1002)
	check("one has twice as much", false, 1, 2, 3)
	w.Add(1, 1, 1003)
	check("one has more than twice the weakest", true, 1, 1, 2)
	r.Max = 1
	check("a lower maximum", true, 2, 1)
	r.Max = 5
	check("a higher maximum", true, 0, 1, 2, 3)
	r.Max = 0
	check("none", true, 3)
}

// A lower floor finds the keys that were none of its business before.
func TestFloorChanges(t *testing.T) {
	w, d := open(t, window.Config{}), window.NewDetector()
	for id := range int64(100) {
		w.Add(id, id+1, 1000)
	}
	for _, floor := range []int64{50, 90, 10, 1, 1 << 40, 99} {
		d.Restore(nil)
		d.Evaluate(w, window.Rule{Floor: floor, Max: 1000})
		if got, want := int64(len(d.Hot())), max(101-floor, 0); got != want {
			t.Errorf("floor %d: %d hot keys, want %d", floor, got, want)
		}
		if err := w.Check(); err != nil {
			t.Error(err)
		}
	}
}

// One key alone is hot by the floor: it is not measured by itself.
func TestOneKey(t *testing.T) {
	w, d := open(t, window.Config{}), window.NewDetector()
	w.Add(7, 199, 1000)
	if d.Evaluate(w, usual) {
		t.Error("hot below the floor")
	}
	w.Add(7, 1, 1001)
	if !d.Evaluate(w, usual) || d.Threshold() != 200 || d.Hot()[0] != (window.Hot{ID: 7, Count: 200, Since: 1001}) {
		t.Errorf("hot are %v by a threshold of %v", d.Hot(), d.Threshold())
	}
}
