package window

const (
	// firstBar is the estimate that promotes a key while the reserve is free. It
	// is the count that a promoted key at most has lost.
	firstBar = 4
	// promotionDoublings is how often the bar doubles while the reserve is used up.
	promotionDoublings = 12
)

// admit counts the first n events of a key that has no entry.
func (w *Window) admit(id int64, hash uint64, n uint32, number int64, s *slice) {
	if w.table.used < w.plain && w.worth(n, w.n) || w.promoted(hash, n) {
		e := w.table.insert(id, hash)
		if place := w.pairs.push(s, number, e, n); place != 0 {
			w.table.entries[e].place = place
			w.raise(e, &w.table.entries[e], n)
			return
		}
		w.table.remove(e)
	}
	w.sketch.add(hash, n)
	w.cards.add(hash)
}

// promoted says whether a key of the tail gets an entry. The bar rises so fast that
// a flood cannot fill the reserve: so many keys with so many events do not fit in
// a span. Where it is pairs that are short, their bar counts too.
func (w *Window) promoted(hash uint64, n uint32) bool {
	if w.table.used == w.limit() {
		return false
	}
	events := uint32(min(w.sketch.estimate(hash)+uint64(n), MaxCount))
	return events >= firstBar<<w.pressure() && w.worth(events, w.n)
}

// pressure is how much of the reserve is in use, in doublings of the bar.
func (w *Window) pressure() uint {
	over := w.table.used - w.plain
	if over <= 0 {
		return 0
	}
	return uint(promotionDoublings * over / (w.limit() - w.plain))
}

// limit is the number of entries there are.
func (w *Window) limit() int { return len(w.table.entries) - 1 }
