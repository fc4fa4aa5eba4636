package window

// sketch is a count-min sketch (Cormode and Muthukrishnan 2005) with conservative
// update, of the current and the last half of a span. A key has 4 of the 16 cells
// of one cache line; a cell is two counters of 16 bits that stay at their highest,
// one for each generation.
type sketch struct {
	cells   []uint32
	blocks  uint64
	half    int64 // slices in a generation
	epoch   int64 // of the current generation
	current uint  // 0 or 16: its half of the cells
	dirty   [2]bool
}

const cellMax = 1<<16 - 1

func newSketch(blocks int, slices int64) sketch {
	return sketch{cells: make([]uint32, 16*blocks), blocks: uint64(blocks), half: max(slices/2, 1)}
}

// places returns the cells of a hash. Some of the 4 may be the same.
func (s *sketch) places(hash uint64) (*[16]uint32, [4]uint64) {
	block := (hash >> 32) * s.blocks >> 32 * 16
	return (*[16]uint32)(s.cells[block : block+16]),
		[4]uint64{hash & 15, hash >> 4 & 15, hash >> 8 & 15, hash >> 12 & 15}
}

// estimate is at least what add was given for the hash in both generations, or
// the most a cell can hold.
func (s *sketch) estimate(hash uint64) uint64 {
	line, at := s.places(hash)
	low := uint64(2 * cellMax)
	for _, i := range at {
		low = min(low, uint64(line[i]&cellMax)+uint64(line[i]>>16))
	}
	return low
}

// add counts n events in the current generation: a counter that is above the new
// estimate already belongs to others too and stays.
func (s *sketch) add(hash uint64, n uint32) {
	line, at := s.places(hash)
	low := uint32(cellMax)
	for _, i := range at {
		low = min(low, line[i]>>s.current&cellMax)
	}
	low += min(n, cellMax-low)
	for _, i := range at {
		if now := line[i] >> s.current & cellMax; now < low {
			line[i] += (low - now) << s.current
		}
	}
	s.dirty[s.current/16] = true
}

// turn goes to the generation of a slice and clears what is older than the last.
func (s *sketch) turn(number int64) {
	epoch := number / s.half
	if epoch == s.epoch {
		return
	}
	if epoch > s.epoch+1 {
		s.wipe(s.current)
	}
	s.epoch, s.current = epoch, 16-s.current
	s.wipe(s.current)
}

func (s *sketch) wipe(half uint) {
	if !s.dirty[half/16] {
		return
	}
	s.dirty[half/16] = false
	keep := ^(uint32(cellMax) << half)
	for i := range s.cells {
		s.cells[i] &= keep
	}
}
