package zookeeper

import (
	"bufio"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// restoreLimit is how long answers are held back for the library to restore
// its watches.
const restoreLimit = 300 * time.Millisecond

const opSetWatches = 101

// wire is a connection to a server that makes up for four things the client
// library leaves open.
//
// The library waits ten times its read timeout for the handshake's answer. A
// stopped server, whose kernel still accepts, would hold it that long: the
// connection is closed when the answer takes longer than the limit.
//
// It does not tell which session timeout the server granted: the handshake's
// answer is read along.
//
// After a reconnect it restores its watches relative to the newest zxid it has
// seen, and reads that number beside the goroutine that takes in answers, whose
// zxids change it: a change between the two is then never told, and the race
// detector objects. On a reconnect, answers that carry a zxid are held back
// until the request that restores the watches has been written. The link always
// has one watch, so there always is such a request.
//
// A failed write makes it report the failure to a request up to three times, to
// a channel with room for two, and block for ever. A write here does not fail:
// it closes the connection, which is then reported once, by the reader.
type wire struct {
	net.Conn
	limit    *time.Timer
	timeout  atomic.Int64 // session timeout granted, ms
	setting  func(*wire)  // called when a request that restores watches was written
	waited   func() bool  // called when there was none for too long; false: close
	refused  func(error)  // called when the connection ended before the handshake's answer
	restored chan struct{}
	restore  sync.Once
	closed   chan struct{}
	close    sync.Once

	// For Read, which one goroutine calls at a time.
	buffer  *bufio.Reader
	greeted bool // the handshake's answer has begun
	rest    int  // bytes left of the present frame
}

func newWire(conn net.Conn, handshake time.Duration) *wire {
	w := &wire{
		Conn:     conn,
		limit:    time.AfterFunc(handshake, func() { conn.Close() }),
		restored: make(chan struct{}),
		closed:   make(chan struct{}),
		buffer:   bufio.NewReader(conn),
		setting:  (*wire).pass,
		waited:   func() bool { return true },
		refused:  func(error) {},
	}
	return w
}

// pass lets answers through from now on.
func (w *wire) pass() { w.restore.Do(func() { close(w.restored) }) }

// established ends the limit of the handshake and returns the session timeout
// granted.
func (w *wire) established() time.Duration {
	w.limit.Stop()
	return time.Duration(w.timeout.Load()) * time.Millisecond
}

func (w *wire) Read(p []byte) (int, error) {
	if w.rest == 0 {
		// length, then xid and zxid, or protocol version and timeout
		head, err := w.buffer.Peek(16)
		if err != nil {
			if !w.greeted {
				w.refused(err)
			}
			return 0, err
		}
		w.rest = 4 + int(binary.BigEndian.Uint32(head))
		if !w.greeted {
			w.greeted = true
			w.timeout.Store(int64(binary.BigEndian.Uint32(head[8:])))
		} else if int32(binary.BigEndian.Uint32(head[4:])) >= 0 && int64(binary.BigEndian.Uint64(head[8:])) > 0 {
			if err := w.awaitRestored(); err != nil {
				w.rest = 0
				return 0, err
			}
		}
	}
	n, err := w.buffer.Read(p[:min(len(p), w.rest)])
	w.rest -= n
	return n, err
}

func (w *wire) awaitRestored() error {
	select {
	case <-w.restored:
		return nil
	default:
	}
	timer := time.NewTimer(restoreLimit)
	defer timer.Stop()
	select {
	case <-w.restored:
	case <-w.closed:
		return net.ErrClosed
	case <-timer.C:
		if !w.waited() {
			w.Close()
			return net.ErrClosed
		}
		w.pass()
	}
	return nil
}

// Write gets whole frames from the library: length, xid, operation.
func (w *wire) Write(p []byte) (int, error) {
	if _, err := w.Conn.Write(p); err != nil {
		w.Close()
	} else if len(p) >= 12 && binary.BigEndian.Uint32(p[8:]) == opSetWatches {
		w.setting(w)
	}
	return len(p), nil
}

func (w *wire) Close() error {
	w.limit.Stop()
	w.close.Do(func() { close(w.closed) })
	return w.Conn.Close()
}
