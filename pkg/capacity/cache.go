package capacity

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"eshop/pkg/lru"
)

// cacheTTL is when the cache role looks into Redis again, jittered by a quarter
// (roles/cache).
const cacheTTL = 600.0

// cacheRole is one process of the cache role, thinned out, in a fleet whose
// Redis has all products: it hears of old documents that gateways have read, and
// pulls them again.
type cacheRole struct {
	fleet  Fleet
	random *rand.Rand
	heap   *lru.Cache[int64, copied]
	queue  mentions
	pulled map[int64]float64 // seconds

	calls, hits, pulls float64
}

// copied is a document in the heap: until when it needs no look into Redis, and
// from when on the origin is asked again.
type copied struct{ soft, refresh float64 }

// mention is when a gateway tells of a product next.
type mention struct {
	at   float64
	id   int64
	rate float64 // reads of Redis a second, all gateways together
}

type mentions []mention

func (m mentions) Len() int           { return len(m) }
func (m mentions) Less(i, j int) bool { return m[i].at < m[j].at }
func (m mentions) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *mentions) Push(x any)        { *m = append(*m, x.(mention)) }
func (m *mentions) Pop() any {
	last := len(*m) - 1
	x := (*m)[last]
	*m = (*m)[:last]
	return x
}

// newCacheRole returns a process with an empty heap that owns products, of which
// it sees one of thinning in as much smaller a heap. rate is how often a product
// is read from Redis.
func newCacheRole(f Fleet, part uint64, thinning int, products []int64, rate func(int64) float64) (*cacheRole, error) {
	c := &cacheRole{fleet: f, random: f.random(part), pulled: make(map[int64]float64, len(products))}
	var err error
	c.heap, err = lru.New(lru.Config[int64, copied]{Bytes: f.CacheBytes / int64(thinning),
		Hash: func(id int64) uint64 { return place(id) }})
	if err != nil {
		return nil, fmt.Errorf("simulate the cache role: %w", err)
	}
	for _, id := range products {
		if r := rate(id); r > 0 {
			// As in the midst of time: the last pull is up to a whole round ago.
			c.pulled[id] = -c.random.Float64() * (f.Refresh.Seconds() + 1/r)
			c.queue = append(c.queue, mention{at: c.next(id, 0, r), id: id, rate: r})
		}
	}
	heap.Init(&c.queue)
	return c, nil
}

// next is the first read from now on that finds the document old enough to be told.
// Each product has its own age for that, by a hash.
func (c *cacheRole) next(id int64, now, rate float64) float64 {
	age := c.fleet.Refresh.Seconds() * (0.75 + float64(place(id)>>32%1000)/2000)
	return max(now, c.pulled[id]+age) + c.random.ExpFloat64()/rate
}

// jitter is a time, a quarter more or less.
func (c *cacheRole) jitter(seconds float64) float64 { return seconds * (0.75 + c.random.Float64()/2) }

// run plays mentions until a time, and counts from another one on.
func (c *cacheRole) run(from, until float64) {
	for len(c.queue) > 0 && c.queue[0].at < until {
		m := &c.queue[0]
		calls, hits, pulls := c.mentioned(m.id, m.at)
		if m.at >= from {
			c.calls, c.hits, c.pulls = c.calls+calls, c.hits+hits, c.pulls+pulls
		}
		m.at = c.next(m.id, m.at, m.rate)
		heap.Fix(&c.queue, 0)
	}
}

// mentioned is a read of the cache role: from the heap while it needs no look
// into Redis, else from there; and a pull in the background when it has grown old.
func (c *cacheRole) mentioned(id int64, now float64) (calls, hits, pulls float64) {
	calls = 1
	e, held := c.heap.Get(id)
	if held && now <= e.soft {
		hits = 1
	} else {
		e = c.keep(id, now)
	}
	if now >= e.refresh {
		c.pulled[id] = now
		c.keep(id, now)
		pulls = 1
	}
	return calls, hits, pulls
}

func (c *cacheRole) keep(id int64, now float64) copied {
	e := copied{soft: now + c.jitter(cacheTTL), refresh: c.pulled[id] + c.jitter(c.fleet.Refresh.Seconds())}
	c.heap.Put(id, e, c.fleet.Document+64, time.Time{})
	return e
}
