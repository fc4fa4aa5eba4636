package window_test

import (
	"cmp"
	"math"
	"slices"

	"eshop/pkg/window"
)

// model keeps every event and counts by looking at all of them.
type model struct {
	slice, n  int64 // length in ms, slices
	events    []event
	watermark int64
	started   bool
}

type event struct{ id, n, at int64 }

func (m *model) current() int64 { return m.watermark / m.slice }

func (m *model) add(id, n, at int64) bool {
	if n < 1 {
		return true
	}
	at = min(max(at, 0), 1<<60)
	m.advance(at)
	if at/m.slice <= m.current()-m.n {
		return false
	}
	m.events = append(m.events, event{id, n, at})
	return true
}

func (m *model) advance(at int64) {
	at = min(max(at, 0), 1<<60)
	if !m.started || at > m.watermark {
		m.watermark, m.started = at, true
	}
}

// counts are those of the window. Events that have left it are forgotten.
func (m *model) counts() (counts map[int64]int64, total int64) {
	m.events = slices.DeleteFunc(m.events, func(e event) bool { return e.at/m.slice <= m.current()-m.n })
	counts = make(map[int64]int64)
	for _, e := range m.events {
		counts[e.id] += e.n
		total += e.n
	}
	return counts, total
}

// ranking is the keys by count descending, of equal ones the lower id first.
func ranking(counts map[int64]int64) []window.Count {
	all := make([]window.Count, 0, len(counts))
	for id, n := range counts {
		all = append(all, window.Count{ID: id, N: n})
	}
	slices.SortFunc(all, func(a, b window.Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.ID, b.ID)) })
	return all
}

// coldMean is the mean of the lowest 95 % of a ranking, and whether a window must
// have the same and not just one 1/64 from it: no count is 128 or more.
func coldMean(all []window.Count) (mean float64, exact bool) {
	k := int(math.Floor(0.95*float64(len(all)) + 1e-9))
	if k == 0 {
		return 0, true
	}
	sum := int64(0)
	for _, c := range all[len(all)-k:] {
		sum += c.N
	}
	return float64(sum) / float64(k), all[len(all)-k].N < 128
}
