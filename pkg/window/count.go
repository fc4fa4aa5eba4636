package window

// memo remembers the place of a pair that is not in its key's newest slice. A
// key's first late event in a slice makes a pair, the others find it here, unless
// another key took the memo. It stays true as long as its slice is in the window:
// a pair stays where it is, and its entry has events until then.
type memo struct {
	number int64
	id     uint32
	place  uint32
}

// count adds n events in a slice to an entry.
func (w *Window) count(id, n uint32, number int64, s *slice) {
	e := &w.table.entries[id]
	n = min(n, MaxCount-e.total)
	place := e.place &^ listed
	if w.pairs.ownerOf(place) != uint32(number) || !w.pairs.join(place, n) {
		if n == 0 || !w.record(id, n, number, s) {
			return // in the total only
		}
	}
	w.raise(id, e, n)
}

// raise adds n events, which are in a pair, to the total of an entry.
func (w *Window) raise(id uint32, e *entry, n uint32) {
	old := e.total
	e.total += n
	w.counted += int64(n)
	w.histogram.move(old, e.total)
	if int64(e.total) >= w.level && e.place&listed == 0 {
		e.place |= listed
		w.candidates = append(w.candidates, id)
	}
}

// record finds or makes the pair for events that the key's newest pair is not
// for: it is of another slice, or cannot hold them. It never takes the pair of a
// newer slice, where the events would stay for too long.
func (w *Window) record(id, n uint32, number int64, s *slice) bool {
	e := &w.table.entries[id]
	newest := e.place &^ listed
	age := int64(int32(uint32(number) - w.pairs.ownerOf(newest)))
	if age < 0 {
		return w.recordLate(id, n, number, s)
	}
	// A pair of the same slice that is full makes way for a wide one: whoever has
	// so many events is worth two slots.
	if age > 0 && !w.worth(e.total, age) && w.pairs.join(newest, n) {
		return true // leaves with the newest pair, age slices early
	}
	place := w.pairs.push(s, number, id, n)
	if place == 0 {
		return age > 0 && w.pairs.join(newest, n)
	}
	e.place = place | e.place&listed
	return true
}

// recordLate is record for a slice older than that of the key's newest pair.
func (w *Window) recordLate(id, n uint32, number int64, s *slice) bool {
	m := &w.memo[(uint64(id)*0x9e3779b97f4a7c15+uint64(number)*0xa0761d6478bd642f)>>32&uint64(len(w.memo)-1)]
	if m.number == number && m.id == id && w.pairs.join(m.place, n) {
		return true
	}
	if !w.worth(w.table.entries[id].total, 1) {
		return false
	}
	place := w.pairs.push(s, number, id, n)
	if place == 0 {
		return false
	}
	*m = memo{number: number, id: id, place: place}
	return true
}

// worth says whether a key with so many events, whose newest pair is age slices
// old, gets a pair of its own: if events × age, about those that would leave too
// early by a slice each, reach the bar.
func (w *Window) worth(events uint32, age int64) bool {
	return w.pairs.left >= w.pairs.keep || float64(events)*float64(age) >= w.bar()
}

// bar rises from 0, where the pool gets short, with the square of what is in use
// of the rest, and without end. At a bar of total × slices / free slots, keys could
// take at most the free slots in a whole window, for each pair stands for bar of
// the total × slices that all of them have together: so the pool is never used up.
func (w *Window) bar() float64 {
	left, keep := float64(w.pairs.left), float64(w.pairs.keep)
	if left >= keep {
		return 0
	}
	used := 1 - left/keep
	return used * used * float64(w.total) * float64(w.n) / (left * float64(int(1)<<w.pairs.shift))
}
