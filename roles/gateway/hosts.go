package gateway

import (
	"context"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// dialTimeout is how long a peer may take to accept: peers are near.
const dialTimeout = 500 * time.Millisecond

// maxPeerBody bounds one page on the way between gateways, in bytes.
const maxPeerBody = 32 << 20

// hosts keeps the connections to each peer: a pool of those whose requests may
// wait for the answer, and pipes for what the peer has at hand.
type hosts struct {
	connections int           // to one peer at most, and requests of all kinds under way to it
	wait        time.Duration // for a connection of the pool; 0: none
	dial        dial

	questions sync.Pool // of *question
	work      sync.WaitGroup
	ctx       context.Context // of the pipes; ends at close
	end       context.CancelFunc

	mu sync.Mutex
	m  map[string]*host
}

// dial connects to a peer within a time, and twice that more for TLS.
type dial func(ctx context.Context, addr string, timeout time.Duration) (net.Conn, error)

type host struct {
	pool  *fasthttp.HostClient
	pipes []*pipe
	calls atomic.Int64 // under way
	limit int64
}

// enter counts a request to the peer, unless as many as may are under way.
func (c *host) enter() bool {
	if c.calls.Add(1) <= c.limit {
		return true
	}
	c.calls.Add(-1)
	return false
}

func (c *host) leave() { c.calls.Add(-1) }

func newHosts(connections int, wait time.Duration, dial dial) *hosts {
	h := &hosts{connections: connections, wait: wait, dial: dial, m: map[string]*host{}}
	h.questions.New = func() any { return &question{done: make(chan struct{}, 1)} }
	h.ctx, h.end = context.WithCancel(context.Background())
	return h
}

// at returns the pool of a peer.
func (h *hosts) at(addr string) *fasthttp.HostClient { return h.host(addr).pool }

func (h *hosts) host(addr string) *host {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.m[addr]
	if c == nil {
		if len(h.m) >= 256 { // addresses of gateways long gone
			h.closeLocked()
		}
		c = &host{limit: int64(h.connections), pool: &fasthttp.HostClient{
			Addr: addr, MaxConns: h.connections, MaxConnWaitTimeout: h.wait, MaxIdleConnDuration: 10 * time.Second,
			MaxIdemponentCallAttempts: 2, // a kept connection may have been closed by the other side
			MaxResponseBodySize:       maxPeerBody, NoDefaultUserAgentHeader: true, DisablePathNormalizing: true,
			Dial: func(addr string) (net.Conn, error) { return h.dial(h.ctx, addr, dialTimeout) },
		}}
		for range min(maxPipes, runtime.GOMAXPROCS(0)) {
			c.pipes = append(c.pipes, newPipe(addr, h.connections, h.dial))
		}
		h.m[addr] = c
	}
	return c
}

// Pipes to one peer: as many as this process has cores, for the peer works on one
// core for each. The first alone is used while it has less to do than pipeBatch.
const (
	maxPipes  = 8
	pipeBatch = 32
)

// do asks a peer by a request that may wait.
func (h *hosts) do(addr string, req *fasthttp.Request, resp *fasthttp.Response, deadline time.Time) error {
	c := h.host(addr)
	if !c.enter() {
		return fasthttp.ErrNoFreeConns
	}
	defer c.leave()
	return c.pool.DoDeadline(req, resp, deadline)
}

// ask asks a peer for what it has at hand; see pipe.ask. The caller gives the
// question back with done, answered or not.
func (h *hosts) ask(addr string, timeout time.Duration, request func([]byte) []byte) (*question, error) {
	q := h.questions.Get().(*question)
	c := h.host(addr)
	if !c.enter() {
		return q, fasthttp.ErrNoFreeConns
	}
	defer c.leave()
	p := c.pipes[0]
	for _, other := range c.pipes[1:] {
		if len(p.asked) < pipeBatch {
			break
		}
		if len(other.asked) < len(p.asked) {
			p = other
		}
	}
	q.timeout = timeout
	return q, p.ask(h.ctx, q, &h.work, request)
}

// calls returns how many requests to peers are under way.
func (h *hosts) calls() (n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.m {
		n += c.calls.Load()
	}
	return n
}

// done ends the use of a question, header and body.
func (h *hosts) done(q *question) {
	if q.err = nil; cap(q.body) > pipeBuffer {
		q.body = nil
	}
	q.header.Reset()
	h.questions.Put(q)
}

// close ends the connections that are idle, and all pipes.
func (h *hosts) close() {
	h.mu.Lock()
	h.end()
	all := h.m
	h.closeLocked()
	h.mu.Unlock()
	for _, c := range all {
		for _, p := range c.pipes {
			p.close() // after it nobody begins who had seen that h.ctx had not ended
		}
	}
	h.work.Wait()
}

func (h *hosts) closeLocked() {
	for _, c := range h.m {
		c.pool.CloseIdleConnections()
		for _, p := range c.pipes {
			p.close()
		}
	}
	h.m = map[string]*host{}
}
