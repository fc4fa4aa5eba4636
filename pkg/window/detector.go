package window

import (
	"cmp"
	"math"
	"slices"
)

// Hot is a hot key: its count at the last Evaluate, and the watermark in unix ms
// at which it got hot.
type Hot struct{ ID, Count, Since int64 }

// Detector applies a Rule to a window again and again, and remembers which keys
// are hot. One goroutine at a time uses it, with one window.
type Detector struct {
	hot       []state
	is        map[int64]bool // the ids in hot
	fresh     best
	overflow  int64
	threshold float64
}

// state is a hot key and since when, by the watermark, its count has been below
// the lower threshold; never if it is not.
type state struct {
	Hot
	below int64
}

const never = math.MinInt64

// NewDetector returns a detector without a hot key.
func NewDetector() *Detector { return &Detector{is: make(map[int64]bool)} }

// Restore makes the keys hot that a former holder of the partition had so, in
// place of those this detector has. They cool by the rule like any other, but
// not before the window has seen a whole span, so they do not flap when a
// partition moves and its window is rebuilt. Their counts are those of the next
// Evaluate. Of an id that is twice among them the first counts.
func (d *Detector) Restore(hot []Hot) {
	d.hot = d.hot[:0]
	clear(d.is)
	for _, h := range hot {
		if !d.is[h.ID] {
			d.is[h.ID] = true
			d.hot = append(d.hot, state{h, never})
		}
	}
}

// Evaluate applies the rule to the window as it is and says whether the set of hot
// keys changed. It looks at the keys at or above the floor and at the hot ones; a
// new floor costs a pass over all keys once.
//
// Where more keys than Rule.Max meet the rule the highest counts win; but a key
// that is hot gives way only to one of which Cool times the count is above its
// own, so that equals do not push each other out. Overflow tells how many wait.
func (d *Detector) Evaluate(w *Window, r Rule) (changed bool) {
	w.follow(r.level())
	upper, lower := r.thresholds(w.ColdMean())
	d.threshold = upper
	changed = d.cool(w, lower, max(r.Hold.Milliseconds(), 0))
	if d.shrink(max(r.Max, 0)) {
		changed = true
	}

	d.fresh.items, d.fresh.limit = d.fresh.items[:0], max(r.Max, 0)
	waiting := int64(0)
	for _, id := range w.candidates {
		e := &w.table.entries[id]
		if float64(e.total) >= upper && !d.is[e.key] {
			waiting++
			d.fresh.offer(Count{e.key, int64(e.total)})
		}
	}
	if len(d.fresh.items) > 0 && d.heat(w.Watermark(), max(r.Max, 0), min(r.Cool, 1), upper, &waiting) {
		changed = true
	}
	d.overflow = waiting
	return changed
}

// cool drops the keys that have been below the lower threshold for hold ms.
func (d *Detector) cool(w *Window, lower float64, hold int64) (changed bool) {
	now := w.Watermark()
	keep := d.hot[:0]
	for _, s := range d.hot {
		s.Count = w.Count(s.ID)
		switch {
		case float64(s.Count) >= lower || !w.full():
			s.below = never
		case s.below == never || s.below > now: // above now: the window is another one
			s.below = now
		}
		if s.below != never && now-s.below >= hold {
			delete(d.is, s.ID)
			changed = true
			continue
		}
		keep = append(keep, s)
	}
	d.hot = keep
	return changed
}

// shrink drops the lowest counts above a maximum that was lowered.
func (d *Detector) shrink(most int) (changed bool) {
	if len(d.hot) <= most {
		return false
	}
	slices.SortFunc(d.hot, descending)
	for _, s := range d.hot[most:] {
		delete(d.is, s.ID)
	}
	d.hot = d.hot[:most]
	return true
}

// heat takes the fresh keys in, the highest first, while there is room or a hot
// key to push out. waiting counts those that meet the rule and are not hot.
func (d *Detector) heat(now int64, most int, cool, upper float64, waiting *int64) (changed bool) {
	sorted := len(d.hot)+len(d.fresh.items) > most
	if sorted {
		slices.SortFunc(d.hot, descending)
	}
	weakest := len(d.hot) - 1
	for _, c := range d.fresh.sorted() {
		fresh := state{Hot{c.ID, c.N, now}, never}
		if len(d.hot) < most {
			d.hot = append(d.hot, fresh)
		} else {
			if weakest < 0 || float64(c.N)*cool <= float64(d.hot[weakest].Count) {
				break
			}
			out := d.hot[weakest]
			delete(d.is, out.ID)
			if float64(out.Count) >= upper {
				*waiting++
			}
			d.hot[weakest] = fresh
			weakest--
		}
		d.is[c.ID] = true
		*waiting--
		changed = true
	}
	return changed
}

func descending(a, b state) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID))
}

// Hot returns the hot keys by count descending, a copy.
func (d *Detector) Hot() []Hot {
	out := make([]Hot, len(d.hot))
	for i, s := range d.hot {
		out[i] = s.Hot
	}
	slices.SortFunc(out, func(a, b Hot) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID)) })
	return out
}

// Overflow is the number of keys that met the rule at the last Evaluate and found
// no room among the hot.
func (d *Detector) Overflow() int64 { return d.overflow }

// Threshold is the count that made a key hot at the last Evaluate.
func (d *Detector) Threshold() float64 { return d.threshold }
