package window

import (
	"math/rand/v2"
	"time"
	"unsafe"
)

// MaxCount is the highest count of a key in a window (430 million events a
// second over 10 s), and of one Add. What is above it is not counted.
const MaxCount = 1<<32 - 1

// lastTime is the highest time that is told apart, in unix ms: 36 million years.
const lastTime = 1 << 60

// Config is the shape of a Window. A zero field takes its default.
type Config struct {
	Span  time.Duration // length of the window, whole slices [10 s]
	Slice time.Duration // resolution, whole milliseconds [100 ms]
	Bytes int64         // memory the window may hold, all of it taken by New [8 MiB]
}

// Count is a key and its events in the window.
type Count struct{ ID, N int64 }

// Window counts events of keys by event time. One goroutine at a time uses it.
type Window struct {
	length int64 // of a slice, ms
	n      int64 // slices in the window

	started    bool
	watermark  int64
	first      int64 // slice from which on the window has seen all
	current    int64 // slice of the watermark
	from, till int64 // time of the current slice: [from, till)
	newest     *slice
	slices     []slice // slice number s is slices[s mod n]

	total   int64 // events in the window
	counted int64 // those of them that are in the counts of the keys
	plain   int   // entries that any key may take; the others are the reserve

	table      table
	pairs      pairs
	memo       []memo
	histogram  histogram
	sketch     sketch
	cards      cardinality
	level      int64    // entries at or above it are candidates
	candidates []uint32 // ids, each once
}

// New returns an empty window. Errors name all settings that do not fit.
func New(cfg Config) (*Window, error) { return seeded(cfg, rand.Uint64()) }

// seeded is New with the seed of the hash, which decides where keys lie and who
// shares a cell of the sketch, never a count while all keys have entries.
func seeded(cfg Config, seed uint64) (*Window, error) {
	l, err := layoutOf(cfg)
	if err != nil {
		return nil, err
	}
	return &Window{
		length: l.length, n: int64(l.slices), slices: make([]slice, l.slices),
		plain: l.entries - l.entries/reserveShare, table: newTable(l.entries, seed),
		pairs: newPairs(l.chunks, l.chunkShift), memo: make([]memo, l.memos),
		sketch: newSketch(l.blocks, int64(l.slices)), cards: newCardinality(l.registers, int64(l.slices)),
		level: MaxCount + 1, candidates: make([]uint32, 0, l.entries),
	}, nil
}

// Add counts n events of a key at a time in unix ms. A time above the watermark
// moves it. It returns false for an event older than the window: it is late and
// counted nowhere. Less than one event is nothing, more than MaxCount is MaxCount;
// a time before 1970 is 1970.
func (w *Window) Add(id, n, at int64) bool {
	if n < 1 {
		return true
	}
	n = min(n, MaxCount)
	number, s := w.current, w.newest
	if at < w.from || at >= w.till {
		if number, s = w.locate(at); s == nil {
			return false
		}
	} else if at > w.watermark {
		w.watermark = at
	}
	s.events += n
	w.total += n
	hash := w.table.hash(id)
	if e := w.table.find(id, hash); e != 0 {
		w.count(e, uint32(n), number, s)
	} else {
		w.admit(id, hash, uint32(n), number, s)
	}
	return true
}

// locate finds the slice of a time that is not in the current one, nil if it has
// left the window.
func (w *Window) locate(at int64) (int64, *slice) {
	at = clamp(at)
	if !w.started || at > w.watermark {
		w.Advance(at)
		return w.current, w.newest
	}
	number := at / w.length
	if number <= w.current-w.n {
		return number, nil
	}
	return number, &w.slices[number%w.n]
}

// Advance moves the watermark to a time in unix ms, never back. It costs at most
// the slices of a window and the pairs in those that leave, however far it goes.
func (w *Window) Advance(at int64) {
	at = clamp(at)
	if w.started && at <= w.watermark {
		return
	}
	w.watermark = at
	if w.started && at < w.till {
		return
	}
	number := at / w.length
	if !w.started || number-w.current >= w.n && !w.full() {
		// What was before a gap of a span says nothing about how much of the log
		// there was: a stray old event may be the first.
		w.first = number
	}
	if w.started {
		for i := max(w.current+1, number-w.n+1); i <= number; i++ {
			w.expire(&w.slices[i%w.n]) // slice i-n, or an older one that a jump leaves behind
		}
		w.sweep()
	}
	w.started, w.current, w.from, w.till = true, number, number*w.length, (number+1)*w.length
	w.newest = &w.slices[number%w.n]
	w.sketch.turn(number)
	w.cards.turn(number)
}

func clamp(at int64) int64 { return min(max(at, 0), lastTime) }

// Watermark is the highest time seen, in unix ms; 0 before the first.
func (w *Window) Watermark() int64 { return w.watermark }

// Total is the number of events in the window, exact in any case.
func (w *Window) Total() int64 { return w.total }

// Distinct is the number of keys in the window. While it is not Exact, the keys
// of the tail are estimated (standard error 1.6 % with 8 MiB), those of up to a
// twentieth of a span before the window and some that got an entry since included.
func (w *Window) Distinct() int64 { return int64(w.table.used) + w.tail() }

// Count is the number of events of a key in the window: never above the truth,
// and the truth while the window is Exact.
func (w *Window) Count(id int64) int64 {
	e := w.table.find(id, w.table.hash(id))
	return int64(w.table.entries[e].total) // entry 0 is that of no key
}

// Exact says that every count is the truth: no event in the window is one of a
// key without an entry, or was taken off early.
func (w *Window) Exact() bool { return w.counted == w.total }

// full says that the window has seen a whole span, so that a low count is not
// just a short memory.
func (w *Window) full() bool { return w.current-w.first >= w.n }

// tail estimates the keys that have no entry.
func (w *Window) tail() int64 {
	if w.Exact() {
		return 0
	}
	return w.cards.estimate()
}

// Bytes is the memory the window holds. It does not change.
func (w *Window) Bytes() int64 {
	return int64(unsafe.Sizeof(*w)) + size(w.slices) + size(w.table.entries) + size(w.table.index) +
		size(w.pairs.slots) + size(w.pairs.next) + size(w.pairs.owner) + size(w.memo) +
		size(w.sketch.cells) + size(w.cards.registers) + size(w.cards.union) +
		size(w.candidates)
}

func size[T any](s []T) int64 {
	var one T
	return int64(cap(s)) * int64(unsafe.Sizeof(one))
}
