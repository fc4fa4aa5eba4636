package zookeeper

import (
	"bufio"
	"io"
	"net"
	"sync"
	"time"
)

// handshakeTimeout is how long a new connection may take to say who it is.
const handshakeTimeout = 10 * time.Second

// conn is one client connection. Its reader takes one request at a time, so requests are carried out and answered in order; its
// writer empties the outbox.
type conn struct {
	server *Server
	net    net.Conn
	out    *outbox
	who    []identity // only the reader uses it
	sess   *session   // set once under the server's lock, before the first request
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, net: nc, out: newOutbox(s.cfg.MaxOutstanding)}
	if host, _, err := net.SplitHostPort(nc.RemoteAddr().String()); err == nil {
		c.who = append(c.who, identity{scheme: "ip", id: host})
	}
	return c
}

// serve returns when the connection is closed and its writer has stopped.
func (c *conn) serve() {
	var writer sync.WaitGroup
	writer.Go(func() { c.out.write(c.net) })
	c.read()
	c.server.detach(c)
	_ = c.net.SetWriteDeadline(time.Now().Add(drainTimeout)) // for a write under way too; on failure that write fails
	c.out.end()
	writer.Wait()
	c.server.forget(c)
}

// read takes requests until the connection or the session ends. What it has put into the outbox is still written afterwards.
func (c *conn) read() {
	r := bufio.NewReaderSize(c.net, 4<<10)
	_ = c.net.SetReadDeadline(time.Now().Add(handshakeTimeout)) // on failure the read below fails as well
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return
	}
	if answer, ok := c.server.command(string(head[:])); ok {
		c.out.put([]byte(answer))
		return
	}
	frame, err := readBody(r, head, connectFrame)
	if err != nil {
		c.server.refused(c, err)
		return
	}
	d := &decoder{rest: frame}
	request := d.connectRequest()
	if d.err != nil || !c.server.connect(c, request) {
		return
	}
	_ = c.net.SetReadDeadline(time.Time{}) // from here on the session timeout closes a silent connection
	for {
		frame, err := readFrame(r, c.server.cfg.MaxFrame)
		if err != nil {
			if err != io.EOF {
				c.server.refused(c, err)
			}
			return
		}
		if !c.out.awaitRoom() || !c.server.handle(c, frame) {
			return
		}
	}
}

// notify puts a watch event into the outbox, or ends a connection that does not read its events; its client arms its watches again and
// misses nothing.
func (c *conn) notify(frame []byte) {
	if !c.out.putEvent(frame) {
		c.server.counts.slow.Add(1)
		c.drop()
	}
}

// drop ends the connection without a word; the session goes on. It does not block.
func (c *conn) drop() {
	c.out.kill()
	c.net.Close()
}
