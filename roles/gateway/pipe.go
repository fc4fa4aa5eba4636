package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// pipe is a connection to a peer on which requests follow each other without
// waiting for the answers (RFC 9112, 9.3.2). Under load many of them share a
// system call at either end, which is most of what a hop costs. Answers come in
// the order of the requests, so nothing may be asked that the peer would have to
// wait for: every request is only-if-cached (RFC 9111, 5.2.1.7).
//
// A pipe that is not connected refuses and connects behind it: nobody waits for
// that.
type pipe struct {
	addr string
	dial dial

	mu       sync.Mutex
	conn     net.Conn // nil: not connected
	dialing  bool
	closed   bool
	retry    time.Time     // it is not dialed before
	out      []byte        // requests to be written
	spare    []byte        // what out was before, empty
	flushing bool          // somebody writes, or is about to, and will write what is in out
	timeout  time.Duration // of who asked last
	deadline time.Time     // for the next answer, if one is waited for
	// asked are the requests without an answer, in their order. They get in under
	// mu, before they are written; there is room for as many as may be under way to
	// the peer. The goroutine of run takes them out; whoever puts one in an empty
	// pipe sets the deadline for the answer.
	asked chan *question
}

// question is a request on a pipe, and its answer.
type question struct {
	timeout time.Duration
	at      time.Time
	header  fasthttp.ResponseHeader
	body    []byte // used again for the next answer
	err     error
	done    chan struct{} // gets one value, and has room for it
}

var errPipeClosed = errors.New("there is no connection to the peer")

const (
	pipeBuffer = 64 << 10 // of the reader, in bytes: some pages of 10 KiB
	pipePause  = time.Second
	// peerBuffer is the writer's of each connection of the peer listener, those of
	// requests that may wait among them, so it is kept smaller.
	peerBuffer = 32 << 10
)

func newPipe(addr string, calls int, dial dial) *pipe {
	return &pipe{addr: addr, dial: dial, asked: make(chan *question, calls)}
}

// ask sends what request appends to its argument and waits for the answer, for
// the question's timeout, or twice that behind others.
func (p *pipe) ask(ctx context.Context, q *question, work *sync.WaitGroup, request func([]byte) []byte) error {
	q.at = time.Now()
	p.mu.Lock()
	if p.conn == nil {
		defer p.mu.Unlock()
		if !p.dialing && !p.closed && q.at.After(p.retry) && ctx.Err() == nil {
			p.dialing = true
			work.Go(func() { p.run(ctx) })
		}
		return errPipeClosed
	}
	p.timeout = q.timeout
	others := len(p.asked)
	p.asked <- q // there is room: the peer has no more requests under way
	if others == 0 {
		p.extend(q.at)
	}
	p.out = request(p.out)
	flush := !p.flushing
	p.flushing = true
	p.mu.Unlock()
	if flush {
		if others > 0 {
			// Where others wait for answers there are more requests to come, from
			// goroutines that are ready to run: they go first, and what they ask goes
			// with this one.
			runtime.Gosched()
		}
		p.flush(work)
	}
	<-q.done // by run: answered, or failed with the connection
	return q.err
}

// flush writes what there is. What is asked meanwhile another goroutine writes, so
// that no request waits for those of others when its own answer is there.
func (p *pipe) flush(work *sync.WaitGroup) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && len(p.out) > 0 {
		conn, out := p.conn, p.out
		p.out, p.spare = p.spare[:0], nil
		p.mu.Unlock()
		if _, err := conn.Write(out); err != nil {
			conn.Close() // run sees it and tells everybody
		}
		p.mu.Lock()
		p.spare = out[:0]
	}
	if p.flushing = p.conn != nil && len(p.out) > 0; p.flushing {
		work.Go(func() { p.flush(work) })
	}
}

// run connects, reads answers until the connection fails or ctx ends, and fails
// what is left then.
func (p *pipe) run(ctx context.Context) {
	conn, err := p.dial(ctx, p.addr, dialTimeout)
	p.mu.Lock()
	p.dialing = false
	if err != nil {
		p.retry = time.Now().Add(pipePause)
		p.mu.Unlock()
		return
	}
	if p.conn = conn; p.closed {
		conn.Close()
	}
	p.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = p.read(conn)
	stop()
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn, p.out = nil, p.out[:0]
	for {
		select {
		case q := <-p.asked:
			q.finish(err)
		default:
			return
		}
	}
}

// close ends the connection, if there is one, and has no other made.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed = true; p.conn != nil {
		p.conn.Close()
	}
}

func (q *question) finish(err error) {
	q.err = err
	q.done <- struct{}{}
}

// read hands out answers until one cannot be had any more.
func (p *pipe) read(conn net.Conn) error {
	r := bufio.NewReaderSize(conn, pipeBuffer)
	var now time.Time
	for {
		if r.Buffered() == 0 {
			p.mu.Lock()
			if len(p.asked) > 0 {
				p.extend(time.Now())
			}
			p.mu.Unlock()
			if _, err := r.Peek(1); err != nil {
				if p.early(err) {
					continue
				}
				return fmt.Errorf("read answers from %s: %w", p.addr, err)
			}
			now = time.Now()
		}
		var q *question
		select {
		case q = <-p.asked:
		default:
			return fmt.Errorf("read answers from %s: one too many", p.addr)
		}
		err := q.read(r)
		switch {
		case err != nil:
			err = fmt.Errorf("read an answer from %s: %w", p.addr, err)
		case now.Sub(q.at) > 2*q.timeout: // it has come, but those behind it would wait ever longer
			err = fmt.Errorf("read answers from %s: %w", p.addr, fasthttp.ErrTimeout)
		case q.header.ConnectionClose():
			q.finish(nil)
			return errPipeClosed
		}
		q.finish(err)
		if err != nil {
			return err
		}
	}
}

// read reads the answer. The body is copied once, out of the reader's buffer.
func (q *question) read(r *bufio.Reader) error {
	if err := q.header.Read(r); err != nil {
		return err
	}
	n := q.header.ContentLength()
	switch {
	case n < 0:
		return errors.New("it does not tell its length")
	case n > maxPeerBody:
		return fasthttp.ErrBodyTooLarge
	case n > r.Size():
		q.body = slices.Grow(q.body[:0], n)[:n]
		_, err := io.ReadFull(r, q.body)
		return err
	}
	body, err := r.Peek(n)
	if err != nil {
		return err
	}
	q.body = append(q.body[:0], body...)
	_, err = r.Discard(n)
	return err
}

// extend sets the deadline for the next answer. It wants p.mu held.
func (p *pipe) extend(now time.Time) {
	p.deadline = now.Add(p.timeout)
	_ = p.conn.SetReadDeadline(p.deadline) // a connection on which that fails cannot be read either
}

// early reports whether a read failed at a deadline that was left from an earlier
// request: nothing is waited for, or somebody has just begun to.
func (p *pipe) early(err error) bool {
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) > 0 {
		return time.Now().Before(p.deadline)
	}
	return p.conn.SetReadDeadline(time.Time{}) == nil
}
