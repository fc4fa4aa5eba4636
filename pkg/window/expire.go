package window

// expire takes the pairs of a slice off their entries and empties it.
func (w *Window) expire(s *slice) {
	p := &w.pairs
	for c := s.head; c != 0; {
		end := uint32(1) << p.shift
		if c == s.tail {
			end = s.fill
		}
		for place, last := c<<p.shift, c<<p.shift+end; place < last; place++ {
			pair, at := p.slots[place], place
			if pair == 0 {
				continue // a wide pair did not fit there
			}
			p.slots[place] = 0
			n := pair & narrow
			if n == 0 {
				place++
				n, p.slots[place] = p.slots[place], 0
			}
			w.lower(pair>>countBits, at, n)
		}
		c = p.release(c)
	}
	w.total -= s.events
	*s = slice{}
}

// lower takes n events, whose pair is at a place, off an entry, and frees it at 0.
// The newest pair is the last to leave, so an entry with events has one. One that
// is among the candidates waits for sweep.
func (w *Window) lower(id, place, n uint32) {
	e := &w.table.entries[id]
	old := e.total
	e.total -= n
	w.counted -= int64(n)
	w.histogram.move(old, e.total)
	if e.place&^listed == place {
		e.place &= listed
	}
	if e.place|e.total == 0 {
		w.table.remove(id)
	}
}

// sweep takes entries that fell below the level off the candidates.
func (w *Window) sweep() {
	for i := 0; i < len(w.candidates); {
		id := w.candidates[i]
		e := &w.table.entries[id]
		if int64(e.total) >= w.level {
			i++
			continue
		}
		e.place &^= listed
		if e.total == 0 {
			w.table.remove(id)
		}
		last := len(w.candidates) - 1
		w.candidates[i] = w.candidates[last]
		w.candidates = w.candidates[:last]
	}
}

// follow sets the level from which on entries are candidates. A new level costs
// a pass over all entries, the one it has costs nothing.
func (w *Window) follow(level int64) {
	if level == w.level {
		return
	}
	w.level = level
	w.candidates = w.candidates[:0]
	for id := uint32(1); id < w.table.high; id++ {
		e := &w.table.entries[id]
		if e.total == 0 {
			continue
		}
		e.place &^= listed
		if int64(e.total) >= level {
			e.place |= listed
			w.candidates = append(w.candidates, id)
		}
	}
}
