package simulation

import (
	"errors"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/rediscluster"
)

// reply is a cache process's answer.
type reply struct {
	doc   catalog.Document
	heap  bool // from memory
	stale bool
}

// fill is the one load of a key in a process; others wait for its end.
type fill struct {
	over  bool
	reply reply
	err   error
}

var errBelow = errors.New("nothing that reaches the floor can be had")

// load answers a gateway: heap, Redis, origin, in this order.
func (c *cache) load(t *task, k catalog.Key, min catalog.Stamp) (reply, error) {
	min = min.Max(c.of(k))
	n := number(k)
	if e := c.heap[n]; e != nil && c.usable(e, min) {
		return reply{doc: e.doc, heap: true}, nil
	}
	if min.IsZero() && c.w.now < c.absent[n] {
		return reply{doc: catalog.Document{Key: k}, heap: true}, nil
	}
	for range 3 {
		r, shared, err := c.coalesce(t, k, min)
		min = min.Max(c.of(k))
		switch {
		case err != nil && shared && !min.IsZero():
			continue // the load failed for a floor that was not ours
		case err != nil:
			return r, err
		case !r.doc.Stamp.Less(min):
			return r, nil
		}
	}
	return reply{}, errBelow
}

// coalesce joins the load of the key that is under way, or is it.
func (c *cache) coalesce(t *task, k catalog.Key, min catalog.Stamp) (reply, bool, error) {
	n := number(k)
	if f := c.fills[n]; f != nil {
		c.w.events.note("loads that joined another")
		t.wait("wait for the load under way", func() bool { return f.over })
		return f.reply, true, f.err
	}
	f := &fill{}
	c.fills[n] = f
	f.reply, f.err = c.loadOnce(t, k, min.Max(c.of(k)))
	f.over, c.fills[n] = true, nil
	return f.reply, false, f.err
}

func (c *cache) loadOnce(t *task, k catalog.Key, min catalog.Stamp) (reply, error) {
	v := c.moment()
	from := c.from()
	doc, err := c.read(t, k, from)
	if err == nil && from == rediscluster.FromReplica && doc.State != catalog.Absent && doc.Stamp.Less(min) {
		doc, err = c.read(t, k, rediscluster.FromMaster)
	}
	switch {
	case err != nil:
		if r, ok := c.stale(k, min); ok {
			return r, nil
		}
	case coherence.Reaches(doc, min):
		c.keep(t, doc, v)
		return reply{doc: doc}, nil
	}
	return c.pull(t, k, min, false)
}

// stale is the heap's copy although nothing vouches for it now.
func (c *cache) stale(k catalog.Key, min catalog.Stamp) (reply, bool) {
	if e := c.heap[number(k)]; e != nil && !e.dead && !e.doc.Stamp.Less(min) {
		return reply{doc: e.doc, heap: true, stale: true}, true
	}
	return reply{}, false
}

// pull brings a document from the origin into Redis and the heap: token, pull,
// compare-and-set. again: what Redis has is doubted.
func (c *cache) pull(t *task, k catalog.Key, min catalog.Stamp, again bool) (reply, error) {
	tk := c.lock(t, k)
	if tk == nil {
		if again {
			return reply{}, errAway
		}
		return c.pullProvisional(t, k, min)
	}
	r, err := c.pullLocked(t, k, min, again, tk)
	t.step("give the lock back")
	tk.release()
	return r, err
}

func (c *cache) pullLocked(t *task, k catalog.Key, min catalog.Stamp, again bool, tk *ticket) (reply, error) {
	v := c.moment()
	announced := c.of(k)
	stored, readErr := c.read(t, k, rediscluster.FromMaster)
	if readErr == nil && !again && coherence.Reaches(stored, min) {
		c.keep(t, stored, v)
		return reply{doc: stored}, nil // somebody was faster
	}
	doc, err := c.pullOrigin(t, k, tk, coherence.Base(min, tk.token))
	if err != nil {
		if r, ok := c.stale(k, min); ok {
			return r, nil
		}
		if readErr == nil && coherence.Reaches(stored, min) {
			return reply{doc: stored, stale: true}, nil
		}
		return reply{}, err
	}
	op, doc, write := coherence.ForReader(stored.State, min, doc)
	if !write {
		c.keep(t, catalog.Document{Key: k}, v)
		return reply{doc: catalog.Document{Key: k}}, nil
	}
	written, out, err := c.write(t, op, doc)
	if tk.s.expired {
		c.w.events.note("holders that wrote after their session had expired")
	}
	if err != nil {
		return c.provisional(t, doc, min, v)
	}
	if out.Accepted && readErr == nil && stored.Stamp.Less(announced) {
		c.w.events.note("documents below the floor in Redis that were repaired")
	}
	if coherence.Tells(out, stored, announced) {
		inv := catalog.Invalidation{Key: k, Stamp: written.Stamp, State: written.State.String()}
		c.floor.Raise(k, inv.Stamp)
		place := c.w.check.place(written)
		c.spawn("announcement of "+k.String(), func(t *task) {
			for c.publish(t, inv, place) != nil {
				next := c.w.now + 2000
				t.wait("wait to announce again", func() bool { return c.w.now > next })
			}
		})
	}
	c.keep(t, written, v)
	return reply{doc: written}, nil
}

// pullProvisional serves a reader while there is no token to be had.
func (c *cache) pullProvisional(t *task, k catalog.Key, min catalog.Stamp) (reply, error) {
	v := c.moment()
	doc, err := c.pullOrigin(t, k, nil, coherence.Base(min, 0))
	if err != nil {
		if r, ok := c.stale(k, min); ok {
			return r, nil
		}
		return reply{}, err
	}
	return c.provisional(t, doc, min, v)
}

func (c *cache) provisional(t *task, doc catalog.Document, min catalog.Stamp, v moment) (reply, error) {
	shown, ok := coherence.Provisional(doc, min)
	if !ok {
		return reply{}, errBelow
	}
	c.w.events.note("provisional answers")
	c.keep(t, shown, v)
	return reply{doc: shown}, nil
}
