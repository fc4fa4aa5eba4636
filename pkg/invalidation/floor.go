package invalidation

import (
	"slices"
	"sync"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/lru"
	"eshop/pkg/ring"
)

// DefaultFloorKeys is how many keys a Floor remembers when it is not told: about
// 85 MiB when full.
const DefaultFloorKeys = 1 << 18

// Floor remembers the highest stamp seen on the bus for each of the most
// recently changed keys. No copy below it may be filled or served. It is
// bounded by a number of keys; beyond it the key that was used least recently
// is forgotten and counted. It is safe for concurrent use.
type Floor struct {
	stripes [64]sync.Mutex // raising reads, compares and writes under the key's stripe
	keys    *lru.Cache[catalog.Key, mark]
}

// mark is the floor of one key and when it was last lifted, unix nanoseconds.
type mark struct {
	stamp catalog.Stamp
	at    int64
}

// Mark is what a Floor knows of a key: Redis has held the document with this
// stamp, and that became known here at a time.
type Mark struct {
	Key   catalog.Key
	Stamp catalog.Stamp
	At    time.Time
}

// NewFloor returns a floor of at most max keys (default DefaultFloorKeys).
func NewFloor(max int) (*Floor, error) {
	if max <= 0 {
		max = DefaultFloorKeys
	}
	keys, err := lru.New(lru.Config[catalog.Key, mark]{
		Bytes: int64(max) * lru.Overhead * 17 / 16, // shards fill unevenly
		Hash:  hashKey, LeastRecent: true,
	})
	if err != nil {
		return nil, err
	}
	return &Floor{keys: keys}, nil
}

func hashKey(k catalog.Key) uint64 { return ring.Hash(k.Kind, k.ID) }

// Raise lifts the floor of a key to stamp; it never goes down. It reports
// whether the stamp was above what was known.
func (f *Floor) Raise(key catalog.Key, stamp catalog.Stamp) bool {
	mu := &f.stripes[hashKey(key)%uint64(len(f.stripes))]
	mu.Lock()
	defer mu.Unlock()
	if old, ok := f.keys.Get(key); ok && !old.stamp.Less(stamp) {
		return false
	}
	f.keys.Put(key, mark{stamp, time.Now().UnixNano()}, 0, time.Time{})
	return true
}

// Of returns the floor of a key, the zero Stamp when none is remembered.
func (f *Floor) Of(key catalog.Key) catalog.Stamp {
	m, _ := f.keys.Get(key)
	return m.stamp
}

// Marks returns what is remembered of the keys that want accepts, the latest
// first. It costs time and memory for each of them.
func (f *Floor) Marks(want func(catalog.Key) bool) []Mark {
	var all []Mark
	f.keys.Range(func(k catalog.Key, m mark) bool {
		if want(k) {
			all = append(all, Mark{Key: k, Stamp: m.stamp, At: time.Unix(0, m.at)})
		}
		return true
	})
	slices.SortFunc(all, func(a, b Mark) int { return b.At.Compare(a.At) })
	return all
}

// Admits reports whether a copy with this stamp may be filled or served.
func (f *Floor) Admits(key catalog.Key, stamp catalog.Stamp) bool { return !stamp.Less(f.Of(key)) }

// Len returns how many keys are remembered.
func (f *Floor) Len() int { return f.keys.Len() }

// Evicted returns how many keys were forgotten for want of room.
func (f *Floor) Evicted() uint64 { return f.keys.Evictions(lru.Capacity) }
