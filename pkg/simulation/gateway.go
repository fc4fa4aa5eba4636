package simulation

import (
	"eshop/pkg/catalog"
	"eshop/pkg/coherence"
	"eshop/pkg/rediscluster"
)

// gateway is a process of that role. A page is one document here.
type gateway struct {
	*process
	*follower
	index [documents]*page // the newest copy of each document: what the bus is told to
	l1    [documents]*page // what requests find
}

// page is a copy in L1.
type page struct {
	doc        catalog.Document
	state      int // live, superseded or gone
	verified   int64
	generation uint64
	soft       int64
}

const (
	live = iota
	superseded
	gone
)

// boot begins a life with an empty memory.
func (g *gateway) boot() {
	g.start()
	g.index, g.l1 = [documents]*page{}, [documents]*page{}
	g.follower = g.follow(g.changed)
}

func (g *gateway) changed(inv catalog.Invalidation) {
	n := number(inv.Key)
	p := g.index[n]
	switch {
	case p == nil || !inv.Supersedes(p.doc.Stamp):
	case inv.State == catalog.Tombstone.String():
		g.bury(n)
	default:
		p.state = max(p.state, superseded)
	}
}

// bury ends all copies of a document.
func (g *gateway) bury(n int) {
	for _, p := range []*page{g.index[n], g.l1[n]} {
		if p != nil {
			p.state = gone
		}
	}
	g.index[n] = nil
}

// request is one of a browser: from L1, from the owner, or loaded here.
func (g *gateway) request(k catalog.Key) {
	came := g.w.now
	g.spawn("request for "+k.String(), func(t *task) {
		t.step("look into L1")
		if p := g.l1[number(k)]; p != nil && g.fresh(p) {
			g.serve(t, k, p.doc, false, came)
			return
		}
		if other := g.w.gateways[g.w.choices.below(gateways)]; other != g && !g.w.calmed && g.w.choices.chance(2) {
			if g.forward(t, k, other, came) {
				return
			}
		}
		p, marked, ok := g.document(t, k)
		if !ok {
			g.w.events.note("requests that could not be answered")
			return
		}
		g.serve(t, k, p.doc, marked, came)
	})
}

// forward asks the owner, once, and holds its answer against the floor.
func (g *gateway) forward(t *task, k catalog.Key, owner *gateway, came int64) bool {
	var p *page
	var marked, ok bool
	if !ask(t, owner.process, "request of a peer for "+k.String(), func(t *task) {
		if p = owner.l1[number(k)]; p != nil && owner.fresh(p) {
			ok = true
			return
		}
		p, marked, ok = owner.document(t, k)
	}) || !ok {
		return false
	}
	if p.doc.State != catalog.Absent && !g.admits(k, p.doc.Stamp) {
		g.w.events.note("answers of a peer that the floor refused")
		return false
	}
	g.w.events.note("pages served from a peer")
	g.serve(t, k, p.doc, marked, came)
	return true
}

// ask has another process do something and waits for it. false: no answer came.
func ask(t *task, other *process, what string, body func(*task)) bool {
	t.step("ask another process")
	if !other.up {
		return false
	}
	limit := t.p.w.now + loadTimeout
	done := false
	asked := other.spawn(what, func(t *task) { body(t); done = true })
	t.wait("wait for the answer", func() bool { return done || asked.over || t.p.w.now > limit })
	return done && t.p.w.now <= limit
}

// serve shows a copy to whoever asked.
func (g *gateway) serve(t *task, k catalog.Key, doc catalog.Document, marked bool, came int64) {
	t.say("shows %v %v %s, marked %v", doc.State, doc.Stamp, doc.Body, marked)
	g.w.check.shown(g, k, doc, marked, came)
}

// fresh reports whether a copy may be served without any look elsewhere.
func (g *gateway) fresh(p *page) bool {
	now := g.nanos()
	return p.state == live && now <= p.soft && g.trust().Vouches(now, p.generation, p.verified)
}

// least is the stamp below which a copy is of no use.
func (g *gateway) least(k catalog.Key) catalog.Stamp {
	low := g.of(k)
	if p := g.index[number(k)]; p != nil && p.state == live && low.Less(p.doc.Stamp) {
		return p.doc.Stamp
	}
	return low
}

// document returns a copy that may be shown: from L1, Redis or the cache role,
// else an older one of L1, marked.
func (g *gateway) document(t *task, k catalog.Key) (p *page, marked, ok bool) {
	for range 4 { // a change may overtake each
		if p := g.l1[number(k)]; p != nil && g.fresh(p) {
			return p, false, true
		}
		p, marked, again := g.round(t, k)
		switch {
		case again:
		case p != nil && (marked || p.state == live):
			return p, marked, true
		case p == nil:
			return g.older(k)
		}
		g.w.events.note("loads that a change overtook")
	}
	return g.older(k)
}

// older is what L1 has for want of a better copy.
func (g *gateway) older(k catalog.Key) (*page, bool, bool) {
	if p := g.l1[number(k)]; p != nil && p.state != gone && p.doc.State == catalog.Live {
		g.w.events.note("old copies that were shown, marked")
		return p, true, true
	}
	return nil, false, false
}

// round reads the document once.
func (g *gateway) round(t *task, k catalog.Key) (p *page, marked, again bool) {
	v := moment{g.nanos(), g.generation}
	from := rediscluster.FromReplica
	if g.trust().Distrusts(v.at, g.lastGap) {
		from = rediscluster.FromMaster
	}
	for {
		t.step("read Redis")
		doc, err := g.w.redis.read(k, from)
		t.say("finds %v %v %s in Redis (%v), %v", doc.State, doc.Stamp, doc.Body, from, err)
		if err != nil || doc.State == catalog.Absent {
			break
		}
		if !doc.Stamp.Less(g.least(k)) {
			p, ok := g.keep(t, doc, v, catalog.Stamp{})
			return p, false, !ok
		}
		g.w.events.note("copies in Redis that the floor refused")
		if from == rediscluster.FromMaster {
			break
		}
		from = rediscluster.FromMaster
	}
	return g.fromCache(t, k, v)
}

// fromCache asks the cache role for what Redis does not have.
func (g *gateway) fromCache(t *task, k catalog.Key, v moment) (p *page, marked, again bool) {
	c := g.w.caches[g.w.choices.below(caches)]
	min := g.least(k)
	var r reply
	var err error
	if !ask(t, c.process, "load of "+k.String(), func(t *task) { r, err = c.load(t, k, min) }) || err != nil {
		return nil, false, false
	}
	switch {
	case !r.stale && g.trust().TakesWord(g.nanos(), r.heap && r.doc.State != catalog.Absent):
		p, ok := g.keep(t, r.doc, v, min)
		return p, false, !ok
	case r.doc.State == catalog.Absent || r.doc.Stamp.Less(g.least(k)):
		return nil, false, false
	}
	return &page{doc: r.doc}, true, false
}

// keep stores a document in L1; false when a newer one is known.
func (g *gateway) keep(t *task, doc catalog.Document, v moment, asked catalog.Stamp) (*page, bool) {
	stamp := coherence.FloorStamp(doc, asked)
	if !g.admits(doc.Key, stamp) {
		g.w.events.note("fills of L1 that the floor refused")
		return nil, false
	}
	t.step("make the copy the newest")
	p := &page{doc: doc, verified: v.at, generation: v.generation, soft: v.at + softTTL*1e6}
	switch {
	case doc.State != catalog.Live:
		p.soft = v.at + negativeTTL*1e6
	case doc.Provisional:
		p.soft = v.at + provisionalTTL*1e6
	}
	n := number(doc.Key)
	if old := g.index[n]; old != nil {
		same := old.doc.State == doc.State && string(old.doc.Body) == string(doc.Body)
		switch coherence.Admit(old.state == live, old.doc.Stamp, same, doc) {
		case coherence.Renew:
			old.verified, old.generation, old.soft = p.verified, p.generation, p.soft
			p = old
		case coherence.Refuse:
			return nil, false
		case coherence.Replace:
			old.state = max(old.state, superseded)
		default:
			g.bury(n)
		}
	}
	g.index[n] = p
	t.step("look at the floor again")
	if !g.admits(doc.Key, stamp) {
		p.state = gone
		g.w.events.note("fills of L1 that the floor refused afterwards")
		return nil, false
	}
	t.step("put the copy into L1")
	g.l1[n] = p
	g.w.check.keeps(g, p)
	return p, true
}
