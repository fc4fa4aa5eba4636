package simulation

import (
	"fmt"
	"slices"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/zookeeper"
)

// ensemble is ZooKeeper: one order of all that is done.
type ensemble struct {
	w        *world
	zxid     int64
	down     bool
	queues   [documents][]string // the nodes of each key's lock
	sessions []*session
}

// session is one process's.
type session struct {
	p       *process
	term    zookeeper.Term // what the process believes
	heard   int64          // when the servers heard of it last, ms
	expired bool           // the servers have given it up
	tickets []*ticket
}

// ticket is a place in the queue of a lock.
type ticket struct {
	s     *session
	key   catalog.Key
	node  string
	token int64
	held  bool // the lock was granted
	over  bool
}

func (e *ensemble) reaches(p *process) bool { return !e.down && !p.offLock }

// attach gives a process a session.
func (e *ensemble) attach(p *process) *session {
	s := &session{p: p, heard: e.w.now}
	s.term.Renew(p.clock(), sessionTimeout*time.Millisecond)
	e.sessions = append(e.sessions, s)
	return s
}

// beat is a heartbeat that was answered. false: the servers know no such session.
func (e *ensemble) beat(s *session) bool {
	if s.expired {
		return false
	}
	s.heard = e.w.now
	s.term.Renew(s.p.clock(), sessionTimeout*time.Millisecond)
	return true
}

// expire ends the sessions that have been silent for too long.
func (e *ensemble) expire() {
	for _, s := range e.sessions {
		if !s.expired && e.w.now-s.heard >= sessionTimeout {
			e.drop(s)
			if s.p.up && s.p.paused {
				e.w.events.note("sessions that expired while their process was stopped")
			}
		}
	}
	e.sessions = slices.DeleteFunc(e.sessions, func(s *session) bool { return s.expired })
}

// drop removes a session and its nodes.
func (e *ensemble) drop(s *session) {
	s.expired = true
	for _, t := range s.tickets {
		e.remove(t)
	}
}

func (e *ensemble) remove(t *ticket) {
	q := &e.queues[number(t.key)]
	*q = slices.DeleteFunc(*q, func(node string) bool { return node == t.node })
}

// enqueue makes a lock node, whose zxid is the token.
func (e *ensemble) enqueue(s *session, k catalog.Key) *ticket {
	e.zxid++
	t := &ticket{s: s, key: k, token: e.zxid, node: zookeeper.LockNode(fmt.Sprintf("%s-%d", k.Kind, k.ID), fmt.Sprintf("%032x", e.zxid), int32(e.zxid))}
	if e.w.cfg.Wiring.ConstantToken {
		t.token = 1
	}
	e.queues[number(k)] = append(e.queues[number(k)], t.node)
	s.tickets = append(s.tickets, t)
	return t
}

// first reports whether nobody is before the ticket in its queue.
func (e *ensemble) first(t *ticket) bool {
	_, exists, listed := zookeeper.Predecessor(e.queues[number(t.key)], t.node)
	return listed && !exists
}

// lost reports whether the holder must take the ticket for lost.
func (t *ticket) lost() bool {
	return t.s.expired && t.s.p.w.zk.reaches(t.s.p) || t.s.term.Over(t.s.p.clock())
}

// release gives the place up.
func (t *ticket) release() {
	if t.over {
		return
	}
	t.over = true
	t.s.tickets = slices.DeleteFunc(t.s.tickets, func(other *ticket) bool { return other == t })
	t.s.p.w.zk.remove(t) // it would take some time; a longer queue harms nobody
}
