package audit_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/audit"
	"eshop/pkg/catalog"
)

// history makes Redis live through what may happen to it without breaking
// invariant 1: writes, deletions, forces, pulls under a token that is older than
// a write, evictions and refills, from an origin that went back too, and failovers
// that lose what was written last, which the process notices within two seconds.
// Each step takes some milliseconds to seconds.
type history struct {
	s     *shop
	rnd   *rand.Rand
	docs  int64
	blind int // failovers that the process has not noticed; guarded by the shop's lock
}

func (h *history) step() {
	s, id := h.s, 1+h.rnd.Int64N(h.docs)
	s.do(func() {
		now, stored := s.master[key(id)]
		s.token++
		switch h.rnd.IntN(12) {
		case 0:
			delete(s.master, key(id)) // evicted
		case 1:
			if stored {
				s.master[key(id)] = gone(id, now.Stamp.Version, s.token)
			}
		case 2: // forced: the origin went back
			d := doc(id, 1+h.rnd.Int64N(3), s.token)
			d.Stamp.Epoch = s.token
			s.master[key(id)] = d
		case 3: // evicted, and filled by a pull that took its token before the last write
			if stored && now.State == catalog.Live && now.Stamp.Token > 1 {
				d := doc(id, now.Stamp.Version, now.Stamp.Token-1)
				d.Stamp.Epoch, d.Pulled = now.Stamp.Epoch, time.Now()
				if d.Pulled.After(now.Pulled) {
					s.master[key(id)] = d
				}
			}
		case 4: // evicted with its epoch, filled from an origin that went back, by a process whose clock is late
			d := doc(id, 1+h.rnd.Int64N(3), s.token)
			d.Pulled = d.Pulled.Add(-5 * time.Second)
			s.master[key(id)] = d
		case 5:
			h.failover()
		default:
			d := doc(id, now.Stamp.Version+h.rnd.Int64N(2), s.token)
			d.Stamp.Epoch = now.Stamp.Epoch
			s.master[key(id)] = d
		}
	})
	time.Sleep(time.Duration(h.rnd.IntN(3000)) * time.Millisecond)
	s.do(func() {
		if h.blind == 0 {
			s.loaded = time.Now()
		}
	})
}

// fill brings some copies into the heap, none below the floor.
func (h *history) fill() {
	h.s.do(func() {
		for k, d := range h.s.master {
			if h.rnd.IntN(3) == 0 && d.State == catalog.Live && h.s.floor.Admits(k, d.Stamp) {
				h.s.heap[k] = d
			}
		}
	})
}

// failover gives some documents an older copy. When the process has noticed, some
// of its reads still go to the former master. The caller holds the lock.
func (h *history) failover() {
	s := h.s
	before, after := map[catalog.Key]catalog.Document{}, map[catalog.Key]catalog.Document{}
	for k, d := range s.master {
		if d.Stamp.Version > 0 && h.rnd.IntN(2) == 0 {
			old := doc(k.ID, d.Stamp.Version-1, max(0, d.Stamp.Token-5))
			old.Stamp.Epoch, old.Pulled = d.Stamp.Epoch, d.Pulled.Add(-time.Second)
			s.master[k], before[k], after[k] = old, d, old
		}
	}
	swap := func(from, to map[catalog.Key]catalog.Document) {
		s.do(func() {
			for k := range from {
				if s.master[k].Stamp == from[k].Stamp {
					s.master[k] = to[k]
				}
			}
		})
	}
	late := time.Duration(h.rnd.IntN(2000)) * time.Millisecond
	h.blind++ // who asks for the slots meanwhile gets no answer
	go func() {
		time.Sleep(late)
		s.do(func() {
			h.blind--
			s.changed, s.loaded = time.Now(), time.Now()
		})
		time.Sleep(500 * time.Millisecond)
		swap(after, before)
		time.Sleep(1500 * time.Millisecond)
		swap(before, after)
	}()
}

// No false alarm: whatever may happen to Redis is no violation.
func TestInvariant1NoFalseAlarm(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, audit.Config{Rate: 40})
			h := &history{s: s, rnd: rand.New(rand.NewPCG(seed, 3)), docs: 6}
			s.run()
			for range 300 {
				h.step()
				h.fill()
			}
			time.Sleep(5 * time.Second)
			if n := s.violations(); n != 0 {
				t.Fatalf("seed %d: %v violations, want 0", seed, n)
			}
		})
	}
}

// No miss: after any such history a document that goes back and stays is found,
// counted once and repaired; nothing else is.
func TestInvariant1GoneBackIsFound(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, audit.Config{Rate: 40})
			h := &history{s: s, rnd: rand.New(rand.NewPCG(seed, 4)), docs: 6}
			stop := s.run()
			for range 50 {
				h.step()
				h.fill()
			}
			s.do(func() {
				s.token++
				d := doc(1, 5, s.token)
				d.Stamp.Epoch = s.token // above whatever was there
				s.master[key(1)], s.heap[key(1)] = d, d
			})
			for range 60 { // long after the last failover, and seen
				time.Sleep(time.Second)
				s.do(func() { s.loaded = time.Now() })
			}
			s.do(func() {
				s.repaired = nil
				old := s.master[key(1)]
				old.Stamp.Version--
				old.Stamp.Token--
				s.master[key(1)] = old
			})
			for range 60 {
				time.Sleep(time.Second)
				s.do(func() { s.loaded = time.Now() })
			}
			stop()
			if n := s.value("eshop_consistency_violations_total", "invariant=1"); n != 1 || len(s.repaired) != 1 || s.repaired[0] != key(1) {
				t.Fatalf("seed %d: %v violations, repaired %v; want 1, product/1", seed, n, s.repaired)
			}
		})
	}
}
