package window

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
	"unsafe"
)

const (
	// reserveShare: one of so many entries, and of so many chunks, is kept for
	// keys that have shown their weight.
	reserveShare = 8
	maxSlices    = 4096
	minEntries   = 64
	maxSlots     = 1 << 30 // a place is 31 bits
	maxBytes     = 8 << 30 // beyond it nothing would grow but the sketch
)

// layout is how many of what a window has.
type layout struct {
	length     int64 // of a slice, ms
	slices     int
	entries    int
	chunks     int
	chunkShift uint
	memos      int
	blocks     int // of the sketch
	registers  int // of one HyperLogLog
}

// layoutOf splits cfg.Bytes: 3/32 for the sketch, 15/32 for entries, the rest for
// pairs; 8 MiB are 146,000 entries and 880,000 pairs.
func layoutOf(cfg Config) (layout, error) {
	if cfg.Span == 0 {
		cfg.Span = 10 * time.Second
	}
	if cfg.Slice == 0 {
		cfg.Slice = 100 * time.Millisecond
	}
	if cfg.Bytes == 0 {
		cfg.Bytes = 8 << 20
	}
	var wrong []error
	if cfg.Slice < time.Millisecond || cfg.Slice%time.Millisecond != 0 {
		wrong = append(wrong, fmt.Errorf("window: slice %v: want whole milliseconds", cfg.Slice))
	} else if cfg.Span <= 0 || cfg.Span%cfg.Slice != 0 || cfg.Span/cfg.Slice > maxSlices {
		wrong = append(wrong, fmt.Errorf("window: span %v: want 1 to %d slices of %v", cfg.Span, maxSlices, cfg.Slice))
	}
	if cfg.Bytes > maxBytes {
		wrong = append(wrong, fmt.Errorf("window: %d bytes: want %d at most", cfg.Bytes, int64(maxBytes)))
	}
	if wrong != nil {
		return layout{}, errors.Join(wrong...)
	}
	l := layout{length: cfg.Slice.Milliseconds(), slices: int(cfg.Span / cfg.Slice)}
	b := cfg.Bytes - cfg.Bytes/64 // the allocator rounds up to pages
	l.memos = powerOfTwo(cfg.Bytes/8192, 16, 1<<16)
	l.registers = powerOfTwo(cfg.Bytes/2048, 256, 1<<14)
	b -= int64(unsafe.Sizeof(Window{})) + int64(l.slices)*int64(unsafe.Sizeof(slice{})) +
		int64(l.memos)*int64(unsafe.Sizeof(memo{})) + int64(l.registers)*(parts+2)

	const perEntry = int64(unsafe.Sizeof(entry{})) + 4 + 4*indexRoom/indexLoad + 1
	b = max(b, 0)
	l.blocks = int(b / 32 * 3 / 64)
	l.entries = int(min(b/32*15/perEntry, maxEntries))
	slots := min((b-int64(l.blocks)*64-int64(l.entries)*perEntry)/4, maxSlots)
	// Each slice's last chunk is half empty on the mean, so chunks are small next
	// to a slice's share of the pool.
	l.chunkShift = uint(bits.Len64(uint64(slots) / uint64(64*l.slices)))
	l.chunkShift = min(max(l.chunkShift, 3), 10)
	l.chunks = int((slots * 4) / (4<<l.chunkShift + 8))
	if l.entries < minEntries || l.chunks < 2*l.slices || l.blocks < 1 {
		return layout{}, fmt.Errorf("window: %d bytes: too few for %d slices", cfg.Bytes, l.slices)
	}
	return l, nil
}

// powerOfTwo is the highest one up to n, within [low, high].
func powerOfTwo(n int64, low, high int) int {
	if n < int64(low) {
		return low
	}
	return min(1<<(bits.Len64(uint64(n))-1), high)
}
