package window_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"eshop/pkg/window"
)

// naive is the rule written down as simply as possible, over the counts of a model.
type naive struct {
	m       *model
	begun   int64 // slice from which on the model has seen all
	started bool
	hot     []naiveHot
}

type naiveHot struct {
	window.Hot
	below bool
	from  int64 // since when it is below
}

// see is told of each watermark.
func (d *naive) see() {
	now := d.m.current()
	if !d.started {
		d.started, d.begun = true, now
	}
}

// evaluate takes the window's cold mean where that may be a little off.
func (d *naive) evaluate(r window.Rule, rough float64) (changed bool, waiting int64) {
	counts, _ := d.m.counts()
	all := ranking(counts)
	mean, exact := coldMean(all)
	if !exact {
		mean = rough
	}
	threshold := max(float64(max(r.Floor, 1)), r.Factor*mean)
	lower := max(threshold*min(r.Cool, 1), 1)
	now := d.m.watermark

	before := d.ids()
	for i := range d.hot {
		h := &d.hot[i]
		h.Count = counts[h.ID]
		short := d.m.current()-d.begun < d.m.n
		if float64(h.Count) >= lower || short {
			h.below = false
		} else if !h.below {
			h.below, h.from = true, now
		}
	}
	d.hot = slices.DeleteFunc(d.hot, func(h naiveHot) bool { return h.below && now-h.from >= r.Hold.Milliseconds() })
	for len(d.hot) > max(r.Max, 0) {
		d.hot = slices.Delete(d.hot, d.weakest(), d.weakest()+1)
	}
	for _, c := range all {
		if float64(c.N) < threshold || d.has(c.ID) {
			continue
		}
		h := naiveHot{Hot: window.Hot{ID: c.ID, Count: c.N, Since: now}}
		if len(d.hot) < r.Max {
			d.hot = append(d.hot, h)
		} else if r.Max > 0 {
			if w := d.weakest(); float64(c.N)*min(r.Cool, 1) > float64(d.hot[w].Count) {
				d.hot[w] = h
			}
		}
	}
	for _, c := range all {
		if float64(c.N) >= threshold && !d.has(c.ID) {
			waiting++
		}
	}
	return !slices.Equal(before, d.ids()), waiting
}

func (d *naive) has(id int64) bool {
	return slices.ContainsFunc(d.hot, func(h naiveHot) bool { return h.ID == id })
}

// weakest is the hot key with the lowest count, of equal ones the highest id.
func (d *naive) weakest() int {
	w := 0
	for i, h := range d.hot {
		if h.Count < d.hot[w].Count || h.Count == d.hot[w].Count && h.ID > d.hot[w].ID {
			w = i
		}
	}
	return w
}

func (d *naive) ids() (ids []int64) {
	for _, h := range d.hot {
		ids = append(ids, h.ID)
	}
	slices.Sort(ids)
	return ids
}

func (d *naive) list() []window.Hot {
	out := []window.Hot{}
	for _, h := range d.hot {
		out = append(out, h.Hot)
	}
	slices.SortFunc(out, func(a, b window.Hot) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID)) })
	return out
}

// A detector agrees with the naive one, whatever comes, under rules that change.
func TestDetectorModel(t *testing.T) {
	base := seed(t)
	runs, steps := 60, 1200
	if long() {
		runs, steps = 3000, 5000
	}
	got, lost, full := 0, 0, 0
	for run := range runs {
		rnd := rand.New(rand.NewPCG(base, uint64(run)))
		cfg := window.Config{Span: time.Second, Slice: 100 * time.Millisecond, Bytes: 1 << 18}
		w := open(t, cfg)
		m := &model{slice: 100, n: 10}
		d, n := window.NewDetector(), &naive{m: m}
		rule := func() window.Rule {
			return window.Rule{
				Floor:  []int64{-1, 1, 3, 10, 40}[rnd.IntN(5)],
				Factor: []float64{0, 1, 2, 5}[rnd.IntN(4)],
				Cool:   []float64{0, 0.3, 0.5, 0.9, 1, 2}[rnd.IntN(6)],
				Hold:   []time.Duration{0, 50, 300, 2000}[rnd.IntN(4)] * time.Millisecond,
				Max:    []int{0, 1, 2, 5, 100}[rnd.IntN(5)],
			}
		}
		if rnd.IntN(2) == 0 {
			former := []window.Hot{{ID: 1, Since: 5}, {ID: 77, Count: 9, Since: 6}, {ID: 1, Since: 7}, {ID: 3, Since: 8}}
			d.Restore(former)
			for _, i := range []int{0, 1, 3} {
				n.hot = append(n.hot, naiveHot{Hot: former[i]})
			}
		}
		now, r, keys := rnd.Int64N(1<<41), rule(), 5+rnd.Float64()*50
		loud, till := int64(0), int64(0) // a key with many events for a while
		for step := range steps {
			e := event{int64(rnd.ExpFloat64() * keys / 5), 1, now - rnd.Int64N(200)}
			if e.at > now-100 {
				e.at = now
			}
			now += rnd.Int64N(1 + int64(run%40))
			if now > till {
				loud, till = rnd.Int64N(30), now+rnd.Int64N(3000)
			}
			if rnd.IntN(3) == 0 {
				e.id = loud
			}
			if err := apply(w, m, e); err != nil {
				t.Fatal(err)
			}
			n.see()
			if rnd.IntN(300) == 0 {
				r = rule()
			}
			if rnd.IntN(10) > 0 {
				continue
			}
			before := len(n.hot)
			changed := d.Evaluate(w, r)
			want, waiting := n.evaluate(r, w.ColdMean())
			if !slices.Equal(d.Hot(), n.list()) || changed != want || d.Overflow() != waiting {
				t.Fatalf("run %d, step %d, %+v: got %v, changed %v, %d wait, want %v, %v, %d; threshold %v",
					run, step, r, d.Hot(), changed, d.Overflow(), n.list(), want, waiting, d.Threshold())
			}
			if err := w.Check(); err != nil {
				t.Fatalf("run %d, step %d: %v", run, step, err)
			}
			got += one(len(n.hot) > before)
			lost += one(len(n.hot) < before)
			full += one(waiting > 0)
		}
	}
	t.Logf("the set grew %d times and shrank %d times, %d times keys had to wait", got, lost, full)
	if got < runs || lost < runs || full < runs {
		t.Error("too little happened")
	}
}

func ExampleDetector() {
	w, err := window.New(window.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := window.NewDetector()
	rule := window.Rule{Floor: 200, Factor: 10, Cool: 0.5, Hold: 5 * time.Second, Max: 256}
	for i := range int64(1000) {
		w.Add(i, 1, 1_000+i) // a thousand products, one hit each
		w.Add(42, 1, 1_000+i)
	}
	fmt.Println(d.Evaluate(w, rule), d.Hot())
	for at := int64(2_000); len(d.Hot()) > 0; at += 20 {
		w.Advance(at)
		if d.Evaluate(w, rule) {
			fmt.Println("cold at", at)
		}
	}
	// Output:
	// true [{42 1001 1999}]
	// cold at 16900
}
