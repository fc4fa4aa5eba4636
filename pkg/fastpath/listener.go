package fastpath

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Listener.
type Config struct {
	// Answer answers a request and returns true, or does nothing and returns false:
	// then the server gets it. It is called by many goroutines at once, and must not
	// wait. Required.
	Answer func(*Request, *Answer) bool
	// IdleTimeout bounds the wait for a connection's next request, ReadTimeout the
	// time from its first byte to its last, WriteTimeout that of one write; zero
	// means no bound. They should be the server's, which keeps them itself around
	// what it answers. To save calls they may end a 64th part or a second early,
	// whichever is shorter.
	IdleTimeout, ReadTimeout, WriteTimeout time.Duration
	// Linger bounds how long the end of a connection waits for a client that was
	// refused before all that it sends was read (default 1 s).
	Linger time.Duration
	// HandshakeFailed is told of each connection on which TLS did not come about,
	// before it is closed. nil: nobody is.
	HandshakeFailed func(remote net.Addr, err error)
}

// Listener accepts connections of which the simple requests are answered by
// Config.Answer. It stands next to the network, below listeners that wrap
// connections to count them, say: only the network's own write heads and bodies in
// one call. One that gives *tls.Conn may be between (tls.go).
type Listener struct {
	net.Listener
	cfg      Config
	conns    atomic.Uint64
	draining atomic.Bool
	work     sync.Pool // of *work

	mu      sync.Mutex
	open    map[*conn]struct{} // but for those that are the server's for good
	leaving bool
}

// work is what a connection needs between a read and the next.
type work struct {
	request Request
	answer  *Answer
}

// Listen returns l with its connections' simple requests answered.
func Listen(l net.Listener, cfg Config) *Listener {
	if cfg.Linger <= 0 {
		cfg.Linger = time.Second
	}
	f := &Listener{Listener: l, cfg: cfg, open: map[*conn]struct{}{}}
	f.work.New = func() any { return &work{answer: NewAnswer()} }
	return f
}

// Accept returns the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	f := &conn{Conn: c, raw: rawOf(c), listener: l, fd: -1, id: l.conns.Add(1), remote: c.RemoteAddr()}
	f.step = f.readRaw
	f.tls, _ = c.(*tls.Conn)
	f.served.Store(time.Now().UnixNano())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[f] = struct{}{}
	f.closing.Store(l.leaving)
	return f, nil
}

func (l *Listener) forget(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
}

// Drain leaves every further request to the server, for one that is about to
// shut down: it tells its clients to close.
func (l *Listener) Drain() { l.draining.Store(true) }

// Leave, which comes after Drain, has each connection end by itself when it was
// given nothing to answer for some seconds after its last answer, or its beginning.
// So no client has to take its connection's end for a failure, however long either
// side stood still. With a shutdown of the server alone it may have to: what that
// takes for idle may have had its last answer before anything said that it is the
// last, and be about to send the next request.
func (l *Listener) Leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaving = true
	for c := range l.open {
		_ = c.leave() // one that is gone has no deadlines any more
	}
}

// Open counts the connections that are there, but for those of which everything is
// the server's after an unusual request: Leave does nothing about these.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}
