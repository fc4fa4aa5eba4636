package fastpath

import (
	"io"
	"net"
	"syscall"
)

// rawOf returns what to read a connection with without trying in vain: nil if it
// is not TCP itself.
func rawOf(c net.Conn) syscall.RawConn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readRaw is the function for raw.Read: it reads what is there and handles it
// until there is a result, or until nothing more is there to be read.
//
// net.Conn.Read asks the kernel first and waits when that has nothing, so each
// request costs a call that brings nothing. A read that brings less than there was
// room for has emptied the socket, though (epoll(7), question 9), and what comes
// later wakes the goroutine however soon it comes: the poller's memory of that is
// cleared when raw.Read begins, not between two calls of this function.
func (c *conn) readRaw(fd uintptr) bool {
	for {
		room := c.buf[c.filled:]
		n, err := syscall.Read(int(fd), room)
		switch {
		case err == syscall.EAGAIN:
			return false
		case err == syscall.EINTR:
			continue
		case err != nil:
			return c.received(0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.remote, Err: err})
		case n == 0:
			return c.received(0, io.EOF)
		}
		if c.received(n, nil) {
			return true
		}
		if n < len(room) {
			return false
		}
	}
}
