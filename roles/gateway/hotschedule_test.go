package gateway

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

func setOf(generation uint64, ids ...int64) *hotSet {
	s := &hotSet{generation: generation, keys: map[int64]hotlist.Key{}}
	for _, id := range ids {
		s.keys[id] = hotlist.Key{ID: id}
	}
	return s
}

// Whatever happens in whatever order: a product is loaded at most once at a time and stands in one queue
// at most, what is not hot is in none, and after each change there is a load that began later.
func TestScheduleAgainstAModel(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		s := newSchedule(time.Second)
		now := time.Unix(1_000_000, 0)
		hot, news, began := map[int64]bool{}, map[int64]int{}, map[int64]int{}
		loading := map[int64]*task{}
		generation := uint64(0)
		begin := func(step int) {
			id, ok := s.next()
			if !ok {
				return
			}
			if !hot[id] || loading[id] != nil && loading[id] == s.tasks[id] {
				t.Fatalf("seed %d: %d is loaded: hot %v, twice at a time %v", seed, id, hot[id], loading[id] != nil)
			}
			loading[id], began[id] = s.tasks[id], step
		}
		check := func() {
			waits := 0
			for _, k := range s.tasks {
				if k.waits() {
					waits++
				}
				if k.queued && k.running {
					t.Fatalf("seed %d: a task is queued and running", seed)
				}
			}
			if waits != s.failing {
				t.Fatalf("seed %d: %d tasks wait for a retry, %d are counted", seed, waits, s.failing)
			}
			all := slices.Concat(s.changed, s.others)
			slices.Sort(all)
			if len(slices.Compact(slices.Clone(all))) != len(all) || len(all) > len(hot) {
				t.Fatalf("seed %d: the queues hold %v, hot are %v", seed, all, hot)
			}
		}
		for step := 1; step <= 200; step++ {
			now = now.Add(time.Duration(r.IntN(100)) * time.Millisecond)
			id := 1 + r.Int64N(6)
			switch r.IntN(6) {
			case 0:
				if hot[id] {
					delete(hot, id)
					s.cools(id, now)
				} else {
					hot[id], news[id] = true, step
				}
				var ids []int64
				for id := range hot {
					ids = append(ids, id)
				}
				generation++
				s.follow(setOf(generation, ids...))
			case 1:
				s.touch(id)
				news[id] = step
			case 2, 3:
				begin(step)
			case 4:
				if k := loading[id]; k != nil {
					delete(loading, id)
					s.finish(id, k, r.IntN(3) > 0, now)
				}
			case 5:
				for _, id := range s.tick(now) {
					if hot[id] {
						t.Fatalf("seed %d: the copies of the hot product %d are to be dropped", seed, id)
					}
				}
			}
			check()
		}
		for step := 201; step < 260; step++ { // from now on every load succeeds
			now = now.Add(time.Second)
			for id, k := range loading {
				delete(loading, id)
				s.finish(id, k, true, now)
			}
			s.tick(now)
			for range 4 {
				begin(step)
			}
			check()
		}
		for id := range hot {
			if began[id] < news[id] {
				t.Errorf("seed %d: the last load of %d began at step %d, there was news at %d", seed, id, began[id], news[id])
			}
		}
		if !s.idle() || s.queued() > 0 {
			t.Errorf("seed %d: something is left to do: %+v", seed, s)
		}
	}
}

// A long queue of new products does not delay a change, nor the other way round.
func TestScheduleTakesTurns(t *testing.T) {
	s := newSchedule(time.Second)
	s.follow(setOf(1, 1, 2, 3))
	for range 3 {
		id, _ := s.next()
		s.finish(id, s.tasks[id], true, time.Now())
	}
	s.follow(setOf(2, 1, 2, 3, 11, 12, 13))
	for id := range int64(3) {
		s.touch(id + 1)
	}
	olds := 0
	for i := range 6 {
		if id, _ := s.next(); id < 10 {
			olds++
		}
		if olds < (i+1)/2 || olds > i/2+1 {
			t.Errorf("after %d turns %d are for changes", i+1, olds)
		}
	}
}
