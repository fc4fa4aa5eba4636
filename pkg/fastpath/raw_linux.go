package fastpath

import (
	"io"
	"net"
	"syscall"
	"unsafe"
)

// Calls are made by RawSyscall, of which the scheduler knows nothing: sockets are
// non-blocking, so none waits, and to tell the scheduler that one might costs more
// than a look at a cache. On a process that is often idle, as one is between two
// requests, it even wakes the runtime's monitor each time, a fifth of all CPU.

// rawOf returns what to read and write a connection with directly: nil if it is
// not TCP itself.
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
//
// While it runs raw.Read keeps the descriptor from being closed and used for
// another connection, and nobody else writes: the server waits in Read.
func (c *conn) readRaw(fd uintptr) bool {
	c.fd = int(fd)
	defer func() { c.fd = -1 }()
	for {
		room := c.buf[c.filled:]
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(room))), uintptr(len(room)))
		switch {
		case errno == syscall.EAGAIN:
			return false
		case errno == syscall.EINTR:
			continue
		case errno != 0:
			return c.received(0, c.failed("read", errno))
		case n == 0:
			return c.received(0, io.EOF)
		}
		if c.received(int(n), nil) {
			return true
		}
		if int(n) < len(room) {
			return false
		}
	}
}

func (c *conn) failed(op string, errno syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.remote, Err: errno}
}

// vectors are what writev is given.
type vectors [maxParts]syscall.Iovec

// tryWrite writes as much of an answer as the socket takes without waiting, in
// one call.
func (c *conn) tryWrite(a *Answer) error {
	v := a.vectors[:len(a.out)]
	defer clear(v)
	for i, part := range a.out {
		v[i].Base = unsafe.SliceData(part)
		v[i].SetLen(len(part))
	}
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(c.fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)))
		switch errno {
		case 0:
			a.written(int(n))
			return nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return nil
		}
		return c.failed("write", errno)
	}
}
