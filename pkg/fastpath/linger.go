package fastpath

import (
	"io"
	"net"
	"time"
)

// lingerBytes is how much of what a client still sends is taken to be thrown away.
const lingerBytes = 1 << 20

// linger waits for the client to take the last answer, before the connection is
// closed: for its end of the connection, or for Config.Linger. A server that refuses
// a request (413, 431) has not read all of it. The kernel resets a connection that is
// closed with bytes unread, or to which more are sent; and a client that is told so
// may never see the answer (RFC 9112, 9.6).
func (c *conn) linger() {
	inner := c.Conn
	if c.tls != nil {
		if c.tls.CloseWrite() != nil {
			return
		}
		inner = c.tls.NetConn() // what comes need not be decrypted
	}
	tcp, ok := inner.(*net.TCPConn)
	if !ok || tcp.CloseWrite() != nil || tcp.SetReadDeadline(time.Now().Add(c.listener.cfg.Linger)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, tcp, lingerBytes) // whatever it ends by, the connection is closed next
}
