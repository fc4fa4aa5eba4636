package window

const (
	countBits = 32 - idBits
	narrow    = 1<<countBits - 1 // highest count of a pair in one slot
)

// slice is the log of one slice of the window.
type slice struct {
	events     int64
	head, tail uint32 // chunks of its log, 0: none
	fill       uint32 // slots in use in tail
}

// pairs is the pool of chunks that the logs are made of.
//
// A pair is one slot: id and count (1 to narrow). A pair with the count 0 is
// wide: its count is the next slot of the same chunk. A slot of 0 is unused.
type pairs struct {
	slots []uint32
	next  []uint32 // by chunk: the one after it in its log or among the free
	owner []uint32 // by chunk: number of its slice, the low 32 bits
	shift uint     // a chunk is 1<<shift slots
	free  uint32   // first free chunk; 0 is no chunk, so that 0 is no place
	left  int      // free chunks
	keep  int      // with fewer the pool is short
}

func newPairs(chunks int, shift uint) pairs {
	p := pairs{
		slots: make([]uint32, chunks<<shift), next: make([]uint32, chunks), owner: make([]uint32, chunks),
		shift: shift, free: 1, left: chunks - 1, keep: chunks / 4,
	}
	for i := 1; i < chunks-1; i++ {
		p.next[i] = uint32(i + 1)
	}
	return p
}

// ownerOf returns the slice, low 32 bits, that a place belongs to.
func (p *pairs) ownerOf(place uint32) uint32 { return p.owner[place>>p.shift] }

// join adds to the pair at a place, and returns false if it cannot hold so much.
func (p *pairs) join(place, n uint32) bool {
	switch count := p.slots[place] & narrow; {
	case count == 0:
		p.slots[place+1] += n // at most the key's total: it does not overflow
	case n <= narrow-count:
		p.slots[place] += n
	default:
		return false
	}
	return true
}

// push appends a pair to a log and returns its place, 0 if the pool is empty.
func (p *pairs) push(s *slice, number int64, id, n uint32) uint32 {
	need := uint32(1)
	if n > narrow {
		need = 2
	}
	if s.tail == 0 || s.fill+need > 1<<p.shift {
		c := p.free
		if c == 0 {
			return 0
		}
		p.free, p.next[c], p.owner[c] = p.next[c], 0, uint32(number)
		p.left--
		if s.tail == 0 {
			s.head = c
		} else {
			p.next[s.tail] = c
		}
		s.tail, s.fill = c, 0
	}
	place := s.tail<<p.shift + s.fill
	s.fill += need
	if need == 1 {
		p.slots[place] = id<<countBits | n
	} else {
		p.slots[place], p.slots[place+1] = id<<countBits, n
	}
	return place
}

// release gives a chunk back and returns the one after it. Its slots are 0.
func (p *pairs) release(c uint32) uint32 {
	after := p.next[c]
	p.next[c] = p.free
	p.free = c
	p.left++
	return after
}
