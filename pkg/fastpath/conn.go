package fastpath

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a connection as the server sees it. All but Close is called by one
// goroutine at a time.
type conn struct {
	net.Conn
	raw      syscall.RawConn // of a TCP connection where its reads need not be tried in vain, else nil
	step     func(fd uintptr) bool
	fd       int       // within step, else -1
	tls      *tls.Conn // of a connection with TLS, which is Conn then, else nil
	shaken   bool      // its handshake was begun
	listener *Listener
	id       uint64
	remote   net.Addr

	// rest was read from the network but is not the server's yet, err came after it.
	rest []byte
	err  error
	// passing: everything is the server's from now on, since it is not known where
	// its next request begins.
	passing bool

	// Of the Read under way: its buffer, how much of it is filled, whether that is
	// the beginning of a request whose deadline is set, and the result.
	buf    []byte
	filled int
	begun  bool
	n      int
	fail   error

	readUntil, writeUntil time.Time // the deadlines in force
	looking               bool      // readUntil is a look before the end of the idle time
	idleUntil             time.Time // that end, if looking; zero: there is none
	now                   time.Time // of the last look at what was read

	// reading: the server waits in Read, so a Close comes from elsewhere; closing is
	// whether there was one meanwhile, or a Leave. answered is when a request was last
	// answered here, in Unix nanoseconds, served when the server last wrote something,
	// or else when the connection began.
	reading  atomic.Bool
	closing  atomic.Bool
	answered atomic.Int64
	served   atomic.Int64
	// sending: what the server was given last may be the beginning of something
	// longer, so a Close lingers.
	sending atomic.Bool
}

// Read answers what it can and returns what it cannot. Unless everything passes
// it returns one complete request at a time. So when it is called, the server has
// answered all it was given and written that: no answer overtakes another.
func (c *conn) Read(b []byte) (int, error) {
	if c.passing {
		c.sending.Store(false) // a Close while the server waits ends it at once
		n, err := c.pass(b)
		c.sending.Store(err == nil)
		return n, err
	}
	c.reading.Store(true)
	c.buf, c.filled, c.begun = b, c.takeRest(b), false
	if c.closing.Load() { // then leave has seen that reading was not set yet, or has done the same
		if err := c.hurry(); err != nil {
			c.reading.Store(false)
			return 0, err
		}
	}
	if c.filled == 0 || !c.handle() {
		c.wait()
	}
	c.buf = nil
	c.reading.Store(false)
	return c.n, c.fail
}

func (c *conn) pass(b []byte) (int, error) {
	switch {
	case len(c.rest) > 0:
		return c.takeRest(b), nil
	case c.err != nil:
		return 0, c.err
	}
	return c.Conn.Read(b)
}

func (c *conn) takeRest(b []byte) int {
	n := copy(b, c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
	}
	return n
}

// handOver leaves everything to the server from now on.
func (c *conn) handOver() {
	c.passing = true
	c.listener.forget(c)
}

// result ends the Read under way.
func (c *conn) result(n int, err error) bool {
	c.n, c.fail = n, err
	return true
}

// handle answers what is in the buffer and reports whether the Read under way has
// a result. If not, more has to be read, with the deadline that is set.
func (c *conn) handle() bool {
	for {
		used, size, v, err := c.answer(c.buf[:c.filled])
		if err != nil {
			// It could not be written, so nothing can be told to the client any more: the
			// server would answer any other error.
			c.handOver()
			c.err, c.rest = io.EOF, nil
			return c.result(0, io.EOF)
		}
		c.filled = copy(c.buf, c.buf[used:c.filled])
		switch {
		case size > 0:
			if size < c.filled {
				c.rest = append(bytes.Clone(c.buf[size:c.filled]), c.rest...)
			}
			return c.result(size, nil)
		case v == unusual, c.filled == len(c.buf):
			c.handOver()
			c.sending.Store(true)
			return c.result(c.filled, nil)
		}
		c.begun = c.begun && used == 0
		if len(c.rest) == 0 {
			break
		}
		c.filled += c.takeRest(c.buf[c.filled:]) // the buffer was too short for it
	}
	if err := c.await(); err != nil {
		return c.result(0, err)
	}
	return false
}

// received takes what a read of the network brought and reports whether the Read
// under way has a result.
func (c *conn) received(n int, err error) bool {
	c.filled += n
	switch {
	case err == nil:
		return c.handle()
	case c.filled == 0 && c.answered.Load() != 0:
		// The server may take this for a connection on which no request came, to be
		// told so; this is how one ends that had its answers.
		return c.result(0, io.EOF)
	case c.filled == 0:
		return c.result(0, err)
	}
	c.handOver()
	c.err = err
	return c.result(c.filled, nil)
}

// wait reads until there is a result.
func (c *conn) wait() {
	if c.raw == nil {
		for {
			if c.received(c.read(c.buf[c.filled:])) {
				return
			}
		}
	}
	for {
		err := c.raw.Read(c.step)
		switch {
		case err == nil:
			return // step had a result
		case c.looking && errors.Is(err, os.ErrDeadlineExceeded) && !c.closing.Load():
			// Time for a look (see await); Read begins with one.
			if err = c.SetReadDeadline(c.idleUntil); err == nil && c.closing.Load() {
				err = c.hurry() // Close may have set its deadline before this one
			}
			if err == nil {
				continue
			}
		}
		c.received(0, err)
		return
	}
}

// read is for a connection without raw.
func (c *conn) read(b []byte) (int, error) {
	if c.tls != nil {
		return c.readTLS(b)
	}
	return c.Conn.Read(b)
}

// answer answers the requests at the beginning of b, of used bytes in all, and
// writes the answers. Then comes one of size bytes that is the server's; or, with
// a size of 0, v says why no other one can be told from what is there.
func (c *conn) answer(b []byte) (used, size int, v verdict, err error) {
	l := c.listener
	w := l.work.Get().(*work)
	c.now = time.Now()
	w.answer.Now = c.now
	w.request.Conn, w.request.Remote = c.id, c.remote
	for used < len(b) {
		if size, v = w.request.parse(b[used:]); v != simple {
			size = 0
			break
		}
		if l.draining.Load() || c.closing.Load() || !l.cfg.Answer(&w.request, w.answer) {
			break
		}
		used, size = used+size, 0
		if w.answer.full() {
			if err = c.flush(w.answer); err != nil {
				break
			}
			// It may have had to wait: what was fresh then may not be fresh now.
			c.now = time.Now()
			w.answer.Now = c.now
		}
	}
	if err == nil && used > 0 {
		err = c.flush(w.answer)
		c.answered.Store(c.now.UnixNano())
	}
	w.answer.Reset()
	w.request = Request{}
	l.work.Put(w)
	return used, size, v, err
}

// flush writes answers. Only if that has to wait there is a deadline, which is
// moved only when it is too near.
func (c *conn) flush(a *Answer) error {
	if len(a.parts) == 0 { // all of them went out when the last one filled it
		return nil
	}
	defer a.Reset()
	a.out = a.parts
	if c.fd >= 0 {
		if err := c.tryWrite(a); err != nil || len(a.out) == 0 {
			return err
		}
	}
	if limit := c.listener.cfg.WriteTimeout; limit > 0 {
		if until := c.now.Add(limit); until.Sub(c.writeUntil) > slack(limit) {
			if err := c.SetWriteDeadline(until); err != nil {
				return err
			}
		}
	}
	var err error
	if c.tls != nil {
		err = a.writeRecords(c.tls)
	} else {
		_, err = a.out.WriteTo(c.Conn)
	}
	c.now = time.Now()
	return err
}

// slack is by how much a deadline may be early.
func slack(limit time.Duration) time.Duration { return min(time.Second, limit/64) }

// lookAfter is how long a connection is idle before the first look at it.
const lookAfter = time.Second

// await sets the deadline of the next read: for the rest of a request of which
// some bytes are there, which is set once, or for the next request after those
// that were answered here. The server's stands where there were none.
//
// Where raw is used, a connection that is idle is looked at once more after a
// second: the client may have closed its side in the same moment in which it sent
// the last request, of which the network tells just once.
func (c *conn) await() error {
	before, cfg := c.begun, &c.listener.cfg
	c.begun = c.filled > 0
	var until time.Time
	switch {
	case c.begun && !before:
		if cfg.ReadTimeout > 0 {
			until = c.now.Add(cfg.ReadTimeout)
		}
		if err := c.SetReadDeadline(until); err != nil {
			return err
		}
	case !c.begun && c.answered.Load() != 0:
		limit := cfg.IdleTimeout
		if limit > 0 {
			until = c.now.Add(limit)
		}
		var idle time.Time
		looking, least := false, slack(limit)
		if c.raw != nil && (limit == 0 || limit > 2*lookAfter) {
			looking, idle, least = true, until, lookAfter
			until = c.now.Add(2 * lookAfter)
		}
		if off := until.Sub(c.readUntil); off < 0 || off > least {
			if err := c.SetReadDeadline(until); err != nil {
				return err
			}
		}
		c.looking, c.idleUntil = looking, idle
	}
	if c.closing.Load() { // Close may have set its deadline before this one
		return c.hurry()
	}
	return nil
}

// grace is how long a connection is kept for another request after its last answer,
// or its beginning, when it should close: the client of a connection that is not
// idle may have sent one already, and would have to take its connection's end for a
// failure.
const grace = 5 * time.Second

// Close closes the connection. While the server waits in Read, as it does all
// the time from which it could not tell that requests are being answered, it
// comes from a shutdown that takes the connection for idle. Then the next request
// is left to the server, which says in its answer that the connection closes, and
// the wait for one is cut short.
func (c *conn) Close() error {
	if !c.reading.Load() {
		c.listener.forget(c)
		if c.sending.Swap(false) {
			c.linger()
		}
		return c.Conn.Close()
	}
	return c.leave()
}

// leave has a connection end once it was idle for a while, now or from the next Read on.
func (c *conn) leave() error {
	c.closing.Store(true)
	if !c.reading.Load() {
		return nil
	}
	return c.hurry()
}

func (c *conn) hurry() error {
	return c.Conn.SetReadDeadline(time.Unix(0, max(c.answered.Load(), c.served.Load())).Add(grace))
}

// Write is for the server.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.served.Store(time.Now().UnixNano())
	return n, err
}

func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.readUntil, c.looking, c.idleUntil = t, false, time.Time{}
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeUntil = t
	return c.Conn.SetWriteDeadline(t)
}

// SetLinger is that of a TCP connection.
func (c *conn) SetLinger(seconds int) error {
	inner := c.Conn
	if c.tls != nil {
		inner = c.tls.NetConn()
	}
	if tcp, ok := inner.(*net.TCPConn); ok {
		return tcp.SetLinger(seconds)
	}
	return nil
}
