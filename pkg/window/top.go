package window

import (
	"cmp"
	"slices"
)

// cold is the share of the keys, in percent, whose mean is the cold mean.
const cold = 95

// ColdMean is the mean count of the coldest 95 % (rounded down) of the distinct
// keys, 0 if that is none. While the window is Exact it is exact up to counts of
// 128 and within 1.6 % above. Else keys of the tail are the coldest, and all events
// that are in no count are those of cold keys, so that no key seems hot for want of
// memory.
func (w *Window) ColdMean() float64 {
	tail := w.tail()
	k := (int64(w.table.used) + tail) * cold / 100
	if k == 0 {
		return 0
	}
	uncounted := float64(w.total - w.counted)
	if k <= tail {
		return uncounted / float64(tail)
	}
	return (uncounted + w.histogram.lowest(k-tail)) / float64(k)
}

// Top returns the n keys with the highest counts, by count descending and id
// ascending, fewer if there are fewer. It overwrites dst and allocates only if n
// is above its capacity. A key of the tail is not among them.
func (w *Window) Top(n int, dst []Count) []Count {
	n = min(n, w.table.used)
	if n < 1 {
		return dst[:0]
	}
	b := best{items: slices.Grow(dst[:0], n), limit: n}
	cutoff := w.histogram.cutoff(int64(n))
	for i := uint32(1); i < w.table.high; i++ {
		if e := &w.table.entries[i]; e.total >= cutoff {
			b.offer(Count{e.key, int64(e.total)})
		}
	}
	return b.sorted()
}

// order puts the higher count first, of equal ones the lower id.
func order(a, b Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.ID, b.ID)) }

// best keeps the first limit counts, in order, of those it is offered: a heap with
// the last one of them on top.
type best struct {
	items []Count
	limit int
}

func (b *best) offer(c Count) {
	if len(b.items) < b.limit {
		b.items = append(b.items, c)
		for i := len(b.items) - 1; i > 0; {
			parent := (i - 1) / 2
			if order(b.items[i], b.items[parent]) <= 0 {
				break
			}
			b.items[i], b.items[parent] = b.items[parent], b.items[i]
			i = parent
		}
		return
	}
	if b.limit == 0 || order(c, b.items[0]) >= 0 {
		return
	}
	b.items[0] = c
	for i := 0; ; {
		child := 2*i + 1
		if child >= b.limit {
			return
		}
		if child+1 < b.limit && order(b.items[child+1], b.items[child]) > 0 {
			child++
		}
		if order(b.items[child], b.items[i]) <= 0 {
			return
		}
		b.items[i], b.items[child] = b.items[child], b.items[i]
		i = child
	}
}

func (b *best) sorted() []Count {
	slices.SortFunc(b.items, order)
	return b.items
}
