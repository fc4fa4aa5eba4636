package zookeeper

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"eshop/pkg/credential"
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
	ctx       context.Context // ends when there shall be no connection any more
	gone      <-chan struct{} // closed when the session has expired or is being closed
	round     int             // servers tried before the first pause
	handshake time.Duration   // from the connection to the server's answer to the handshake
	tls       *tls.Config     // nil: plain
	trouble   *trouble
	mu        sync.Mutex
	attempts  int  // since a server last answered a handshake
	known     bool // a server has answered one

	// The library restores its watches once for each reconnect, but the
	// request may be written to a later connection than the one it was meant
	// for. All are out, that of the present connection included, when as many
	// were written as there were reconnects.
	reconnects int
	restores   int
	current    *wire
}

// dial is what the client library calls. The first round over the servers goes
// without a pause, for after the loss of one server the next one is likely
// well; later ones wait 50 ms, doubling up to 250 ms, for an election takes
// about a second, and 1 s from the 20th on, with jitter.
func (d *dialer) dial(network, address string, _ time.Duration) (net.Conn, error) {
	d.mu.Lock()
	attempt := d.attempts
	d.attempts++
	d.mu.Unlock()
	if attempt >= d.round {
		limit := 250 * time.Millisecond
		if attempt > d.round+20 {
			limit = time.Second
		}
		pause := min(50*time.Millisecond<<min(attempt-d.round, 5), limit)
		pause += rand.N(pause/4 + 1)
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
	conn, err := d.connect(network, address)
	if err != nil {
		err = fmt.Errorf("connect to ZooKeeper at %s: %w", address, d.advise(err))
		if d.ctx.Err() == nil {
			d.trouble.note(err)
		}
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current = newWire(conn, d.handshake)
	d.current.refused = func(err error) {
		if d.ctx.Err() == nil {
			d.trouble.note(fmt.Errorf("connect to ZooKeeper at %s: %w", address, d.advise(err)))
		}
	}
	if d.known {
		d.current.setting, d.current.waited = d.restored, d.settle
	} else {
		d.current.pass()
	}
	return d.current, nil
}

// connect opens one connection, with the TLS handshake where there is one.
func (d *dialer) connect(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
	defer cancel()
	if d.tls == nil {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return (&tls.Dialer{Config: d.tls}).DialContext(ctx, network, address)
}

// advise puts what to look at before the error when the two sides disagree on TLS.
func (d *dialer) advise(err error) error {
	c := credential.Client{Area: "zookeeper", Addrs: "servers", Encrypted: d.tls != nil}
	return credential.Advise(c.Connection(err), err)
}

// established notes that a server has answered the handshake, and returns the
// session timeout it granted, 0 if unknown.
func (d *dialer) established() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known {
		d.reconnects++
	}
	d.attempts, d.known = 0, true
	d.trouble.note(nil)
	if d.current == nil {
		return 0
	}
	return d.current.established()
}

// restored counts a request that restores watches.
func (d *dialer) restored(w *wire) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restores++
	if d.restores >= d.reconnects {
		d.restores = d.reconnects
		w.pass()
	}
}

// settle gives up on a request that restores watches: the library drops one
// that it takes up in the moment the connection breaks. It drops one as well
// when it is being closed; nobody waits for answers then, and the request that
// ends the session has been written by now, so false: no answer shall pass.
func (d *dialer) settle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restores = d.reconnects
	select {
	case <-d.gone:
		return false
	default:
		return true
	}
}

// cut breaks the present connection: the library then takes the next server.
func (d *dialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != nil {
		d.current.Close()
	}
}

// libraryLog passes the client library's lines on, at debug level: each
// failed dial of a long outage is one.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) Printf(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("zookeeper client: " + fmt.Sprintf(format, args...))
	}
}
