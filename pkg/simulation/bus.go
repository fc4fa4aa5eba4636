package simulation

import (
	"math"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/invalidation"
)

// follower is what a process knows from the bus: pkg/invalidation's own rules,
// fed from the simulated topic.
type follower struct {
	p          *process
	floor      *invalidation.Floor
	receiver   *invalidation.Receiver
	known      bool // that there are partitions
	next       [partitions]int
	generation uint64
	lastGap    int64                    // unix nanoseconds
	mark       int64                    // with Wiring.Mark: until when the ticker found the bus alive
	told       [documents]catalog.Stamp // the checker's own floor: what has been handled
}

// follow begins to read the bus; changed is told of each document, before and
// after which others may get their turn.
func (p *process) follow(changed func(catalog.Invalidation)) *follower {
	floor, err := invalidation.NewFloor(64)
	if err != nil {
		panic(err)
	}
	f := &follower{p: p, floor: floor}
	f.receiver = invalidation.NewReceiver(floor, handler{f, changed})
	for i := range partitions {
		p.background("bus", func(t *task) { f.read(t, int32(i)) })
	}
	if p.w.cfg.Wiring.Mark {
		p.background("ticker", func(t *task) {
			for {
				f.mark = math.MaxInt64
				if f.until() < p.nanos() {
					f.mark = 0
				}
				next := p.w.now + tick
				t.wait("tick", func() bool { return p.w.now >= next })
			}
		})
	}
	return f
}

// read handles one record of a partition after the other.
func (f *follower) read(t *task, i int32) {
	w := f.p.w
	log := &w.bus[i]
	start := w.now - replay
	t.wait("find the beginning of the bus", func() bool { return w.feed.reaches(f.p) })
	f.next[i], f.known = log.since(start), true
	if log.first > 0 && f.next[i] == log.first { // what is gone may be as young as the start
		w.events.note("beginnings of the bus that were gone")
		t.say("offsets before %d of the bus are gone", log.first)
		f.receiver.Gap("cache-invalidate", i, 0, int64(log.first), "retention")
	}
	for {
		t.wait("read the bus", func() bool { return w.feed.reaches(f.p) && f.next[i] < log.end() })
		if from := f.next[i]; from < log.first {
			w.events.note("gaps on the bus")
			t.say("offsets %d to %d of the bus are gone", from, log.first)
			f.next[i] = log.first
			f.receiver.Gap("cache-invalidate", i, int64(from), int64(log.first), "retention")
			continue
		}
		rec := log.records[f.next[i]]
		t.say("hears %s", rec.value)
		inv, err := f.receiver.Record(i, rec.value, f.p.clock())
		if err == nil && inv.Heartbeat == "" {
			n := number(inv.Key)
			f.told[n] = f.told[n].Max(inv.Stamp)
		}
		f.next[i]++
	}
}

// handler is what the bus tells a process.
type handler struct {
	f       *follower
	changed func(catalog.Invalidation)
}

func (h handler) Changed(inv catalog.Invalidation) {
	h.f.p.w.current.step("end the copies that the bus outdates")
	h.changed(inv)
}

func (h handler) Unverified(string) {
	h.f.lastGap = h.f.p.nanos()
	h.f.generation++
}

// of is the floor of a key.
func (f *follower) of(k catalog.Key) catalog.Stamp {
	if f.p.w.cfg.Wiring.NoFloor {
		return catalog.Stamp{}
	}
	return f.floor.Of(k)
}

func (f *follower) admits(k catalog.Key, s catalog.Stamp) bool {
	return f.p.w.cfg.Wiring.NoFloor || f.floor.Admits(k, s)
}

func (f *follower) until() int64 {
	if !f.known {
		return 0
	}
	return coherence.Until(f.receiver.Watermark(statuses), maxStaleness*time.Millisecond)
}

// trust is what the process goes by.
func (f *follower) trust() coherence.Bus {
	b := coherence.Bus{Generation: f.generation, Until: f.until(), Max: maxStaleness * time.Millisecond}
	if f.p.w.cfg.Wiring.Mark {
		b.Until = f.mark
	}
	return b
}

// publish appends to the bus. An error with the record there all the same is one
// of the things that happen.
func (p *process) publish(t *task, inv catalog.Invalidation, place int) error {
	w := p.w
	inv.Sent = p.clock().UnixMilli()
	t.step("announce on the bus")
	if !w.feed.reaches(p) {
		return errAway
	}
	i := number(inv.Key) % partitions
	t.say("announces %v %v, %s", inv.Key, inv.Stamp, inv.State)
	w.bus[i].add(record{key: inv.Key, value: inv.Encode(), at: w.now, place: place})
	w.check.announced(inv.Key, place)
	if w.choices.chance(20) && !w.calmed {
		w.events.note("announcements whose answer was lost")
		return errAway
	}
	return nil
}

// beat is the leader's work.
func (p *process) beat(t *task) {
	w := p.w
	for {
		next := w.now + heartbeat
		t.wait("pause between heartbeats", func() bool { return w.now >= next })
		for i := range partitions {
			m := catalog.Invalidation{Heartbeat: p.name, Sent: p.clock().UnixMilli()}
			t.step("send a heartbeat")
			if w.feed.reaches(p) {
				w.bus[i].add(record{value: m.Encode(), at: w.now, place: -1})
			}
		}
	}
}
