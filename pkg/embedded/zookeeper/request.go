package zookeeper

import "slices"

// handle carries out one request and puts its answer into the outbox before the lock is let go: that is what orders answers and
// watch events. False: the connection is to be closed, after what is in the outbox.
func (s *Server) handle(c *conn, frame []byte) bool {
	d := &decoder{rest: frame}
	xid, op := d.int32(), d.int32()
	if d.err != nil {
		return false
	}
	s.counts.received.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || c.sess.conn != c {
		return false // expired, or taken over by a later connection: nothing may be done in its name
	}
	c.sess.heard.Store(s.clock.Load())
	switch op {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL, opDelete, opSetData, opSetACL, opCheck, opMulti:
		return s.write(c, xid, op, d)
	case opCloseSession:
		if err := s.endSession(c.sess); err != nil {
			s.log.Error("a session could not be closed", "session", c.sess.id, "error", err)
			return false
		}
		s.reply(c, xid, codeOK, nil)
		c.sess.conn = nil
		return false
	case opSetAuth:
		return s.authenticate(c, xid, d)
	}
	if op == opPing {
		xid = pingXid // whatever the client sent
	}
	body, code := s.read(c, op, d)
	if d.err != nil {
		body, code = nil, codeMarshalling
	}
	if code == codeUnimplemented {
		s.replyAt(c, xid, -1, code, nil)
		return false
	}
	s.reply(c, xid, code, body)
	return true
}

// reply puts an answer with the zxid of the last transaction; body is written only when there is no error.
func (s *Server) reply(c *conn, xid int32, code errorCode, body func(*encoder)) {
	s.replyAt(c, xid, s.zxid, code, body)
}

func (s *Server) replyAt(c *conn, xid int32, zxid int64, code errorCode, body func(*encoder)) {
	e := newFrame(xid, zxid, code)
	if code == codeOK && body != nil {
		body(e)
	}
	s.counts.sent.Add(1)
	c.out.put(e.finish())
}

// authenticate records a digest. Any other scheme that is not proved by the connection itself fails and closes it. The answer has no zxid, as
// the real server's.
func (s *Server) authenticate(c *conn, xid int32, d *decoder) bool {
	d.int32() // type, always 0
	scheme, credentials := d.string(), d.buffer()
	code := codeAuthFailed
	if d.err == nil {
		switch scheme {
		case "digest":
			if who := digestIdentity(credentials); slices.Contains(c.who, who) {
				code = codeOK
			} else if len(c.who) < maxIdentities {
				c.who = append(c.who, who)
				code = codeOK
			}
		case "ip", "world":
			code = codeOK
		}
	}
	s.replyAt(c, xid, 0, code, nil)
	return code == codeOK
}

// maxIdentities bounds the digests of one connection.
const maxIdentities = 64

// write carries out a request that takes a zxid.
func (s *Server) write(c *conn, xid, op int32, d *decoder) bool {
	x, err := s.begin(c.sess.id, c.who)
	if err != nil {
		s.log.Error("a write was refused", "error", err)
		return false
	}
	var n *node
	var code errorCode
	var body func(*encoder)
	switch op {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL:
		if r := d.createRequest(op); d.err == nil {
			n, code = x.create(op, r)
		}
		body = func(e *encoder) {
			e.string(n.path)
			if op != opCreate {
				e.stat(n.stat())
			}
		}
	case opDelete:
		if r := d.pathVersion(); d.err == nil {
			code = x.delete(r)
		}
	case opCheck:
		if r := d.pathVersion(); d.err == nil {
			code = x.check(r)
		}
	case opSetData:
		if r := d.setDataRequest(); d.err == nil {
			n, code = x.setData(r)
		}
		body = func(e *encoder) { e.stat(n.stat()) }
	case opSetACL:
		if r := d.setACLRequest(); d.err == nil {
			n, code = x.setACL(r)
		}
		body = func(e *encoder) { e.stat(n.stat()) }
	case opMulti:
		ops, unknown := d.multiRequest()
		if d.err == nil && !unknown {
			results := x.multi(ops)
			body = func(e *encoder) { e.multiResults(results) }
		}
		if unknown {
			code = codeMarshalling
		}
	}
	if d.err != nil {
		code = codeMarshalling
	}
	// Events before the answer: the writer hears of its own change first, and nobody can read it before.
	s.commit(x)
	s.reply(c, xid, code, body)
	return true
}
