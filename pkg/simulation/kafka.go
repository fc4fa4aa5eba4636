package simulation

import (
	"slices"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
)

// record is one of a topic. place and force are the model's own knowledge.
type record struct {
	key   catalog.Key
	value []byte
	at    int64 // ms
	place int   // which state of the document it is about, -1: none
	force bool
}

// topic is one partition's log.
type topic struct {
	records []record
	first   int // the oldest that is kept
}

func (l *topic) add(r record) { l.records = append(l.records, r) }

func (l *topic) end() int { return len(l.records) }

// since returns the offset of the first record that is as young as that.
func (l *topic) since(ms int64) int {
	for i := l.first; i < len(l.records); i++ {
		if l.records[i].at >= ms {
			return i
		}
	}
	return len(l.records)
}

// feed is the consumer group of the change topic.
type feed struct {
	w         *world
	down      bool // no broker answers
	claims    [partitions]*claim
	committed [partitions]int
}

// claim is a partition in the hands of a process.
type claim struct {
	f         *feed
	partition int
	c         *cache
	begin     int    // offset of done[0]
	done      []bool // of the records that were begun
	gone      bool   // another has it now, whether the owner knows or not
}

func (f *feed) reaches(p *process) bool { return !f.down && !p.offBus }

// assign gives each partition to a process that is up, if there is one.
func (f *feed) assign() {
	for i := range f.claims {
		if old := f.claims[i]; old != nil {
			old.gone = true
		}
		f.claims[i] = nil
		up := slices.DeleteFunc(slices.Clone(f.w.caches), func(c *cache) bool { return !c.up || !f.reaches(c.process) })
		if len(up) == 0 {
			continue
		}
		cl := &claim{f: f, partition: i, c: up[f.w.choices.below(len(up))], begin: f.committed[i]}
		f.claims[i] = cl
		if f.committed[i] < f.w.changes[i].end() {
			f.w.events.note("change messages read again or for the first time by a new owner")
		}
		cl.c.background("feed", cl.read)
	}
}

// read hands each record to a task of its own, in order for one key.
func (cl *claim) read(t *task) {
	log := &cl.f.w.changes[cl.partition]
	for {
		t.wait("take a change message", func() bool {
			return cl.gone || cl.f.reaches(cl.c.process) && cl.begin+len(cl.done) < log.end()
		})
		if cl.gone {
			return
		}
		i := len(cl.done)
		rec := log.records[cl.begin+i]
		cl.done = append(cl.done, false)
		cl.c.spawn("change of "+rec.key.String(), func(t *task) {
			t.wait("wait for earlier changes", func() bool { return cl.gone || cl.turn(i) })
			if cl.c.handle(t, cl, rec) {
				t.step("commit")
				cl.applied(i)
			}
		})
	}
}

// turn reports whether no earlier record of the same key is under way.
func (cl *claim) turn(i int) bool {
	log := cl.f.w.changes[cl.partition].records
	for n := range i {
		if !cl.done[n] && log[cl.begin+n].key == log[cl.begin+i].key {
			return false
		}
	}
	return true
}

// applied commits what is done without a gap.
func (cl *claim) applied(i int) {
	cl.done[i] = true
	if cl.gone || !cl.f.reaches(cl.c.process) {
		cl.f.w.events.note("commits that did not get through")
		return
	}
	n := slices.Index(cl.done, false)
	if n < 0 {
		n = len(cl.done)
	}
	for _, rec := range cl.f.w.changes[cl.partition].records[cl.f.committed[cl.partition]:max(cl.begin+n, cl.f.committed[cl.partition])] {
		cl.f.w.check.committed(rec)
	}
	cl.f.committed[cl.partition] = max(cl.f.committed[cl.partition], cl.begin+n)
}

// statuses are the partitions of the bus, as a reader knows them.
var statuses = []kafka.PartitionStatus{{Partition: 0}, {Partition: 1}}
