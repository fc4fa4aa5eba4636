package hotcount

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
)

// TestKeptWindow: a partition that comes back within a window goes on where it
// was, and one that was away for longer is read again.
func TestKeptWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		settle(time.Second)
		l.feed(counts("gw", 1, time.Now(), 7, 50), time.Now())
		settle(50 * time.Millisecond)
		end()
		settle(5 * time.Second)
		r.h.forget(time.Now())
		from, next := r.h.Start(0)
		if want := time.Now().Add(-15 * time.Second); next != 1 || !from.Equal(want) {
			t.Fatalf("asked again after 5 s: from %v, next %d; want %v and 1", from, next, want)
		}
		l = newFakeLog(1, 1)
		end = r.hold(l)
		l.feed(counts("gw", 1, time.Now(), 7, 50), time.Now()) // written twice
		l.feed(counts("gw", 2, time.Now(), 7, 30), time.Now())
		settle(50 * time.Millisecond)
		if s := r.h.holds()[0]; s.c.win.Count(7) != 80 {
			t.Errorf("product 7 has %d hits, want 50 kept and 30 new", s.c.win.Count(7))
		}
		end()
		settle(11 * time.Second)
		r.h.forget(time.Now())
		if _, next := r.h.Start(0); next != -1 || r.h.keptBytes() != 0 {
			t.Errorf("asked again after 11 s: next %d, %d bytes kept; want -1, none", next, r.h.keptBytes())
		}
	})
}

// TestKeptWindowIsLeftWhenTheLogHasMoved: reading begins behind what was kept, so
// what was kept is not used.
func TestKeptWindowIsLeftWhenTheLogHasMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		settle(time.Second)
		l.feed(counts("gw", 1, time.Now(), 7, 50), time.Now())
		settle(50 * time.Millisecond)
		end()
		r.h.Start(0)
		l = newFakeLog(500, 500)
		defer r.hold(l)()
		settle(50 * time.Millisecond)
		if n := r.h.holds()[0].c.win.Count(7); n != 0 {
			t.Errorf("product 7 has %d hits from before a gap, want none", n)
		}
	})
}

// TestWindowOfAnotherLength: after a change of the window's length nothing that
// was kept is used, and a partition that was begun in between is taken anew.
func TestWindowOfAnotherLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, end := r.assign(0, 0)
		settle(time.Second)
		end()
		r.rule(func(rule *hotlist.Rule) { rule.Window = hotlist.Duration(20 * time.Second) })
		from, next := r.h.Start(0)
		if want := time.Now().Add(-25 * time.Second); next != -1 || !from.Equal(want) {
			t.Errorf("from %v, next %d; want %v, -1", from, next, want)
		}
		if r.rejoins.Load() != 0 {
			t.Error("taken anew for nothing")
		}
	})
}

// TestTopicWithMorePartitions: a window that was made when there were fewer
// partitions takes too much memory now, so the partition is begun anew.
func TestTopicWithMorePartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		settle(time.Second)
		l.feed(counts("gw", 1, time.Now(), 7, 500), time.Now())
		settle(time.Second)
		end()
		before, _ := r.zk.published()
		r.h.Start(0)
		l = newFakeLog(1, 1)
		l.partitions = 16
		end = r.hold(l)
		settle(time.Minute)
		if hots, _ := r.zk.published(); r.rejoins.Load() != 1 || len(hots) != len(before) {
			t.Errorf("asked to join anew %d times, published %d lists; want 1, none", r.rejoins.Load(), len(hots)-len(before))
		}
		end()
		if _, next := r.h.Start(0); next != -1 {
			t.Errorf("next %d, want -1: the window is gone", next)
		}
		l = newFakeLog(0, 0)
		l.partitions = 16
		defer r.hold(l)()
		settle(time.Second)
		if got := r.h.holds()[0].c.win.Bytes(); got > 4<<20 {
			t.Errorf("the new window takes %d bytes, want at most 4 MiB", got)
		}
	})
}

// TestMemoryBound: whatever the topic, all windows together stay within it.
func TestMemoryBound(t *testing.T) {
	for _, span := range []time.Duration{time.Second, 10 * time.Second, 10 * time.Minute} {
		for _, parts := range []int64{1, 2, 8, 64} {
			c, err := newCounter(span, (64<<20)/parts, 0)
			if err != nil {
				t.Fatalf("%v in %d partitions: %v", span, parts, err)
			}
			if c.win.Bytes()*parts > 64<<20 {
				t.Errorf("%v in %d partitions: %d bytes, above 64 MiB", span, parts, c.win.Bytes()*parts)
			}
		}
	}
}

// TestInvariant11Moves: a partition that is taken away and given back at random,
// with and without the memory of it, with duplicates and late records, is at
// every publication what the log says: nothing lost, nothing doubled.
func TestInvariant11Moves(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) { moves(t, seed) })
	}
}

func moves(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 4))
	r := newRig(t)
	r.rule(func(rule *hotlist.Rule) { rule.Floor = 20 })
	var log []kafka.Record
	sequence := map[int]uint64{}
	write := func() {
		at := time.Now().Add(-time.Duration(rng.IntN(500)) * time.Millisecond)
		if rng.IntN(10) == 0 {
			at = at.Add(-time.Duration(rng.IntN(12)) * time.Second)
		}
		rec := kafka.Record{Offset: int64(len(log)), Time: time.Now()}
		id := int64(1 + rng.ExpFloat64()*5)
		switch n := rng.IntN(10); {
		case n == 0 && len(log) > 0: // written again
			rec.Value = log[len(log)-1-rng.IntN(min(5, len(log)))].Value
			if rec.Value[0] == '{' {
				rec.Value = []byte("nothing")
			}
		case n < 5:
			gateway := rng.IntN(3)
			sequence[gateway]++
			rec.Value = accesslog.AppendCounts(nil, &accesslog.Counts{Gateway: string(rune('a' + gateway)), Boot: 1, Sequence: sequence[gateway],
				Time: at.UnixMilli(), Counts: []accesslog.Count{{ID: id, N: 1 + rng.Int64N(4)}, {ID: id + 1, N: 1}}})
		default:
			rec.Value = request(id)
		}
		log = append(log, rec)
	}
	for range 200 {
		write()
		settle(20 * time.Millisecond)
	}
	for range 12 {
		if rng.IntN(3) == 0 { // another process, which knows nothing
			clear(r.h.kept)
		}
		from, next := r.h.Start(0)
		start := int64(0)
		for start < int64(len(log)) && log[start].Time.Before(from) {
			start++
		}
		start = max(start, next)
		l := newFakeLog(start, int64(len(log)))
		end := r.hold(l)
		for _, rec := range log[start:] {
			l.feed(rec.Value, rec.Time)
		}
		for range rng.IntN(300) {
			write()
			l.feed(log[len(log)-1].Value, log[len(log)-1].Time)
			settle(time.Duration(rng.IntN(40)) * time.Millisecond)
		}
		if rng.IntN(4) == 0 {
			settle(time.Duration(rng.IntN(20)) * time.Second)
		}
		end()
		hots, _ := r.zk.published()
		if len(hots) > 0 {
			r.claims(hots[len(hots)-1], nil)
		}
		for range rng.IntN(200) { // while nobody holds it
			write()
			settle(time.Duration(rng.IntN(40)) * time.Millisecond)
		}
		r.h.forget(time.Now())
	}
	var truth recounter
	for _, rec := range log {
		truth.add(rec)
	}
	hots, tops := r.zk.published()
	for _, list := range hots {
		if err := truth.checkHot(list, 10*time.Second); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	for _, list := range tops {
		if err := truth.checkTop(list); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	if len(hots) < 12 || len(tops) < 6 {
		t.Errorf("seed %d: only %d hot lists and %d rankings were published", seed, len(hots), len(tops))
	}
}

// TestPanicLeavesNothing: a partition whose counting panicked is not held any
// more, and what it had counted is not used.
func TestPanicLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.h.Start(0)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was lost: the group would not take the partition anew")
				}
			}()
			r.h.hold(t.Context(), broken{newFakeLog(0, 0)})
		}()
		if _, next := r.h.Start(0); next != -1 || len(r.h.holds()) != 0 {
			t.Errorf("after a panic: next %d, %d partitions held; want -1, none", next, len(r.h.holds()))
		}
	})
}

// broken is a partition that cannot be read.
type broken struct{ *fakeLog }

func (broken) Read(<-chan time.Time, []kafka.Record) (int, bool) { panic("broken") }
