package lab

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// Link is a TCP proxy to one address that can be cut, healed and slowed. It ends with the test. All methods may be called
// from any goroutine.
type Link struct {
	addr string

	mu       sync.Mutex
	listener net.Listener // nil while connections are refused
	target   string
	mode     mode
	delay    time.Duration
	banned   []int                 // processes for which it is cut
	conns    map[net.Conn]struct{} // both ends of every connection
	changed  chan struct{}         // closed and replaced when mode changes
	ended    bool
	all      sync.WaitGroup
}

type mode int

const (
	open mode = iota
	refusing
	swallowing
)

// NewLink starts a link to the target, host:port. An empty target is given later with Lead; until then connections are
// closed as soon as they come.
func NewLink(tb testing.TB, target string) *Link {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen for a link to %s: %v", target, err)
	}
	l := &Link{
		addr: listener.Addr().String(), listener: listener, target: target,
		conns: map[net.Conn]struct{}{}, changed: make(chan struct{}),
	}
	l.all.Go(func() { l.accept(listener) })
	tb.Cleanup(l.end)
	return l
}

// Addr is where clients connect.
func (l *Link) Addr() string { return l.addr }

// Lead sets the target of connections to come.
func (l *Link) Lead(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

// Cut ends the existing connections with a reset and refuses new ones.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set(refusing)
	if l.listener != nil {
		l.listener.Close()
		l.listener = nil
	}
	l.dropLocked()
}

// Blackhole is a cut without notice, as a dead cable makes it: existing connections stay and carry nothing, new ones are
// accepted and answer nothing. Bytes sent meanwhile arrive after Heal on connections from before.
func (l *Link) Blackhole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listenLocked()
	l.set(swallowing)
}

// Heal lets everything through again; a delay stays.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.banned = nil
	l.listenLocked()
	l.set(open)
}

// Drop ends the existing connections with a reset, once; new ones are accepted as before.
func (l *Link) Drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropLocked()
}

// Delay holds back every byte for d in each direction, from the next read on; the order stays. Zero ends it.
func (l *Link) Delay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

// Connections is the number of connections that are open now.
func (l *Link) Connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return (len(l.conns) + 1) / 2
}

func (l *Link) set(m mode) {
	l.mode = m
	close(l.changed)
	l.changed = make(chan struct{})
}

// listenLocked takes the address back after a cut. Somebody else may hold the port for a moment (an outgoing connection
// got it as its own end), so it is retried; a port that stays lost shows as a link that refuses.
func (l *Link) listenLocked() {
	if l.listener != nil || l.ended {
		return
	}
	for range 100 {
		listener, err := net.Listen("tcp", l.addr)
		if err == nil {
			l.listener = listener
			l.all.Go(func() { l.accept(listener) })
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *Link) dropLocked() {
	for c := range l.conns {
		reset(c)
	}
	clear(l.conns)
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a reset and not an orderly end
	}
	c.Close()
}

func (l *Link) end() {
	l.mu.Lock()
	l.ended = true
	if l.listener != nil {
		l.listener.Close()
		l.listener = nil
	}
	l.set(refusing)
	l.dropLocked()
	l.mu.Unlock()
	l.all.Wait()
}

func (l *Link) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		l.mu.Lock()
		if l.ended || l.mode == refusing {
			l.mu.Unlock()
			reset(client)
			continue
		}
		l.conns[client] = struct{}{}
		l.mu.Unlock()
		l.all.Go(func() { l.carry(client) })
	}
}

// carry serves one connection until either side ends it.
func (l *Link) carry(client net.Conn) {
	defer l.forget(client)
	if l.expel(client) {
		return
	}
	target, ok := l.pass()
	if !ok || target == "" {
		return
	}
	upstream, err := net.DialTimeout("tcp", target, 2*time.Second)
	if err != nil {
		return
	}
	l.mu.Lock()
	_, live := l.conns[client]
	if live {
		l.conns[upstream] = struct{}{}
	}
	l.mu.Unlock()
	defer l.forget(upstream)
	if !live {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pump(upstream, client) })
	both.Go(func() { l.pump(client, upstream) })
	both.Wait()
}

func (l *Link) forget(c net.Conn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	c.Close() // orderly: a reset would take away what the other side has not read yet
}

// pass waits while the link swallows; false when it refuses.
func (l *Link) pass() (target string, ok bool) {
	for {
		l.mu.Lock()
		m, target, changed := l.mode, l.target, l.changed
		l.mu.Unlock()
		switch m {
		case open:
			return target, true
		case refusing:
			return "", false
		}
		<-changed
	}
}

// chunk is data on its way, due at a time.
type chunk struct {
	data []byte
	due  time.Time
}

// pump copies one direction. Reading and writing are decoupled, so that a delay is a delay and not a rate limit.
func (l *Link) pump(to, from net.Conn) {
	const inFlight = 1024 // chunks of at most 32 KiB; a full line holds up the sender, as TCP does
	line := make(chan chunk, inFlight)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(line)
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				l.mu.Lock()
				d := l.delay
				l.mu.Unlock()
				line <- chunk{data: append([]byte(nil), buffer[:n]...), due: time.Now().Add(d)}
			}
			if err != nil {
				return
			}
		}
	})
	broken := false
	for c := range line {
		if broken {
			continue // drains, so that the reader sees its end
		}
		if wait := time.Until(c.due); wait > 0 {
			time.Sleep(wait)
		}
		if _, ok := l.pass(); !ok {
			broken = true
		} else if _, err := to.Write(c.data); err != nil {
			broken = true
		}
		if broken {
			from.Close()
		}
	}
	reading.Wait()
	if half, ok := to.(interface{ CloseWrite() error }); ok && !broken {
		_ = half.CloseWrite() // an orderly end travels on
	}
}
