package simulation

import (
	"errors"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

// redis is the slots of all keys: a master and a replica that follows it.
type redis struct {
	w       *world
	master  *store
	replica *store
	done    int     // how much of the master's log the replica has applied
	times   []int64 // when each entry of the log was made
	down    bool
	changed int // counts failovers, as OnTopologyChange tells
}

var errAway = errors.New("away")

func (r *redis) start() { r.master, r.replica = &store{}, &store{} }

func name(k catalog.Key) string { return "product_info_" + string(rune('0'+k.ID)) }

// replicate passes on one entry of the log.
func (r *redis) replicate() {
	if r.done < len(r.master.log) {
		r.replica.apply(r.master.log[r.done])
		r.done++
	}
}

// catchUp passes on what is older than a replica may lag.
func (r *redis) catchUp() {
	for r.done < len(r.master.log) && r.w.now-r.times[r.done] > maxLag {
		r.replicate()
	}
}

// read is HMGET on a node.
func (r *redis) read(k catalog.Key, from rediscluster.From) (catalog.Document, error) {
	if r.down {
		return catalog.Document{Key: k}, errAway
	}
	r.catchUp()
	s := r.master
	if from == rediscluster.FromReplica {
		doc, err := rediscluster.ParseHash(k, r.replica.read(name(k)))
		if err != nil || doc.State != catalog.Absent {
			if r.done < len(r.master.log) {
				r.w.events.note("reads of a replica that lags")
			}
			return doc, err
		}
	}
	return rediscluster.ParseHash(k, s.read(name(k)))
}

// write runs the compare-and-set on the master. An error with done: it was carried
// out and the answer got lost.
func (r *redis) write(op rediscluster.Op, doc catalog.Document) (rediscluster.Outcome, error) {
	if r.down {
		return rediscluster.Outcome{}, errAway
	}
	before, _ := rediscluster.ParseHash(doc.Key, r.master.read(name(doc.Key)))
	answer, err := r.eval(op, doc)
	if err != nil {
		panic(err)
	}
	out, _, err := rediscluster.ParseOutcome(answer)
	if err != nil {
		panic(err)
	}
	for len(r.times) < len(r.master.log) {
		r.times = append(r.times, r.w.now)
	}
	r.w.check.wrote(before, doc, out)
	if r.w.choices.chance(25) && !r.w.calmed {
		r.w.events.note("writes whose answer was lost")
		if r.w.choices.chance(2) {
			return rediscluster.Outcome{}, errAway
		}
		// The client sends it again, within the call.
		if answer, err = r.eval(op, doc); err != nil {
			panic(err)
		}
		if out, _, err = rediscluster.ParseOutcome(answer); err != nil {
			panic(err)
		}
		out, _ = out.AfterLostAnswer(rediscluster.WriteRequest{Op: op, Document: doc})
		for len(r.times) < len(r.master.log) {
			r.times = append(r.times, r.w.now)
		}
	}
	if n := len(r.master.log); out.Accepted && n > 0 {
		r.master.log[n-1].acked = true
	}
	return out, nil
}

func (r *redis) eval(op rediscluster.Op, doc catalog.Document) ([]string, error) {
	if r.w.cfg.Wiring.PlainSet {
		r.master.drop(name(doc.Key))
	}
	return r.w.script.run(r.master, name(doc.Key), rediscluster.Arguments(rediscluster.WriteRequest{Op: op, Document: doc}, time.Hour))
}

// failover makes the replica the master. What it had not applied is lost.
func (r *redis) failover() {
	r.catchUp()
	for i := range r.master.log[r.done:] {
		if c := r.master.log[r.done+i]; c.acked && c.held {
			r.w.events.note("failovers that lost an acknowledged write")
			r.w.check.lost(c.key)
		}
	}
	r.master = r.replica
	r.replica, r.master.log, r.times, r.done = r.master.clone(), nil, nil, 0
	r.changed++
	r.w.check.replaced()
}

// evict removes a key, as a full node does.
func (r *redis) evict(k catalog.Key) {
	r.master.drop(name(k))
	for len(r.times) < len(r.master.log) {
		r.times = append(r.times, r.w.now)
	}
}
