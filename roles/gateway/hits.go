package gateway

import (
	"sync"
	"sync/atomic"
)

// tally counts the hits of one page since the last sweep. It lives in the page,
// so that a hit on a page costs one atomic add and no lookup.
type tally struct {
	n atomic.Int64
	// next is the page below this one on the stack of hits. See sweep for who
	// may touch it when.
	next *page
}

// hits counts the requests for products between two sweeps: in the page where
// there is one, else in maps. Counting takes no lock on a page and never waits
// for the sweep, which walks only what was hit.
type hits struct {
	// share is the count since the last sweep at which the next one is asked for
	// early. Read by every hit, so it shares its cache line with nothing that hits
	// write.
	share atomic.Int64
	_     [120]byte
	top   atomic.Pointer[page]
	_     [120]byte
	kick  chan struct{} // asks for an early sweep; capacity 1

	shards [missShards]missShard
	full   func(n int64) // told of hits for which the maps have no room
}

const (
	missShards = 32
	// missKeys bounds the different products of requests without a page between
	// two sweeps, over all shards.
	missKeys = 1 << 16
)

// missShard counts hits on products that have no page here. counts is touched
// under the lock only and taken out as a whole: once the sweep has it, no
// request can still be writing to it (PITFALL 3).
type missShard struct {
	mu     sync.Mutex
	counts map[int64]int64
	spare  map[int64]int64 // empty; only the sweep touches it
	_      [40]byte
}

func newHits(full func(n int64)) *hits {
	h := &hits{kick: make(chan struct{}, 1), full: full}
	for i := range h.shards {
		h.shards[i].counts, h.shards[i].spare = map[int64]int64{}, map[int64]int64{}
	}
	return h
}

// page counts a hit on a page. The first one since the sweep puts the page on
// the stack. What is hot already asks for nothing: no gateway waits for its counts.
func (h *hits) page(p *page) {
	switch p.hits.n.Add(1) {
	case 1:
		h.push(p)
	case h.share.Load():
		if p.heat.Load()&1 == 0 {
			h.wake()
		}
	}
}

func (h *hits) push(p *page) {
	for {
		top := h.top.Load()
		p.hits.next = top
		if h.top.CompareAndSwap(top, p) {
			return
		}
	}
}

// miss counts a request for a product without a page here.
func (h *hits) miss(id int64) {
	s := &h.shards[uint64(id)*0x9e3779b97f4a7c15>>(64-5)]
	s.mu.Lock()
	n := s.counts[id] + 1
	if n == 1 && len(s.counts) >= missKeys/missShards {
		s.mu.Unlock()
		h.full(1)
		return
	}
	s.counts[id] = n
	s.mu.Unlock()
	if n == h.share.Load() {
		h.wake()
	}
}

// wake asks for an early sweep, without waiting.
func (h *hits) wake() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// sweep hands the counts since the last sweep to add, a product more than once
// if it has several pages, and returns their sum. One sweep at a time.
//
// No hit is lost and none is counted twice, whatever happens to the page
// meanwhile: eviction only makes the LRU forget it, the stack does not.
//
//   - A page is on the stack, or about to be pushed by one goroutine, exactly
//     while its counter is above zero: only the hit that raises it from 0 pushes,
//     and only the sweep that has taken the page off sets it back to 0.
//   - So next has one owner at a time: first that hit, until its push succeeds,
//     then the sweep that has swapped the stack out, until it sets the counter to
//     0. Therefore next is read and cleared before the counter is swapped: after
//     that the page may be pushed again. The push, the two swaps and the add that
//     finds 0 are atomic and follow each other, so next itself need not be.
//   - Each hit is in exactly one result of the swap of its page's counter.
//   - The stack is taken as a whole, so a page that comes back between a Load and
//     a CompareAndSwap of a push does no harm: what lies below it is what its
//     next says.
func (h *hits) sweep(add func(id, n int64)) int64 {
	var sum int64
	for p := h.top.Swap(nil); p != nil; {
		next := p.hits.next
		p.hits.next = nil // an evicted page must not keep others in memory
		n := p.hits.n.Swap(0)
		add(p.key.id, n)
		sum += n
		p = next
	}
	for i := range h.shards {
		sum += h.shards[i].sweep(add)
	}
	return sum
}

// maxSpare is the size up to which a map is kept for the next but one sweep:
// emptying a map costs as much as it ever held.
const maxSpare = 256

func (s *missShard) sweep(add func(id, n int64)) (sum int64) {
	s.mu.Lock()
	taken := s.counts
	if len(taken) == 0 {
		s.mu.Unlock()
		return 0
	}
	s.counts, s.spare = s.spare, nil
	s.mu.Unlock()
	for id, n := range taken {
		add(id, n)
		sum += n
	}
	if len(taken) > maxSpare {
		taken = map[int64]int64{}
	}
	clear(taken)
	s.spare = taken
	return sum
}
