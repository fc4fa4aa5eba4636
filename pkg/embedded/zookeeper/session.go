package zookeeper

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"sync/atomic"
	"time"
)

const passwordBytes = 16

// session is a client's claim on its ephemeral nodes. It outlives connections and ends by closeSession or by silence.
type session struct {
	id       int64
	password []byte
	timeout  time.Duration
	conn     *conn        // nil while disconnected; guarded by the server's lock
	heard    atomic.Int64 // server clock at the last frame from the client
}

// connect carries out a connect request and puts the answer into the outbox. False: the connection is to be closed, after what is in
// the outbox.
func (s *Server) connect(c *conn, r connectRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if r.lastZxid > s.zxid {
		// The client has seen a later state than this server has: another server's. Answering would let it read the past.
		s.log.Warn("a client that has seen a later zxid was turned away", "seen", r.lastZxid, "zxid", s.zxid)
		return false
	}
	timeout := min(max(time.Duration(r.timeoutMs)*time.Millisecond, s.cfg.MinSessionTimeout), s.cfg.MaxSessionTimeout)
	var sess *session
	if r.session == 0 {
		if len(s.sessions) >= s.cfg.MaxSessions {
			s.counts.refusedSessions.Add(1)
			return false
		}
		zxid, err := s.nextZxid()
		if err != nil {
			s.log.Error("no zxid for a new session", "error", err)
			return false
		}
		sess = s.newSession()
		s.sessions[sess.id] = sess
		s.zxid = zxid
	} else {
		sess = s.sessions[r.session]
		if sess == nil || subtle.ConstantTimeCompare(sess.password, r.password) != 1 {
			c.out.put(connectFrameFor(0, 0, make([]byte, passwordBytes), r.hasFlag))
			return false
		}
		if sess.conn != nil {
			sess.conn.drop()
			s.watches.forget(sess.conn)
		}
	}
	sess.timeout = timeout
	sess.conn = c
	sess.heard.Store(s.clock.Load())
	c.sess = sess
	c.out.put(connectFrameFor(timeout, sess.id, sess.password, r.hasFlag))
	return true
}

// newSession draws an id nobody can guess; the top byte stays zero, so it is positive.
func (s *Server) newSession() *session {
	for {
		var b [8 + passwordBytes]byte
		rand.Read(b[:]) // never fails
		id := int64(binary.BigEndian.Uint64(b[:8]) >> 8)
		if id != 0 && s.sessions[id] == nil {
			return &session{id: id, password: b[8:]}
		}
	}
}

// connectFrameFor is the answer to a connect request. It has no reply header; session 0 says that the session is expired.
func connectFrameFor(timeout time.Duration, session int64, password []byte, hasFlag bool) []byte {
	e := &encoder{b: make([]byte, 4, 64)}
	e.int32(0)
	e.int32(int32(timeout / time.Millisecond))
	e.int64(session)
	e.buffer(password)
	if hasFlag {
		e.bool(false)
	}
	return e.finish()
}

// detach is called when a connection's reader has stopped: it takes no more requests and hears of no more events.
func (s *Server) detach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches.forget(c)
	if c.sess != nil && c.sess.conn == c {
		c.sess.conn = nil
	}
}

// forget is called when the writer has stopped too. Until then Close and DropConnections can reach the connection.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// endSession removes a session with its ephemeral nodes and fires the watches on them. The caller holds the lock.
func (s *Server) endSession(sess *session) error {
	x, err := s.begin(sess.id, nil)
	if err != nil {
		return err
	}
	x.endSession(sess.id)
	delete(s.sessions, sess.id)
	s.commit(x)
	return nil
}

// creditedTime is how far the server's clock advances when a tick comes so late: by two ticks at most. A process that was paused or
// starved, or a laptop that slept, so expires nobody who had no chance to be heard.
func creditedTime(elapsed, tick time.Duration) time.Duration { return min(elapsed, 2*tick) }

// expireSilent ends the sessions that were not heard of for their timeout, by the server's clock. A tick is added because that clock may have been
// behind by as much when the session was heard: nobody is expired too early, and at most two ticks late.
func (s *Server) expireSilent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Load()
	for _, sess := range s.sessions {
		if time.Duration(now-sess.heard.Load()) > sess.timeout+s.cfg.TickTime {
			s.expire(sess)
		}
	}
}

func (s *Server) expire(sess *session) bool {
	if err := s.endSession(sess); err != nil {
		s.log.Error("a session could not be expired and is tried again", "session", sess.id, "error", err)
		return false
	}
	s.counts.expired.Add(1)
	if sess.conn != nil {
		sess.conn.drop()
		s.watches.forget(sess.conn)
		sess.conn = nil
	}
	return true
}

// ExpireSession ends a session at once, as if its client had been silent for too long. False: there is no such session.
func (s *Server) ExpireSession(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.sessions[id]
	return sess != nil && s.expire(sess)
}

// DropConnections closes every client connection without ending a session and returns how many there were.
func (s *Server) DropConnections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.drop()
	}
	return len(s.conns)
}

// Sessions returns the ids of the live sessions, connected or not, in no order.
func (s *Server) Sessions() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]int64, 0, len(s.sessions))
	for id := range s.sessions {
		ids = append(ids, id)
	}
	return ids
}
