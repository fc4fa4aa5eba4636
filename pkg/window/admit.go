package window

// promotionDoublings is how often the bar for a promotion doubles until the
// reserve is used up.
const promotionDoublings = 16

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
	return uint64(events) >= w.promotionBar() && w.worth(events, w.n)
}

// promotionBar is the estimate that promotes a key: 2 while the reserve is free.
// Its doublings go with the square of what is in use of the reserve, so that most
// of it is there for keys with few events and yet its end is not reached. Between
// two powers of two the bar rises evenly, so that it comes to stand just above what
// the cells of the sketch hold for keys that share them.
func (w *Window) promotionBar() uint64 {
	over, reserve := uint64(max(w.table.used-w.plain, 0)), uint64(w.limit()-w.plain)
	doublings := promotionDoublings << 8 * over * over / (reserve * reserve) // in 1/256
	return (256 + doublings&255) << (doublings >> 8) >> 7
}

// limit is the number of entries there are.
func (w *Window) limit() int { return len(w.table.entries) - 1 }
