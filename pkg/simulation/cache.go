package simulation

import (
	"errors"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/rediscluster"
)

// cache is a process of the cache role. Its steps are those of roles/cache, and
// it decides by the same rules.
type cache struct {
	*process
	*follower
	heap    [documents]*held
	absent  [documents]int64 // until when the id is known to be absent, ms
	fills   [documents]*fill
	session *session
	seen    int // failovers it has looked after
}

// held is one copy in memory.
type held struct {
	doc        catalog.Document
	verified   int64 // unix nanoseconds, by the own clock
	generation uint64
	soft       int64 // unix nanoseconds
	dead       bool
}

// moment is when a read began.
type moment struct {
	at         int64
	generation uint64
}

// boot begins a life with an empty memory.
func (c *cache) boot() {
	c.start()
	c.heap, c.absent, c.fills, c.seen = [documents]*held{}, [documents]int64{}, [documents]*fill{}, c.w.redis.changed
	c.session = nil
	c.follower = c.follow(c.changed)
	c.background("session", c.keepSession)
	c.background("leader", c.beat)
	c.background("reconcile", c.reconcile)
}

// keepSession sends heartbeats to ZooKeeper and begins a new session after the
// old one has expired.
func (c *cache) keepSession(t *task) {
	zk := &c.w.zk
	for {
		t.wait("send a heartbeat to ZooKeeper", func() bool { return zk.reaches(c.process) })
		if c.session == nil || !zk.beat(c.session) {
			c.session = zk.attach(c.process)
		}
		next := c.w.now + sessionTimeout/10
		t.wait("pause between heartbeats", func() bool { return c.w.now >= next })
	}
}

func (c *cache) moment() moment { return moment{c.nanos(), c.generation} }

func (c *cache) changed(inv catalog.Invalidation) {
	n := number(inv.Key)
	c.absent[n] = 0
	if e := c.heap[n]; e != nil && inv.Supersedes(e.doc.Stamp) {
		e.dead = true
	}
}

// keep stores a copy that was read since v, unless the floor has risen above it.
func (c *cache) keep(t *task, doc catalog.Document, v moment) {
	n := number(doc.Key)
	if doc.State == catalog.Absent {
		if c.of(doc.Key).IsZero() {
			c.absent[n] = c.w.now + negativeTTL
		}
		return
	}
	e := &held{doc: doc, verified: v.at, generation: v.generation, soft: c.nanos() + softTTL*1e6}
	if doc.Provisional {
		e.soft = c.nanos() + provisionalTTL*1e6
	}
	if old := c.heap[n]; old != nil && !old.dead && coherence.Outranks(old.doc, doc) {
		return
	}
	c.heap[n], c.absent[n] = e, 0
	t.step("look at the floor again")
	if !c.admits(doc.Key, doc.Stamp) {
		e.dead = true
		c.w.events.note("fills of a heap that the floor refused")
	}
	c.w.check.holds(c.follower, e, "the heap of "+c.name)
}

// usable reports whether an entry may answer without asking anybody.
func (c *cache) usable(e *held, min catalog.Stamp) bool {
	now := c.nanos()
	return !e.dead && !e.doc.Stamp.Less(min) && now <= e.soft && c.trust().Vouches(now, e.generation, e.verified)
}

// known is the highest stamp this process has heard or seen of a document.
func (c *cache) known(k catalog.Key) catalog.Stamp {
	s := c.of(k)
	if e := c.heap[number(k)]; e != nil && !e.doc.Provisional {
		s = s.Max(e.doc.Stamp)
	}
	return s
}

// from says which Redis node may be read.
func (c *cache) from() rediscluster.From {
	if c.trust().Distrusts(c.nanos(), c.lastGap) {
		return rediscluster.FromMaster
	}
	return rediscluster.FromReplica
}

// read reads Redis.
func (c *cache) read(t *task, k catalog.Key, from rediscluster.From) (catalog.Document, error) {
	t.step("read Redis")
	doc, err := c.w.redis.read(k, from)
	t.say("finds %v %v %s in Redis (%v), %v", doc.State, doc.Stamp, doc.Body, from, err)
	return doc, err
}

// write is the one way into Redis. It returns what Redis holds afterwards.
func (c *cache) write(t *task, op rediscluster.Op, doc catalog.Document) (catalog.Document, rediscluster.Outcome, error) {
	t.step("write into Redis")
	out, err := c.w.redis.write(op, doc)
	t.say("writes %v %v %s: %+v, %v", op, doc.Stamp, doc.Body, out, err)
	if err != nil {
		return doc, out, err
	}
	if !out.Accepted {
		stored, err := c.read(t, doc.Key, rediscluster.FromMaster)
		if err == nil {
			err = coherence.Refused(op, doc, out, stored)
		}
		if errors.Is(err, coherence.ErrAgain) {
			c.w.events.note("refused writes that were made again")
		}
		return stored, out, err
	}
	return coherence.Stored(op, doc, out), out, nil
}

// lock takes a token and waits for the key's lock, at most lockWait. In vain: the
// token alone is enough.
func (c *cache) lock(t *task, k catalog.Key) *ticket {
	if c.session == nil || c.session.expired || c.session.term.Over(c.clock()) || !c.w.zk.reaches(c.process) {
		return nil
	}
	t.step("make a lock node")
	if c.session.expired || !c.w.zk.reaches(c.process) {
		return nil
	}
	tk := c.w.zk.enqueue(c.session, k)
	t.say("has the token %d", tk.token)
	limit := c.w.now + lockWait
	t.wait("wait for the lock", func() bool { return c.w.zk.first(tk) || tk.lost() || c.w.now > limit })
	tk.held = c.w.zk.first(tk)
	if !tk.held {
		c.w.events.note("pulls that went on without the lock")
	}
	return tk
}

// pullOrigin asks the origin; the two ends of it are two steps.
func (c *cache) pullOrigin(t *task, k catalog.Key, tk *ticket, base catalog.Stamp) (catalog.Document, error) {
	t.step("ask the origin")
	c.w.check.pulls(k, tk, 1)
	got, ok := c.w.origin.pull(k)
	if got.state == catalog.Absent {
		c.w.check.saw(k, base.Token)
	}
	t.say("the origin shows %v %s", got.state, got.body)
	defer c.w.check.pulls(k, tk, -1) // after a crash, too
	t.step("hear from the origin")
	if !ok {
		c.w.events.note("errors of the origin")
		return catalog.Document{}, errAway
	}
	base.Version = got.version
	doc := catalog.Document{Key: k, State: got.state, Field: got.field, Stamp: base, Pulled: c.clock()}
	if got.state == catalog.Live {
		doc.Body = []byte(got.body)
	}
	return doc, nil
}

// reconcile looks, after a failover, whether Redis has lost what the bus told of.
func (c *cache) reconcile(t *task) {
	for {
		t.wait("notice a failover", func() bool { return c.seen != c.w.redis.changed && !c.w.redis.down })
		c.seen = c.w.redis.changed
		for _, k := range c.w.origin.keys {
			floor := c.of(k)
			if floor.IsZero() {
				continue
			}
			doc, err := c.read(t, k, rediscluster.FromMaster)
			for err == nil && doc.Stamp.Less(floor) {
				if _, err = c.pull(t, k, floor, true); err == nil {
					break
				}
				again := c.w.now + int64(time.Second/time.Millisecond)
				t.wait("wait to reconcile again", func() bool { return c.w.now > again })
				doc, err = c.read(t, k, rediscluster.FromMaster)
			}
			if err != nil {
				c.seen--
				break
			}
		}
	}
}
