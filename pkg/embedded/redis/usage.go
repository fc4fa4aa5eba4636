package redis

import (
	"container/list"
	"sync"

	"github.com/alicebob/miniredis/v2"
)

// usage estimates what the server holds and orders its keys by last use. Its
// lock is held for memory work only and never while miniredis is called: a
// command inside a script gets here with miniredis's lock held.
type usage struct {
	mu    sync.Mutex
	keys  map[string]*list.Element // of *held
	order *list.List               // most recently used first
	bytes int64
	dirty map[string]struct{} // written by scripts, to be measured
}

// held is one key: bytes as estimated; measured is the last exact figure for
// types that are measured only now and then.
type held struct {
	key             string
	bytes, measured int64
}

func newUsage() *usage {
	return &usage{keys: map[string]*list.Element{}, order: list.New(), dirty: map[string]struct{}{}}
}

func (u *usage) size() (keys int, bytes int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.keys), u.bytes
}

// touch marks keys as just used. Keys that are not held stay unknown, so
// reading missing keys costs nothing.
func (u *usage) touch(keys []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, k := range keys {
		if e := u.keys[k]; e != nil {
			u.order.MoveToFront(e)
		}
	}
}

// soil notes keys that a script has written.
func (u *usage) soil(keys []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, k := range keys {
		u.dirty[k] = struct{}{}
	}
}

// takeDirty returns and forgets the keys noted by soil.
func (u *usage) takeDirty() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.dirty) == 0 {
		return nil
	}
	out := make([]string, 0, len(u.dirty))
	for k := range u.dirty {
		out = append(out, k)
	}
	clear(u.dirty)
	return out
}

// set records the size of a key, negative if it is gone.
func (u *usage) set(key string, bytes, measured int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	e := u.keys[key]
	switch {
	case bytes < 0 && e != nil:
		u.drop(e)
	case bytes < 0:
	case e != nil:
		h := e.Value.(*held)
		u.bytes += bytes - h.bytes
		h.bytes, h.measured = bytes, measured
		u.order.MoveToFront(e)
	default:
		u.keys[key] = u.order.PushFront(&held{key: key, bytes: bytes, measured: measured})
		u.bytes += bytes
	}
}

func (u *usage) get(key string) (bytes, measured int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if e := u.keys[key]; e != nil {
		h := e.Value.(*held)
		return h.bytes, h.measured
	}
	return 0, 0
}

func (u *usage) drop(e *list.Element) {
	h := u.order.Remove(e).(*held)
	delete(u.keys, h.key)
	u.bytes -= h.bytes
}

// oldest removes and returns the key used longest ago if the bounds are overrun.
func (u *usage) oldest(maxKeys int, maxBytes int64) (string, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	e := u.order.Back()
	if e == nil || (len(u.keys) <= maxKeys && u.bytes <= maxBytes) {
		return "", false
	}
	key := e.Value.(*held).key
	u.drop(e)
	return key, true
}

// all returns every key, the one used longest ago first.
func (u *usage) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	out := make([]string, 0, len(u.keys))
	for e := u.order.Back(); e != nil; e = e.Prev() {
		out = append(out, e.Value.(*held).key)
	}
	return out
}

// What miniredis and this package hold for a key and for a hash field besides
// their bytes, measured on documents of 1 KiB (see BenchmarkHeapPerKey).
const (
	keyOverhead   = 400
	fieldOverhead = 48
)

// measure estimates the size of a key, negative if it is gone. Strings and
// hashes are counted exactly; other types grow by what each command brings and
// are counted again when that has doubled them.
func measure(db *miniredis.RedisDB, u *usage, key string, brought int64) (bytes, measured int64) {
	base := int64(len(key) + keyOverhead)
	switch db.Type(key) {
	case "":
		return -1, 0
	case "string":
		v, _ := db.Get(key)
		return base + int64(len(v)), 0
	case "hash":
		fields, _ := db.HKeys(key)
		for _, f := range fields {
			base += int64(len(f) + len(db.HGet(key, f)) + fieldOverhead)
		}
		return base, 0
	}
	was, measured := u.get(key)
	if was > 0 && was+brought < 2*measured {
		return was + brought, measured
	}
	var members []string
	switch db.Type(key) {
	case "list":
		members, _ = db.List(key)
	case "set":
		members, _ = db.Members(key)
	case "zset":
		members, _ = db.ZMembers(key)
	default: // streams and HyperLogLogs cannot be looked into cheaply
		return max(was, base) + brought, max(was, base) + brought
	}
	for _, m := range members {
		base += int64(len(m) + fieldOverhead)
	}
	return base, base
}
