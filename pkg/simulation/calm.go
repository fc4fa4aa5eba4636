package simulation

import (
	"slices"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// calm ends the hostilities, lets everything finish, has every gateway asked for
// every document, and compares all copies with the origin.
func (w *world) calm() {
	w.calmed = true
	w.say("the adversary stops")
	w.redis.down, w.feed.down, w.zk.down, w.origin.down = false, false, false, false
	for i := range caches + gateways {
		p := w.member(i)
		p.offBus, p.offLock = false, false
		w.resume(p)
		w.restart(p)
	}
	w.pass(sessionTimeout)
	w.zk.expire()
	w.feed.assign()
	w.settle(maxStaleness)
	w.ask()
	w.ask() // the first may have repaired, and then announced, what another had shown
	if w.violation != "" {
		return
	}
	w.compare()
}

// member is the i-th process of the fleet.
func (w *world) member(i int) *process {
	if i < caches {
		return w.caches[i].process
	}
	return w.gateways[i-caches].process
}

// settle lets all go on, in turn, until nothing is left to be done and heartbeats
// have been heard: for so long at most.
func (w *world) settle(ms int64) {
	heard := w.now + 3*heartbeat
	for end := w.now + ms; w.now < end && w.violation == ""; {
		w.now += 500
		for ready := w.ready(); len(ready) > 0 && w.violation == ""; ready = w.ready() {
			for _, t := range ready {
				if !t.over && (t.until == nil || t.until()) {
					t.run()
				}
			}
		}
		for w.redis.done < len(w.redis.master.log) {
			w.redis.replicate()
		}
		w.zk.expire()
		if w.now >= heard && !slices.ContainsFunc(w.tasks, func(t *task) bool { return !t.background && !t.over }) {
			return
		}
	}
	for _, t := range w.tasks {
		if !t.background && !t.over {
			t.say("has not come to an end: %s", t.doing)
		}
	}
}

// ask has every gateway asked for every document.
func (w *world) ask() {
	for _, g := range w.gateways {
		for _, k := range w.origin.keys {
			g.request(k)
		}
	}
	w.settle(maxStaleness)
}

// compare: every copy that would be used is the origin's document.
func (w *world) compare() {
	for i, committed := range w.feed.committed {
		if committed != w.changes[i].end() {
			w.violate(4, "after quiet %d change messages of partition %d are not committed", w.changes[i].end()-committed, i)
		}
	}
	for _, k := range w.origin.keys {
		doc, _ := rediscluster.ParseHash(k, w.redis.master.read(name(k)))
		w.compareOne(k, doc, "Redis")
		for _, c := range w.caches {
			if e := c.heap[number(k)]; e != nil && c.usable(e, catalog.Stamp{}) {
				w.compareOne(k, e.doc, "the heap of "+c.name)
			}
		}
		for _, g := range w.gateways {
			p := g.l1[number(k)]
			if p != nil && g.fresh(p) {
				w.compareOne(k, p.doc, "L1 of "+g.name)
			} else if w.origin.now(k).state == catalog.Live {
				w.violate(8, "after quiet %s has no usable copy of %v", g.name, k)
			}
		}
	}
}

func (w *world) compareOne(k catalog.Key, doc catalog.Document, where string) {
	truth := w.origin.now(k)
	if doc.State == catalog.Live != (truth.state == catalog.Live) && (doc.State != catalog.Absent || where != "Redis") ||
		doc.State == catalog.Live && string(doc.Body) != truth.body {
		w.violate(2, "after quiet %s has %v %v %v %s, the origin %v %s", where, k, doc.State, doc.Stamp, doc.Body, truth.state, truth.body)
	}
}
