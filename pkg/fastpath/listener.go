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
	f := &Listener{Listener: l, cfg: cfg}
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
	return f, nil
}

// Drain leaves every further request to the server, for one that is about to
// shut down: it tells its clients to close.
func (l *Listener) Drain() { l.draining.Store(true) }
