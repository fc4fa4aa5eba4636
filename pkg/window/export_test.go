package window

import "fmt"

// Seeded is New with a given seed of the hash.
func Seeded(cfg Config, seed uint64) (*Window, error) { return seeded(cfg, seed) }

// Bars are those for a promotion, 2 at least, and for a new pair, 0 at least.
func (w *Window) Bars() (promotion uint64, pair float64) { return w.promotionBar(), w.bar() }

// Entries is the number of keys that have an entry, how many any key may have and
// how many there are with the reserve.
func (w *Window) Entries() (used, plain, limit int) { return w.table.used, w.plain, w.limit() }

// Check says what does not add up inside a window.
func (w *Window) Check() error {
	totals := map[uint32]uint32{} // by entry, from its pairs
	newest := map[uint32]int64{}
	events, chunks := int64(0), 0
	for number := max(w.current-w.n+1, 0); w.started && number <= w.current; number++ {
		s := &w.slices[number%w.n]
		events += s.events
		for c := s.head; c != 0; c = w.pairs.next[c] {
			chunks++
			if w.pairs.owner[c] != uint32(number) {
				return fmt.Errorf("chunk %d of slice %d belongs to %d", c, number, w.pairs.owner[c])
			}
			end := uint32(1) << w.pairs.shift
			if c == s.tail {
				end = s.fill
			}
			for i := uint32(0); i < end; i++ {
				pair := w.pairs.slots[c<<w.pairs.shift+i]
				n := pair & narrow
				if pair != 0 && n == 0 {
					i++
					n = w.pairs.slots[c<<w.pairs.shift+i]
				}
				if pair != 0 {
					totals[pair>>countBits] += n
					newest[pair>>countBits] = number
				}
			}
		}
	}
	if events != w.total {
		return fmt.Errorf("the total is %d, the slices have %d", w.total, events)
	}
	if have := chunks + w.pairs.left + 1; have != len(w.pairs.next) {
		return fmt.Errorf("%d chunks of %d are in logs, free or 0", have, len(w.pairs.next))
	}
	free := 0
	for c := w.pairs.free; c != 0 && free <= w.pairs.left; c = w.pairs.next[c] {
		free++
		for _, slot := range w.pairs.slots[c<<w.pairs.shift : (c+1)<<w.pairs.shift] {
			if slot != 0 {
				return fmt.Errorf("chunk %d is free and not empty", c)
			}
		}
	}
	if free != w.pairs.left {
		return fmt.Errorf("%d chunks are free, the pool says %d", free, w.pairs.left)
	}
	return w.checkEntries(totals, newest)
}

func (w *Window) checkEntries(totals map[uint32]uint32, newest map[uint32]int64) error {
	var h histogram
	counted, used, candidates := int64(0), 0, 0
	for id := uint32(1); id < w.table.high; id++ {
		e := w.table.entries[id]
		if e.total != totals[id] {
			return fmt.Errorf("entry %d has %d events, its pairs %d", id, e.total, totals[id])
		}
		if e.total == 0 {
			continue
		}
		used++
		counted += int64(e.total)
		h.move(0, e.total)
		if w.table.find(e.key, w.table.hash(e.key)) != id {
			return fmt.Errorf("key %d is not found in entry %d", e.key, id)
		}
		if owner := w.pairs.ownerOf(e.place &^ listed); owner != uint32(newest[id]) {
			return fmt.Errorf("entry %d points to slice %d, its newest is %d", id, owner, newest[id])
		}
		if is := e.place&listed != 0; is != (int64(e.total) >= w.level) {
			return fmt.Errorf("entry %d has %d events, the level is %d, a candidate: %v", id, e.total, w.level, is)
		} else if is {
			candidates++
		}
	}
	inIndex := 0
	for i, s := range w.table.index {
		if s != 0 {
			inIndex++
		}
		if s != 0 && i >= int(w.table.size) {
			return fmt.Errorf("slot %d is in use, the index ends at %d", i, w.table.size)
		}
	}
	switch h[0] = w.histogram[0]; {
	case used != w.table.used || used != inIndex || used != len(totals) || used > w.limit():
		return fmt.Errorf("%d entries are in use of %d, %d in the index, %d in logs, the table says %d",
			used, w.limit(), inIndex, len(totals), w.table.used)
	case counted != w.counted || counted > w.total:
		return fmt.Errorf("%d events in entries, %d counted, %d in all", counted, w.counted, w.total)
	case h != w.histogram:
		return fmt.Errorf("the histogram is not that of the entries")
	case candidates != len(w.candidates):
		return fmt.Errorf("%d candidates, %d in the list", candidates, len(w.candidates))
	}
	return w.checkTail()
}

func (w *Window) checkTail() error {
	values := w.cards.values
	w.cards.unite()
	if values != w.cards.values {
		return fmt.Errorf("the union of the tail is stale")
	}
	return nil
}
