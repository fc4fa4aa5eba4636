package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// maxReply bounds one answer of a server, in bytes.
const maxReply = 8 << 20

// link is one ZooKeeper session: one connection object of the client library
// which is never used for a second one.
type link struct {
	s      *Session
	conn   *zk.Conn
	dialer *dialer
	gone   chan struct{} // closed when the session has expired or is being closed
	end    context.CancelFunc
	kick   chan struct{} // asks for a heartbeat at once
	calls  chan struct{} // places for requests under way
	nodes  chan struct{} // places for lock nodes that may exist
	lease  lease

	authed   atomic.Bool                     // the library knows the credentials
	guard    atomic.Pointer[<-chan zk.Event] // a watch that is there so that there is one, see wire
	attached int                             // sessions attached and detached so far: odd while attached; guarded by s.mu
	proven   bool                            // some heartbeat was answered; guarded by s.mu

	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup
}

func newLink(s *Session) *link {
	ctx, end := context.WithCancel(context.Background())
	gone := make(chan struct{})
	l := &link{
		s:     s,
		gone:  gone,
		end:   end,
		kick:  make(chan struct{}, 1),
		calls: make(chan struct{}, s.cfg.MaxCalls),
		nodes: make(chan struct{}, s.cfg.MaxTickets),
		dialer: &dialer{
			ctx:       ctx,
			gone:      gone,
			round:     len(s.cfg.Servers),
			handshake: max(s.cfg.SessionTimeout/3, 500*time.Millisecond),
			tls:       s.cfg.TLS,
			trouble:   &s.trouble,
		},
	}
	l.lease.init(s.cfg.SessionTimeout, l.lapsed)
	return l
}

// run keeps the link until its ZooKeeper session has expired or ctx ends. What
// remains to be done then goes on in ending, so that a new session need not
// wait for it.
func (l *link) run(ctx context.Context, ending *sync.WaitGroup) error {
	conn, events, err := zk.Connect(l.s.cfg.Servers, l.s.cfg.SessionTimeout,
		zk.WithDialer(l.dialer.dial),
		zk.WithHostProvider(&servers{gone: l.gone}),
		zk.WithLogger(libraryLog{l.s.log}),
		zk.WithMaxBufferSize(maxReply),
		zk.WithEventCallback(func(ev zk.Event) { l.onEvent(ev) }),
	)
	if err != nil {
		return fmt.Errorf("start the ZooKeeper client for %v: %w", l.s.cfg.Servers, err)
	}
	l.mu.Lock()
	l.conn = conn
	l.mu.Unlock()

	l.beat(ctx)

	l.close(ctx.Err() == nil)
	ending.Go(func() {
		l.mu.Lock()
		l.ended = true
		l.mu.Unlock()
		conn.Close() // at most a second; with a connection the server removes the ephemerals
		l.end()
		l.dialer.cut()
		for range events { // closed when the library's goroutines have ended
		}
		l.running.Wait()
	})
	return nil
}

// onEvent follows the client library. It is called from the library's own
// goroutines, in order, and must not block.
func (l *link) onEvent(ev zk.Event) {
	if ev.Type != zk.EventSession {
		return
	}
	switch ev.State {
	case zk.StateHasSession:
		if granted := l.dialer.established(); granted > 0 {
			l.lease.granted(granted)
		}
		l.s.mu.Lock()
		l.attached++
		l.s.mu.Unlock()
		l.wantHeartbeat()
	case zk.StateDisconnected:
		l.s.mu.Lock()
		if l.attached%2 == 1 {
			l.attached++
		}
		if l.s.link == l && l.proven {
			l.s.enter(Suspended)
		}
		l.s.mu.Unlock()
	case zk.StateExpired:
		l.close(true)
	}
}

func (l *link) wantHeartbeat() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// attachment returns a number that names the present connection, and whether
// there is one with a session.
func (l *link) attachment() (int, bool) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.attached, l.attached%2 == 1
}

// up makes the session Connected, unless the connection that proved it is not
// the present one any more.
func (l *link) up(attachment int) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.link == l && l.attached == attachment && !l.isGone() {
		l.proven = true
		l.s.enter(Connected)
	}
}

// lapsed is called when the lease ran out by the own clock: nothing is sent
// until a heartbeat is answered again.
func (l *link) lapsed() {
	l.s.mu.Lock()
	if l.s.link == l && l.s.state == Connected {
		l.s.enter(Suspended)
	}
	l.s.mu.Unlock()
	l.wantHeartbeat()
}

// close ends the link for all its users: every ticket is lost.
func (l *link) close(expired bool) {
	l.mu.Lock()
	first := !l.isGone()
	if first {
		close(l.gone)
	}
	l.mu.Unlock()
	if !first {
		return
	}
	if expired {
		l.end() // a dial from now on would make a new session
		l.s.mu.Lock()
		if l.s.link == l {
			l.s.enter(Expired)
		}
		l.s.mu.Unlock()
	}
	l.lease.end()
}

func (l *link) isGone() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// start runs f on a goroutine that the link waits for at its end; false when
// the link has ended.
func (l *link) start(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.conn == nil {
		return false
	}
	l.running.Go(f)
	return true
}

// await returns when this very session is connected; errGone when it is over.
func (l *link) await(ctx context.Context) error {
	for {
		l.s.mu.Lock()
		state, changed, current := l.s.state, l.s.changed, l.s.link
		l.s.mu.Unlock()
		if current != l || l.isGone() {
			return errGone
		}
		if state == Connected {
			return nil
		}
		select {
		case <-changed:
		case <-l.gone:
			return errGone
		case <-ctx.Done():
			return fmt.Errorf("wait for ZooKeeper, the session is %s: %w", state, context.Cause(ctx))
		}
	}
}

// retry runs a request that may be repeated until it is answered, on this
// session alone.
func retry[T any](ctx context.Context, l *link, do func(*zk.Conn) (T, error)) (T, error) {
	var pause backoff
	for {
		value, err := call(ctx, l, do, nil)
		if !broken(err) || ctx.Err() != nil {
			return value, err
		}
		if werr := pause.wait(ctx, l.gone); werr != nil {
			return value, errors.Join(werr, err)
		}
		if werr := l.await(ctx); werr != nil {
			return value, errors.Join(werr, err)
		}
	}
}
