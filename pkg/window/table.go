package window

import "math/bits"

const (
	idBits     = 20
	idMask     = 1<<idBits - 1
	maxEntries = idMask - 1 // ids go from 1 to maxEntries
	listed     = 1 << 31    // flag in entry.place: the entry is among the candidates

	// The index is at most indexLoad of indexRoom full.
	indexLoad, indexRoom = 7, 10
	smallIndex           = 1024
)

// entry is a key with events in the window.
type entry struct {
	key   int64
	total uint32 // events in the window
	place uint32 // of its pair in its newest slice, and the flag listed; in a free entry the next free one
}

// table holds the entries and finds them by key: open addressing with linear
// probing, of which a slot is 12 bits of the hash and the id of the entry, so
// that a probe reads an entry only if it is most likely the one.
//
// The index uses a prefix of its memory that grows with the keys: few keys stay
// close together in the processor's cache.
type table struct {
	entries []entry // by id; 0 is nobody's
	index   []uint32
	size    uint32 // slots of index in use
	used    int    // entries of keys
	high    uint32 // ids from here on were never used
	free    uint32 // first of the free entries below high, 0: none
	seed    uint64
}

func newTable(entries int, seed uint64) table {
	slots := entries*indexRoom/indexLoad + 1
	return table{
		entries: make([]entry, entries+1), index: make([]uint32, slots),
		size: uint32(min(slots, smallIndex)), high: 1, seed: seed,
	}
}

// hash mixes a key with the seed by two folded multiplications (the mixer of
// wyhash), so that nobody who chooses ids can choose collisions.
func (t *table) hash(key int64) uint64 {
	hi, lo := bits.Mul64(uint64(key)^t.seed, 0x9e3779b97f4a7c15)
	hi, lo = bits.Mul64(hi^lo^0xe7037ed1a0b428db, 0xa0761d6478bd642f)
	return hi ^ lo
}

// home is the slot where the search for a hash begins.
func (t *table) home(hash uint64) uint32 { return uint32((hash >> 32) * uint64(t.size) >> 32) }

func tagOf(hash uint64) uint32 { return uint32(hash) &^ idMask }

// find returns the id of a key's entry, 0 if it has none.
func (t *table) find(key int64, hash uint64) uint32 {
	tag := tagOf(hash)
	for i := t.home(hash); ; {
		s := t.index[i]
		if s == 0 {
			return 0
		}
		if id := s ^ tag; id <= idMask && t.entries[id].key == key {
			return id
		}
		if i++; i == t.size {
			i = 0
		}
	}
}

// insert makes an entry for a key that has none. The caller has seen that there
// is room.
func (t *table) insert(key int64, hash uint64) uint32 {
	if uint64(t.used+1)*indexRoom > uint64(t.size)*indexLoad && int(t.size) < len(t.index) {
		t.grow()
	}
	id := t.free
	if id != 0 {
		t.free = t.entries[id].place
	} else {
		id = t.high
		t.high++
	}
	t.entries[id] = entry{key: key}
	t.used++
	t.put(id, hash)
	return id
}

func (t *table) put(id uint32, hash uint64) {
	i := t.home(hash)
	for t.index[i] != 0 {
		if i++; i == t.size {
			i = 0
		}
	}
	t.index[i] = tagOf(hash) | id
}

// grow doubles the part of the index in use. All entries below high that are not
// free have events: expire lets none at 0 behind.
func (t *table) grow() {
	t.size = uint32(min(2*int(t.size), len(t.index)))
	clear(t.index[:t.size])
	for id := uint32(1); id < t.high; id++ {
		if t.entries[id].total > 0 {
			t.put(id, t.hash(t.entries[id].key))
		}
	}
}

// remove frees an entry. Those after it in the index move up, as far as they may
// (Knuth, TAOCP 3, 6.4 algorithm R), so that there are no tombstones.
func (t *table) remove(id uint32) {
	hash := t.hash(t.entries[id].key)
	hole := t.home(hash)
	for slot := tagOf(hash) | id; t.index[hole] != slot; {
		if hole++; hole == t.size {
			hole = 0
		}
	}
	for i := hole; ; {
		if i++; i == t.size {
			i = 0
		}
		s := t.index[i]
		if s == 0 {
			break
		}
		home := t.home(t.hash(t.entries[s&idMask].key))
		// The distance to its home must not become negative.
		if distance(home, i, t.size) >= distance(hole, i, t.size) {
			t.index[hole] = s
			hole = i
		}
	}
	t.index[hole] = 0
	t.entries[id] = entry{place: t.free}
	t.free = id
	if t.used--; t.used == 0 { // the index is all zero: begin anew, close together
		t.size, t.high, t.free = uint32(min(len(t.index), smallIndex)), 1, 0
	}
}

// distance is the number of steps from slot a to slot b.
func distance(a, b, size uint32) uint32 {
	if b >= a {
		return b - a
	}
	return b + size - a
}
