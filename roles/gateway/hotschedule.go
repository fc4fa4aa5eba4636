package gateway

import (
	"maps"
	"slices"
	"time"
)

// task is what is known of the work for one hot product.
type task struct {
	queued, running bool
	dirty           bool // a document has changed since the running load began
	failures        int
	retry           time.Time // of a load that failed
}

// schedule decides what the keeper does next. It is plain data for one
// goroutine. Each hot product has one task and is in one queue at most, so the
// set bounds all of it but cold, and that is bounded by what cools in one grace.
type schedule struct {
	generation uint64 // of the set that was taken over last
	tasks      map[int64]*task
	// Products of which a document has changed, and all others. They take turns:
	// neither waits for a long queue of the other.
	changed, others []int64
	turn            bool
	failing         int       // tasks that wait for their retry
	ticked          time.Time // of the last tick
	// cold products and when their copies are dropped once more: a load that was
	// under way when a product cooled may still have brought one.
	cold  map[int64]time.Time
	grace time.Duration
}

// Pauses between two loads of a product that cannot be had: doubled each time.
const (
	hotRetryMin = 100 * time.Millisecond
	hotRetryMax = 5 * time.Second
)

func newSchedule(grace time.Duration) *schedule {
	return &schedule{tasks: map[int64]*task{}, cold: map[int64]time.Time{}, grace: grace}
}

// follow takes over who is hot now.
func (s *schedule) follow(set *hotSet) {
	if set.generation == s.generation {
		return
	}
	s.generation = set.generation
	before := len(s.tasks)
	for id, t := range s.tasks {
		if _, still := set.keys[id]; still {
			continue
		}
		if t.waits() {
			s.failing--
		}
		delete(s.tasks, id)
	}
	if len(s.tasks) < before {
		left := func(id int64) bool { return s.tasks[id] == nil }
		s.changed, s.others = slices.DeleteFunc(s.changed, left), slices.DeleteFunc(s.others, left)
	}
	for id := range set.keys {
		if s.tasks[id] == nil {
			delete(s.cold, id)
			s.tasks[id] = &task{queued: true}
			s.others = append(s.others, id)
		}
	}
}

// cools tells that a product has cooled.
func (s *schedule) cools(id int64, now time.Time) { s.cold[id] = now.Add(s.grace) }

func (t *task) waits() bool { return t.failures > 0 && !t.queued && !t.running }

// touch tells that a document of a product has changed.
func (s *schedule) touch(id int64) {
	t := s.tasks[id]
	switch {
	case t == nil || t.queued:
	case t.running:
		t.dirty = true
	default:
		if t.waits() {
			s.failing--
		}
		t.queued = true
		s.changed = append(s.changed, id)
	}
}

// next takes a product out of the queues; it is running from then on.
func (s *schedule) next() (id int64, ok bool) {
	from := &s.changed
	if s.turn = !s.turn; len(*from) == 0 || s.turn && len(s.others) > 0 {
		from = &s.others
	}
	if len(*from) == 0 {
		return 0, false
	}
	id = (*from)[0]
	if *from = (*from)[1:]; len(*from) == 0 {
		*from = nil
	}
	t := s.tasks[id]
	t.queued, t.running = false, true
	return id, true
}

// finish tells how a load ended. The task is another one if the product has
// cooled and become hot again meanwhile; that one has a load of its own.
func (s *schedule) finish(id int64, t *task, ok bool, now time.Time) {
	if s.tasks[id] != t {
		return
	}
	t.running = false
	if ok {
		t.failures = 0
	} else {
		pause := min(hotRetryMax, hotRetryMin<<min(t.failures, 16))
		t.failures++
		t.retry = now.Add(between(pause/2, pause))
	}
	if t.waits() {
		s.failing++
	}
	if t.dirty {
		t.dirty = false
		s.touch(id)
	}
}

// tick queues what is to be tried again and returns the products whose copies
// are to be dropped once more. It looks once in a while only, for it walks all.
func (s *schedule) tick(now time.Time) (again []int64) {
	if s.idle() || now.Sub(s.ticked) < hotTick {
		return nil
	}
	s.ticked = now
	if s.failing > 0 {
		for id, t := range s.tasks {
			if t.waits() && !now.Before(t.retry) {
				s.failing--
				t.queued = true
				s.others = append(s.others, id)
			}
		}
	}
	maps.DeleteFunc(s.cold, func(id int64, at time.Time) bool {
		due := !now.Before(at)
		if due {
			again = append(again, id)
		}
		return due
	})
	return again
}

// idle reports whether nothing will be due by the clock alone.
func (s *schedule) idle() bool { return s.failing == 0 && len(s.cold) == 0 }

func (s *schedule) queued() int { return len(s.changed) + len(s.others) }
