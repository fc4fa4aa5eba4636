package lru

import (
	"fmt"
	"math"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The lists of a segments: queues but for the last.
const (
	window = iota
	probation
	protected
	lists
)

// maxFreq is where the count of an entry's uses stops; halved three times it is 0.
const maxFreq = 7

// maxMoves bounds what one Put does for the next ones: entries that change lists
// because the plan has changed, and used ones that are spared.
const maxMoves = 16

// node is an entry. Those who read it hold no lock: key, value, bytes and expires
// are not changed once it is in the index. What else but uses belongs to the writer.
type node[K comparable, V any] struct {
	key   K
	value V
	bytes int64 // with Overhead
	// expires is in nanoseconds of the cache's own clock, 0 for never.
	expires int64
	at      int32 // where the shard's list of entries to draw from has it
	list    uint8
	uses    atomic.Uint32
	// its neighbours in a queue
	newer, older *node[K, V]
}

func (n *node[K, V]) expired(now int64) bool { return n.expires != 0 && n.expires <= now }

// What a node's uses hold: how many, as of which epoch, and whether there was one
// since it came into its list or was spared.
const usedBit = 1 << 16

func pack(freq, epoch uint8) uint32 { return uint32(freq) | uint32(epoch)<<8 }

// use counts a hit. Two at once may count as one. An entry that is used all the
// time is not written to, which keeps its cache line with every reader.
func (n *node[K, V]) use(epoch uint8) {
	was := n.uses.Load()
	if is := pack(min(n.freq(epoch)+1, maxFreq), epoch) | usedBit; is != was {
		n.uses.Store(is)
	}
}

// freq is how often an entry was used, older uses counting less.
func (n *node[K, V]) freq(epoch uint8) uint8 {
	u := n.uses.Load()
	return aged(uint8(u), uint8(u>>8), epoch)
}

func (n *node[K, V]) used() bool { return n.uses.Load()&usedBit != 0 }

// aged halves a count for every epoch since it was made.
func aged(freq, then, now uint8) uint8 { return freq >> min(now-then, maxFreq) }

// segments is the replacement policy: three lists in a budget of bytes. What is
// new goes into the window; what the window has no room for goes into the main
// part or leaves, as the plan says; the main part is a segmented LRU of what was
// used in it (protected) and what was not (probation).
//
// A hit changes no list: it only marks the entry. The order of the lists is that
// in which entries came, or were met with a mark and spared, as in CLOCK. So find
// needs no lock; everything else does.
type segments[K comparable, V any] struct {
	index[K, V]
	queues [protected]queue[K, V]
	kept   *simplelru.LRU[K, *node[K, V]] // the protected list
	bytes  [lists]int64
	limit  int64
	plan   plan
	hash   func(K) uint64
	past   ghosts
	epoch  *epoch
}

// init makes it empty.
func (s *segments[K, V]) init(limit int64, p plan, e *epoch, hash func(K) uint64) error {
	s.limit, s.plan, s.epoch, s.hash = limit, p, e, hash
	s.index.init()
	var err error
	// The list's own bound is never reached: bytes decide, in settle.
	if s.kept, err = simplelru.NewLRU[K, *node[K, V]](math.MaxInt, nil); err != nil {
		return fmt.Errorf("create an LRU list: %w", err)
	}
	return nil
}

func (s *segments[K, V]) total() int64 {
	return s.bytes[window] + s.bytes[probation] + s.bytes[protected]
}

// insert puts a new entry into the window, with what is remembered of its key.
func (s *segments[K, V]) insert(hash uint64, n *node[K, V]) {
	epoch := s.epoch.now()
	n.uses.Store(pack(min(s.past.recall(hash, epoch)+1, maxFreq), epoch))
	s.push(n, window)
	s.add(hash, n, s.hash)
	s.past.grow(s.live)
}

// replace puts an entry in the place of another one of the same key.
func (s *segments[K, V]) replace(hash uint64, old, n *node[K, V]) {
	list := old.list
	n.uses.Store(old.uses.Load())
	s.take(old)
	s.push(n, list)
	s.swap(hash, old, n)
	if s.total() > s.limit {
		s.move(n, window) // from where what came last is not evicted
	}
}

func (s *segments[K, V]) push(n *node[K, V], list uint8) {
	n.list = list
	if list == protected {
		s.kept.Add(n.key, n)
	} else {
		s.queues[list].push(n)
	}
	s.bytes[list] += n.bytes
}

func (s *segments[K, V]) take(n *node[K, V]) {
	switch {
	case n.list != protected:
		s.queues[n.list].remove(n)
	case s.oldest(protected) == n:
		s.kept.RemoveOldest() // as it is most often; needs no lookup
	default:
		s.kept.Remove(n.key)
	}
	s.bytes[n.list] -= n.bytes
}

// move makes an entry the newest one of a list, without a mark.
func (s *segments[K, V]) move(n *node[K, V], list uint8) {
	n.uses.Store(n.uses.Load() &^ usedBit)
	if list == protected && n.list == protected {
		s.kept.Get(n.key)
		return
	}
	s.take(n)
	s.push(n, list)
}

// evict drops an entry and remembers how often it was used.
func (s *segments[K, V]) evict(n *node[K, V]) {
	hash, epoch := s.hash(n.key), s.epoch.now()
	s.take(n)
	s.swap(hash, n, nil)
	s.past.remember(hash, n.freq(epoch), epoch)
}

// oldest is the oldest entry of a list, nil if there is none.
func (s *segments[K, V]) oldest(list uint8) *node[K, V] {
	if list == protected {
		_, n, _ := s.kept.GetOldest()
		return n
	}
	return s.queues[list].oldest
}

// unused is the oldest entry of a list without a mark; those with one are spared.
func (s *segments[K, V]) unused(list uint8) *node[K, V] {
	n := s.oldest(list)
	for moves := 0; n != nil && n.used() && moves < maxMoves; moves++ {
		s.move(n, list)
		n = s.oldest(list)
	}
	return n
}

// settle evicts until the budget is kept and appends what left to out. What was put
// last is in the window, or there was room for it where it is; it stays, whatever
// the plan says: a caller that stored something will find it once.
func (s *segments[K, V]) settle(last *node[K, V], now int64, out []*node[K, V]) []*node[K, V] {
	room := int64(s.plan.window * float64(s.limit))
	for moves := 0; ; moves++ {
		over := s.total() > s.limit
		crowded := s.bytes[window] > room && s.queues[window].n > 1
		if last != nil && s.oldest(window) == last {
			s.move(last, window)
		}
		switch {
		case crowded && !over:
			if moves >= maxMoves {
				return out
			}
			s.move(s.oldest(window), probation)
		case crowded && moves < maxMoves && s.spares(s.oldest(window)):
			s.move(s.oldest(window), window)
		case crowded:
			out = s.admit(s.oldest(window), now, out)
		case over:
			n := s.victim()
			if n == nil {
				n = s.oldest(window)
			}
			s.evict(n)
			out = append(out, n)
		default:
			return out
		}
	}
}

// spares reports whether an entry stays in the window because it was used there:
// where the plan would not let it into the main part.
func (s *segments[K, V]) spares(n *node[K, V]) bool {
	return n.used() && n.freq(s.epoch.now()) < s.plan.uses
}

// admit decides over an entry that the window has no room for: it leaves, or goes
// into the main part, from which others have to leave then.
func (s *segments[K, V]) admit(n *node[K, V], now int64, out []*node[K, V]) []*node[K, V] {
	epoch := s.epoch.now()
	admitted := !n.expired(now) && n.freq(epoch) >= s.plan.uses
	for admitted && s.plan.contest && s.total() > s.limit {
		v := s.victim()
		if admitted = v != nil && (v.expired(now) || n.freq(epoch) > v.freq(epoch)); admitted {
			s.evict(v)
			out = append(out, v)
		}
	}
	if admitted {
		s.move(n, probation)
		return out
	}
	s.evict(n)
	return append(out, n)
}

// victim is the next to leave the main part, nil when that is empty. An entry on
// probation that was used is promoted instead; what the protected list has no room
// for goes back on probation.
func (s *segments[K, V]) victim() *node[K, V] {
	room := int64(s.plan.protected * (1 - s.plan.window) * float64(s.limit))
	for moves := 0; moves < maxMoves; moves++ {
		n := s.oldest(probation)
		switch {
		case s.bytes[protected] > room:
			s.move(s.unused(protected), probation)
		case n != nil && n.used():
			s.move(n, protected)
		default:
			moves = maxMoves
		}
	}
	if n := s.oldest(probation); n != nil {
		return n
	}
	return s.unused(protected)
}
