package zookeeper

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds one attempt to connect to one server.
const dialTimeout = time.Second

// servers is the client library's source of addresses, in a ring. Names are
// left to the dialer, so that an address that changes is found again.
type servers struct {
	mu   sync.Mutex
	list []string
	next int
	gone <-chan struct{}
}

func (s *servers) Init(list []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
	return nil
}

func (s *servers) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.list)
}

// Next returns the next server. Its second value makes the library pause for
// a second, and look for its end meanwhile: asked for only once the link is
// gone, the pauses before that are the dialer's.
func (s *servers) Next() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	server := s.list[s.next]
	s.next = (s.next + 1) % len(s.list)
	select {
	case <-s.gone:
		return server, true
	default:
		return server, false
	}
}

func (s *servers) Connected() {}

// dialer connects for one link, never again once the link is gone.
type dialer struct {
	ctx       context.Context // ends when the link is gone
	round     int             // servers tried before the first pause
	handshake time.Duration   // from the connection to the server's answer to the handshake
	mu        sync.Mutex
	attempts  int // since a server last answered a handshake
	current   *wire
}

// dial is what the client library calls. The first round over the servers goes
// without a pause, for after the loss of one server the next one is likely
// well; later ones wait 50 ms, doubling up to 1 s, with jitter.
func (d *dialer) dial(network, address string, _ time.Duration) (net.Conn, error) {
	d.mu.Lock()
	attempt := d.attempts
	d.attempts++
	d.mu.Unlock()
	if attempt >= d.round {
		pause := min(50*time.Millisecond<<min(attempt-d.round, 5), time.Second)
		pause += rand.N(pause/2 + 1)
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-d.ctx.Done():
		}
	}
	if err := d.ctx.Err(); err != nil {
		return nil, fmt.Errorf("connect to ZooKeeper at %s: %w", address, context.Cause(d.ctx))
	}
	ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("connect to ZooKeeper at %s: %w", address, err)
	}
	w := &wire{Conn: conn}
	// The library waits ten times its read timeout for the handshake's answer;
	// a stopped server, whose kernel still accepts, would hold it that long.
	w.limit = time.AfterFunc(d.handshake, func() { conn.Close() })
	d.mu.Lock()
	d.current = w
	d.mu.Unlock()
	return w, nil
}

// established notes that a server has answered the handshake, and returns the
// session timeout it granted, 0 if unknown.
func (d *dialer) established() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attempts = 0
	if d.current == nil {
		return 0
	}
	d.current.limit.Stop()
	return d.current.granted()
}

// cut breaks the present connection: the library then takes the next server.
func (d *dialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != nil {
		d.current.Close()
	}
}

// wire reads along while the handshake's answer passes: the library does not
// tell which session timeout the server granted.
type wire struct {
	net.Conn
	limit *time.Timer

	mu   sync.Mutex
	head [12]byte // length, protocol version, timeout in ms
	seen int
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	if w.seen < len(w.head) {
		w.seen += copy(w.head[w.seen:], p[:n])
	}
	w.mu.Unlock()
	return n, err
}

func (w *wire) Close() error {
	w.limit.Stop()
	return w.Conn.Close()
}

func (w *wire) granted() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen < len(w.head) {
		return 0
	}
	return time.Duration(int32(binary.BigEndian.Uint32(w.head[8:]))) * time.Millisecond
}

// libraryLog passes the client library's lines on, at debug level: each
// failed dial of a long outage is one.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Printf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("zookeeper client: " + fmt.Sprintf(format, args...))
	}
}
