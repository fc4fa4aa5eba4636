package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/go-zookeeper/zk"
)

// State is where a Session stands.
type State int

// The states of a Session.
const (
	// Connecting: there has been no connection to the present session yet.
	Connecting State = iota
	// Connected: a server has answered under the present session.
	Connected
	// Suspended: the connection is lost, the session may live on.
	Suspended
	// Expired: the servers have given the session up; a new one is being made.
	Expired
	// Closed: Run has ended.
	Closed
)

// String returns the lower-case name of the state.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Connected:
		return "connected"
	case Suspended:
		return "suspended"
	case Expired:
		return "expired"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("state %d", int(s))
}

// Session is a ZooKeeper session that outlives expiry. Its methods may be
// called from any goroutine, also before Run: they wait for the connection.
type Session struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	acl     []zk.ACL

	life    context.Context // ends, with ErrClosed, when Run ends
	endLife context.CancelCauseFunc
	loops   sync.WaitGroup // members and watches

	trouble    trouble // of the latest attempts to connect
	complaints complaints

	mu      sync.Mutex
	state   State
	changed chan struct{} // closed and replaced at each change of state
	link    *link         // the present ZooKeeper session, nil before Run
	started bool
}

// New checks the configuration; it does no I/O. Its errors name every problem.
func New(cfg Config, deps Deps) (*Session, error) {
	cfg, err := cfg.filled()
	if err != nil {
		return nil, fmt.Errorf("configure the ZooKeeper session: %w", err)
	}
	m, err := newMetrics(deps.Registry)
	if err != nil {
		return nil, err
	}
	log := deps.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Session{cfg: cfg, log: log, metrics: m, acl: cfg.acl(), trouble: trouble{log: log, round: len(cfg.Servers)}, changed: make(chan struct{})}
	s.life, s.endLife = context.WithCancelCause(context.Background())
	return s, nil
}

// Run connects and keeps a session until ctx ends, then closes it, which
// removes its ephemeral nodes, and returns nil once all it started has ended.
// Unreachable servers are no error: it keeps trying. A Session runs once.
func (s *Session) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.started {
		s.mu.Unlock()
		return errors.New("run the ZooKeeper session: it was run before")
	}
	s.started = true
	s.mu.Unlock()

	var ending sync.WaitGroup
	for ctx.Err() == nil {
		l := newLink(s)
		s.mu.Lock()
		s.link = l
		s.mu.Unlock()
		if err := l.run(ctx, &ending); err != nil {
			s.shut()
			ending.Wait()
			s.loops.Wait()
			return err
		}
		if ctx.Err() == nil {
			s.metrics.expiries.Inc()
			s.log.Warn("the ZooKeeper session has expired, a new one is made")
		}
	}
	s.shut()
	ending.Wait()
	s.loops.Wait()
	return nil
}

// shut tells everyone that there will be no connection any more.
func (s *Session) shut() {
	s.endLife(ErrClosed)
	s.mu.Lock()
	s.enter(Closed)
	s.mu.Unlock()
}

// enter changes the state; s.mu is held. Closed is final.
func (s *Session) enter(to State) {
	if s.state == to || s.state == Closed {
		return
	}
	s.log.Info("ZooKeeper session", "from", s.state.String(), "to", to.String())
	s.state = to
	s.metrics.enter(to)
	close(s.changed)
	s.changed = make(chan struct{})
}

// State returns where the session stands.
func (s *Session) State() State {
	state, _ := s.Changed()
	return state
}

// LastError says why there is no connection, as far as that is known: the
// trouble with the server that was tried last. It is nil when a server has
// answered since.
func (s *Session) LastError() error { return s.trouble.last() }

// Usable returns nil when the session is connected and its user may use the
// root, which is created if it is missing. It does not wait for a connection.
func (s *Session) Usable(ctx context.Context) error {
	if state := s.State(); state != Connected {
		if err := s.LastError(); err != nil {
			return fmt.Errorf("the session is %s: %w", state, err)
		}
		return errors.New("the session is " + state.String())
	}
	if err := s.Ensure(ctx); err != nil {
		return err
	}
	_, _, err := s.Get(ctx, "")
	return err
}

// Changed returns the present state and a channel that is closed when it
// changes.
func (s *Session) Changed() (State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.changed
}

// Connected waits until the session is connected. Its error says why it is
// not: ErrClosed, or the end of ctx.
func (s *Session) Connected(ctx context.Context) error {
	_, err := s.live(ctx)
	return err
}

// live returns the present link as soon as it is connected.
func (s *Session) live(ctx context.Context) (*link, error) {
	for {
		s.mu.Lock()
		state, changed, l := s.state, s.changed, s.link
		s.mu.Unlock()
		switch state {
		case Connected:
			return l, nil
		case Closed:
			return nil, ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err := context.Cause(ctx)
			if why := s.LastError(); why != nil {
				err = fmt.Errorf("%w; %w", why, err)
			}
			return nil, fmt.Errorf("wait for ZooKeeper, the session is %s: %w", state, err)
		}
	}
}

// background starts a loop that ends with ctx or with Run.
func (s *Session) background(ctx context.Context, loop func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == Closed {
		return
	}
	s.loops.Go(func() {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		stop := context.AfterFunc(s.life, func() { cancel(ErrClosed) })
		defer stop()
		loop(ctx)
	})
}
