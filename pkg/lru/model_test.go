package lru_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/lru"
)

// model is what a plain LRU of one shard must do, written as simply as possible.
type model struct {
	limit   int64
	entries []modelEntry // least recently used first
	told    []string
}

type modelEntry struct {
	key     int
	value   int
	bytes   int64
	expires time.Time
}

func (e modelEntry) dead() bool { return !e.expires.IsZero() && !time.Now().Before(e.expires) }

func (m *model) take(k int) (modelEntry, bool) {
	i := slices.IndexFunc(m.entries, func(e modelEntry) bool { return e.key == k })
	if i < 0 {
		return modelEntry{}, false
	}
	e := m.entries[i]
	m.entries = slices.Delete(m.entries, i, i+1)
	return e, true
}

func (m *model) tell(e modelEntry, why string) {
	if e.dead() && why != "purged" {
		why = "expired"
	}
	if why == "purged" {
		why = "removed"
	}
	m.told = append(m.told, fmt.Sprintln(e.key, e.value, why))
}

func (m *model) bytes() (n int64) {
	for _, e := range m.entries {
		n += e.bytes + lru.Overhead
	}
	return n
}

func (m *model) get(k int) (int, bool) {
	e, ok := m.take(k)
	switch {
	case !ok:
		return 0, false
	case e.dead():
		m.tell(e, "expired")
		return 0, false
	}
	m.entries = append(m.entries, e)
	return e.value, true
}

func (m *model) put(n modelEntry) bool {
	if old, ok := m.take(n.key); ok {
		m.tell(old, "replaced")
	}
	if n.bytes+lru.Overhead > m.limit || n.dead() {
		return false
	}
	m.entries = append(m.entries, n)
	for m.bytes() > m.limit {
		m.tell(m.entries[0], "capacity")
		m.entries = m.entries[1:]
	}
	return true
}

func (m *model) remove(k int) bool {
	e, ok := m.take(k)
	if ok {
		m.tell(e, "removed")
	}
	return ok && !e.dead()
}

func (m *model) purge() {
	for _, e := range m.entries {
		m.tell(e, "purged")
	}
	m.entries = nil
}

// Any sequence of calls does to the cache what it does to the model; each entry
// that leaves is told exactly once, with the same reason (PITFALL 30).
func TestCacheIsTheModel(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			m := &model{limit: int64(2+rnd.IntN(8)) * lru.Overhead}
			var told []string
			c, err := lru.New(lru.Config[int, int]{Bytes: m.limit, Shards: 1, Hash: hash, LeastRecent: true,
				OnEvict: func(k, v int, why lru.Reason) { told = append(told, fmt.Sprintln(k, v, why)) }})
			if err != nil {
				t.Fatal(err)
			}
			for step := range 400 {
				k := rnd.IntN(12)
				var got, want string
				switch rnd.IntN(20) {
				case 0:
					time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
				case 1:
					got, want = fmt.Sprint(c.Remove(k)), fmt.Sprint(m.remove(k))
				case 2:
					if rnd.IntN(10) == 0 {
						c.Purge()
						m.purge()
					}
				case 3, 4, 5, 6, 7, 8:
					e := modelEntry{key: k, value: step, bytes: rnd.Int64N(3 * lru.Overhead)}
					if rnd.IntN(2) == 0 {
						e.expires = time.Now().Add(time.Duration(rnd.IntN(60)-5) * time.Millisecond)
					}
					got, want = fmt.Sprint(c.Put(k, step, e.bytes, e.expires)), fmt.Sprint(m.put(e))
				default:
					v, ok := c.Get(k)
					mv, mok := m.get(k)
					got, want = fmt.Sprint(v, ok), fmt.Sprint(mv, mok)
				}
				if got != want {
					t.Fatalf("seed %d, step %d: got %s, want %s", seed, step, got, want)
				}
				if c.Len() != len(m.entries) || c.Bytes() != m.bytes() || c.Bytes() > m.limit {
					t.Fatalf("seed %d, step %d: got %d entries of %d bytes, want %d of %d, at most %d", seed, step, c.Len(), c.Bytes(), len(m.entries), m.bytes(), m.limit)
				}
				if !slices.Equal(told, m.told) {
					t.Fatalf("seed %d, step %d: told %v, want %v", seed, step, told, m.told)
				}
			}
		})
	}
}
