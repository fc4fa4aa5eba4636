package lru_test

import (
	"container/heap"
	"math"

	"github.com/dgraph-io/ristretto/v2"
	golanglru "github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/maypok86/otter/v2"

	"eshop/pkg/lru"
)

// rival is a cache for a number of entries, as the comparisons see it.
type rival interface {
	get(k int) bool
	put(k int)
}

// rivals are the caches that are compared, in the order of the columns: open gives
// one for a trace, shared one that many goroutines use.
func rivals() []namedRival {
	return []namedRival{
		{"LRU", openLRU, func(n int) rival { return sharedLRU{must(golanglru.New[int, int](n))} }},
		{"2Q", open2Q, open2Q},
		{"otter", openOtter, func(n int) rival { return otterCache{otter.Must(&otter.Options[int, int]{MaximumSize: n})} }},
		{"ristretto", openRistretto, openRistretto},
		{"ours", openOurs, openOurs},
	}
}

type namedRival struct {
	name         string
	open, shared func(entries int) rival
}

type ours struct{ c *lru.Cache[int, int] }

func openOurs(entries int) rival {
	c, err := lru.New(lru.Config[int, int]{Bytes: int64(entries) * (lru.Overhead + 8), Hash: hash})
	return ours{must(c, err)}
}

func (o ours) get(k int) bool { _, ok := o.c.Get(k); return ok }
func (o ours) put(k int)      { o.c.Put(k, k, 8, never) }

type plainLRU struct{ c *simplelru.LRU[int, int] }

func openLRU(entries int) rival   { return plainLRU{must(simplelru.NewLRU[int, int](entries, nil))} }
func (p plainLRU) get(k int) bool { _, ok := p.c.Get(k); return ok }
func (p plainLRU) put(k int)      { p.c.Add(k, k) }

type sharedLRU struct{ c *golanglru.Cache[int, int] }

func (s sharedLRU) get(k int) bool { _, ok := s.c.Get(k); return ok }
func (s sharedLRU) put(k int)      { s.c.Add(k, k) }

type twoQ struct {
	c *golanglru.TwoQueueCache[int, int]
}

func open2Q(entries int) rival { return twoQ{must(golanglru.New2Q[int, int](entries))} }
func (q twoQ) get(k int) bool  { _, ok := q.c.Get(k); return ok }
func (q twoQ) put(k int)       { q.c.Add(k, k) }

type otterCache struct{ c *otter.Cache[int, int] }

func openOtter(entries int) rival {
	return otterCache{otter.Must(&otter.Options[int, int]{MaximumSize: entries, Executor: func(fn func()) { fn() }})}
}

func (o otterCache) get(k int) bool { _, ok := o.c.GetIfPresent(k); return ok }
func (o otterCache) put(k int)      { o.c.Set(k, k) }

type ristrettoCache struct{ c *ristretto.Cache[int, int] }

func openRistretto(entries int) rival {
	return ristrettoCache{must(ristretto.NewCache(&ristretto.Config[int, int]{
		NumCounters: int64(10 * entries), MaxCost: int64(entries), BufferItems: 64, IgnoreInternalCost: true}))}
}

func (r ristrettoCache) get(k int) bool { _, ok := r.c.Get(k); return ok }
func (r ristrettoCache) put(k int)      { r.c.Set(k, k, 1) }

// must is for rivals with the fixed configurations above.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// hitRatio replays a trace: ask, and put on a miss. Ristretto puts later and lets
// go of puts under pressure; that is its own.
func hitRatio(c rival, trace []int) float64 {
	hits := 0
	for _, k := range trace {
		if c.get(k) {
			hits++
		} else {
			c.put(k)
		}
	}
	if r, ok := c.(ristrettoCache); ok {
		r.c.Close()
	}
	return 100 * float64(hits) / float64(len(trace))
}

// belady is the best hit ratio that is possible: what is next used last leaves, or
// does not come in at all.
func belady(entries int, trace []int) float64 {
	next := make([]int, len(trace))
	later := map[int]int{}
	for i := len(trace) - 1; i >= 0; i-- {
		n, ok := later[trace[i]]
		if !ok {
			n = math.MaxInt
		}
		next[i], later[trace[i]] = n, i
	}
	held := map[int]int{} // key: its next use
	var far uses
	hits := 0
	for i, k := range trace {
		if _, ok := held[k]; ok {
			hits++
		}
		held[k] = next[i]
		heap.Push(&far, use{k, next[i]})
		for len(held) > entries {
			u := heap.Pop(&far).(use)
			if at, ok := held[u.key]; ok && at == u.at {
				delete(held, u.key)
			}
		}
	}
	return 100 * float64(hits) / float64(len(trace))
}

type use struct{ key, at int }

// uses is a heap, what is used last first. An entry that was used since has an
// older use in it too, which does not match any more.
type uses []use

func (u uses) Len() int           { return len(u) }
func (u uses) Less(i, j int) bool { return u[i].at > u[j].at }
func (u uses) Swap(i, j int)      { u[i], u[j] = u[j], u[i] }
func (u *uses) Push(x any)        { *u = append(*u, x.(use)) }
func (u *uses) Pop() any {
	last := (*u)[len(*u)-1]
	*u = (*u)[:len(*u)-1]
	return last
}
