package simulation

import (
	"slices"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// checker looks at each thing that happens with knowledge that no process has.
type checker struct {
	w *world
	// public is since when the bus has told of a state of a document or a later one.
	public [documents][]int64
	// told is the latest state the bus has told of, in whatever order.
	told [documents]int
	// forces are the states to which the shop went back and whose messages are not
	// applied yet. Until then those states, and later ones, are not public: the
	// copies of what was before outrank them, as they should.
	forces [documents][]int
	// stored is the latest state Redis has acknowledged; gone is whether it lost that,
	// and whole when it last had it again.
	stored [documents]int
	gone   [documents]bool
	whole  [documents]int64
	// tombs are the states that the pulls saw which found no document, by token.
	tombs map[int64]int
	// pulling are the pulls under way by holders of the key's lock.
	pulling [documents][]*ticket
}

// wrote: 1, the stamp in Redis never goes down. 5, only truth is stored.
func (c *checker) wrote(before, doc catalog.Document, out rediscluster.Outcome) {
	after, err := rediscluster.ParseHash(doc.Key, c.w.redis.master.read(name(doc.Key)))
	if err != nil {
		c.w.violate(5, "Redis has something else than a document: %v", err)
		return
	}
	if before.State != catalog.Absent && after.Stamp.Less(before.Stamp) {
		c.w.violate(1, "the stamp of %v in Redis went from %v to %v", doc.Key, before.Stamp, after.Stamp)
	}
	if !out.Accepted {
		c.w.events.note("writes that Redis refused")
	}
	c.truth(after, "Redis")
	if after.State != catalog.Absent && after.Stamp.Token == 0 {
		c.w.violate(5, "Redis holds a copy of %v that no token fences", doc.Key)
	}
	n := number(doc.Key)
	if out.Accepted {
		c.stored[n] = max(c.stored[n], c.place(after))
	}
	if c.gone[n] && c.restored(doc.Key) {
		c.gone[n], c.whole[n] = false, c.w.now
	}
}

// truth: 5, every copy is one that the origin had.
func (c *checker) truth(doc catalog.Document, where string) {
	if doc.State == catalog.Live && c.w.origin.place(doc.Key, doc) < 0 {
		c.w.violate(5, "%s holds %v %s, which the origin never had", where, doc.Key, doc.Body)
	}
}

// restored reports whether Redis holds the latest it has acknowledged.
func (c *checker) restored(k catalog.Key) bool {
	doc, _ := rediscluster.ParseHash(k, c.w.redis.master.read(name(k)))
	return doc.State != catalog.Absent && c.place(doc) >= c.stored[number(k)]
}

// place is which state a copy is of, -1 if it never was. All deletions look
// alike: the token tells of which a tombstone is, else it is of the last.
func (c *checker) place(doc catalog.Document) int {
	if place, ok := c.tombs[doc.Stamp.Token]; ok && doc.State == catalog.Tombstone {
		return place
	}
	past := c.w.origin.past[number(doc.Key)]
	for i := len(past) - 1; i >= 0; i-- {
		if doc.State == catalog.Live && past[i].state == catalog.Live && past[i].body == string(doc.Body) ||
			doc.State != catalog.Live && past[i].state == catalog.Absent {
			return i
		}
	}
	return -1
}

// lost: a failover lost an acknowledged write.
func (c *checker) lost(key string) {
	for _, k := range c.w.origin.keys {
		if name(k) == key {
			c.gone[number(k)] = true
		}
	}
}

// replaced: after a failover a write that was repaired may be lost again.
func (c *checker) replaced() {
	for _, k := range c.w.origin.keys {
		if n := number(k); c.gone[n] && c.restored(k) {
			c.gone[n], c.whole[n] = false, c.w.now
		}
	}
}

// announced: the bus tells of a state of a document.
func (c *checker) announced(k catalog.Key, place int) {
	n := number(k)
	c.told[n] = max(c.told[n], place)
	for len(c.public[n]) <= place && !slices.Contains(c.forces[n], len(c.public[n])) {
		c.public[n] = append(c.public[n], c.w.now)
	}
}

// committed: 4, a change is committed after its effect.
func (c *checker) committed(rec record) {
	if rec.place < 0 {
		if len(c.w.dead) == 0 {
			c.w.violate(4, "a malformed message was committed and is no dead letter")
		}
		return
	}
	n := number(rec.key)
	if rec.force {
		c.forces[n] = slices.DeleteFunc(c.forces[n], func(place int) bool { return place == rec.place })
	}
	if c.told[n] >= rec.place || len(c.forces[n]) > 0 {
		c.announced(rec.key, c.told[n])
		return
	}
	for _, letter := range c.w.dead {
		if letter == string(rec.value) {
			return
		}
	}
	c.w.violate(4, "the change of %v to its state number %d was committed without effect on the bus", rec.key, rec.place)
}

// saw notes what a pull that found no document saw.
func (c *checker) saw(k catalog.Key, token int64) {
	if c.tombs == nil {
		c.tombs = map[int64]int{}
	}
	c.tombs[token] = c.w.origin.last(k)
}

// pulls: 7, of those who hold the lock of a key one pulls at a time.
func (c *checker) pulls(k catalog.Key, t *ticket, by int) {
	if t == nil || !t.held {
		return
	}
	n := number(k)
	if by < 0 {
		for i, other := range c.pulling[n] {
			if other == t {
				c.pulling[n] = append(c.pulling[n][:i:i], c.pulling[n][i+1:]...)
				break
			}
		}
		return
	}
	for _, other := range c.pulling[n] {
		if !other.s.expired && !t.s.expired {
			c.w.violate(7, "%s and %s pull %v at the same time and both hold its lock", other.s.p.name, t.s.p.name, k)
		}
	}
	c.pulling[n] = append(c.pulling[n], t)
}

// holds: 3, nothing below the floor in a heap.
func (c *checker) holds(f *follower, e *held, where string) {
	c.truth(e.doc, where)
	if told := f.told[number(e.doc.Key)]; !e.dead && e.doc.Stamp.Less(told) {
		c.w.violate(3, "%s was filled with %v %v, below the floor %v", where, e.doc.Key, e.doc.Stamp, told)
	}
}

// keeps: 3, nothing below the floor in L1.
func (c *checker) keeps(g *gateway, p *page) {
	c.truth(p.doc, "L1 of "+g.name)
	if told := g.told[number(p.doc.Key)]; p.state == live && p.doc.State != catalog.Absent && p.doc.Stamp.Less(told) {
		c.w.violate(3, "L1 of %s was filled with %v %v, below the floor %v", g.name, p.doc.Key, p.doc.Stamp, told)
	}
}

// shown: 3, nothing below the floor is served unmarked; 8, nor anything older
// than the bound when the request came.
func (c *checker) shown(g *gateway, k catalog.Key, doc catalog.Document, marked bool, came int64) {
	c.truth(doc, g.name)
	if marked {
		c.w.events.note("served, marked as stale")
		return
	}
	c.w.events.note("served")
	n := number(k)
	if told := g.told[n]; doc.State != catalog.Absent && doc.Stamp.Less(told) {
		c.w.violate(3, "%s showed %v %v, below its floor %v", g.name, k, doc.Stamp, told)
	}
	next := c.place(doc) + 1
	if next >= len(c.public[n]) {
		return
	}
	since := max(c.public[n][next], c.whole[n])
	if !c.gone[n] && came-since > bound {
		c.w.violate(8, "%s showed %v %v %s unmarked %.1f s after its next state was announced; the bound is %.1f s",
			g.name, k, doc.Stamp, doc.Body, float64(came-since)/1000, float64(bound)/1000)
	}
}
