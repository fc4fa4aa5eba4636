package zookeeper_test

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
)

// Operation codes of the protocol, as far as tests meddle with them.
const (
	opCreate  int32 = 1
	opGetData int32 = 4
	opEvent   int32 = -2 // made up: a watch event
)

// proxy stands between a client and a server and knows the protocol's frames,
// so that a connection can be broken at exactly one request or answer.
type proxy struct {
	ln     net.Listener
	target string
	tasks  sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	closed  bool
	refuse  bool
	gate    chan struct{} // closed: frames pass
	request func(op int32) bool
	reply   func(op int32) bool
	counts  map[int32]int // requests passed by operation, events under opEvent
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, target: target, conns: map[net.Conn]struct{}{}, gate: make(chan struct{}), counts: map[int32]int{}}
	close(p.gate)
	p.tasks.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		refused := p.refuse || p.closed
		if !refused {
			p.conns[client], p.conns[server] = struct{}{}, struct{}{}
		}
		p.mu.Unlock()
		if refused {
			client.Close()
			server.Close()
			continue
		}
		pair := &proxied{p: p, client: client, server: server, ops: map[int32]int32{}}
		p.tasks.Go(func() { pair.copy(client, server, pair.mayRequest) })
		p.tasks.Go(func() { pair.copy(server, client, pair.mayReply) })
	}
}

// onRequest sets what is asked before a request passes: true breaks the
// connection instead. onReply is the same for answers and events.
func (p *proxy) onRequest(f func(op int32) bool) { p.mu.Lock(); p.request = f; p.mu.Unlock() }
func (p *proxy) onReply(f func(op int32) bool)   { p.mu.Lock(); p.reply = f; p.mu.Unlock() }

func (p *proxy) count(op int32) int { p.mu.Lock(); defer p.mu.Unlock(); return p.counts[op] }

// mute stops the traffic in both directions, with the connections open.
func (p *proxy) mute() { p.mu.Lock(); p.gate = make(chan struct{}); p.mu.Unlock() }

func (p *proxy) unmute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// cut breaks all connections, and refuses new ones until heal.
func (p *proxy) cut() { p.mu.Lock(); p.refuse = true; p.breakAll(); p.mu.Unlock() }

func (p *proxy) heal() { p.mu.Lock(); p.refuse = false; p.mu.Unlock() }

func (p *proxy) breakAll() {
	for conn := range p.conns {
		conn.Close()
		delete(p.conns, conn)
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.breakAll()
	p.mu.Unlock()
	p.unmute()
	p.ln.Close()
	p.tasks.Wait()
}

type proxied struct {
	p              *proxy
	client, server net.Conn
	mu             sync.Mutex
	ops            map[int32]int32 // by xid
	requests       int
	replies        int
}

func (c *proxied) copy(from, to net.Conn, may func([]byte) bool) {
	defer c.client.Close()
	defer c.server.Close()
	head := make([]byte, 4)
	for {
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		c.p.mu.Lock()
		gate := c.p.gate
		c.p.mu.Unlock()
		<-gate
		if !may(body) {
			return
		}
		if _, err := to.Write(append(head[:4:4], body...)); err != nil {
			return
		}
	}
}

func (c *proxied) mayRequest(body []byte) bool {
	c.requests++
	if c.requests == 1 || len(body) < 8 {
		return true // the handshake
	}
	xid, op := int32(binary.BigEndian.Uint32(body)), int32(binary.BigEndian.Uint32(body[4:]))
	c.mu.Lock()
	c.ops[xid] = op
	c.mu.Unlock()
	c.p.mu.Lock()
	ask := c.p.request
	c.p.mu.Unlock()
	if ask != nil && ask(op) {
		return false
	}
	c.p.mu.Lock()
	c.p.counts[op]++
	c.p.mu.Unlock()
	return true
}

func (c *proxied) mayReply(body []byte) bool {
	c.replies++
	if c.replies == 1 || len(body) < 4 {
		return true
	}
	xid := int32(binary.BigEndian.Uint32(body))
	c.mu.Lock()
	op := c.ops[xid]
	c.mu.Unlock()
	if xid == -1 {
		op = opEvent
	}
	c.p.mu.Lock()
	ask := c.p.reply
	if op == opEvent {
		c.p.counts[op]++
	}
	c.p.mu.Unlock()
	return ask == nil || !ask(op)
}
