package admission

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// ListenerConfig bounds the connections of a listener; zero values mean no bound.
type ListenerConfig struct {
	// Connections open at once, and of them from one address (an IPv6 client is
	// counted by its first 64 bits).
	Connections, PerAddress int
	// Exempt names the addresses that PerAddress does not bind, besides those of
	// this machine: load balancers. nil: no others.
	Exempt func(netip.Addr) bool
}

// Listener closes at once what comes above the bounds, before anything is read
// or allocated for it. To leave such connections in the backlog would be
// simpler, but would let those who hold the places keep everybody else waiting.
type Listener struct {
	net.Listener

	mu      sync.Mutex
	cfg     ListenerConfig // Exempt is not changed
	open    int
	from    map[netip.Addr]int // has an entry only for addresses with a connection
	refused atomic.Uint64
}

// SetLimits changes the two bounds for connections to come. Those that are open stay, however many they are.
func (l *Listener) SetLimits(connections, perAddress int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg.Connections, l.cfg.PerAddress = connections, perAddress
}

// Limit returns l with bounds.
func Limit(l net.Listener, cfg ListenerConfig) *Listener {
	return &Listener{Listener: l, cfg: cfg, from: map[netip.Addr]int{}}
}

// Accept returns the next connection within the bounds.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key, ok := l.enter(RemoteAddr(c.RemoteAddr()))
		if ok {
			return &conn{Conn: c, listener: l, key: key}, nil
		}
		l.refused.Add(1)
		if tcp, ok := c.(interface{ SetLinger(seconds int) error }); ok {
			tcp.SetLinger(0) // no place in the kernel's tables either
		}
		c.Close()
	}
}

// enter counts a connection; key is the zero address when it counts for none.
func (l *Listener) enter(a netip.Addr) (key netip.Addr, ok bool) {
	if a.IsValid() && !a.IsLoopback() && (l.cfg.Exempt == nil || !l.cfg.Exempt(a)) {
		key = Network(a)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all, each := l.cfg.Connections, l.cfg.PerAddress
	if each <= 0 {
		key = netip.Addr{}
	}
	if all > 0 && l.open >= all || key.IsValid() && l.from[key] >= each {
		return key, false
	}
	l.open++
	if key.IsValid() {
		l.from[key]++
	}
	return key, true
}

func (l *Listener) left(key netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if key.IsValid() {
		if l.from[key]--; l.from[key] == 0 {
			delete(l.from, key)
		}
	}
}

// Open returns the number of connections, Refused how many were closed at once.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Refused returns how many connections were closed at once.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

type conn struct {
	net.Conn
	listener *Listener
	key      netip.Addr
	closed   atomic.Bool
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	if !c.closed.Swap(true) {
		c.listener.left(c.key)
	}
	return err
}
