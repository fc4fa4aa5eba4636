package zookeeper

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// settlePause is a thousand times what the library needs to look for watches.
const settlePause = 20 * time.Millisecond

// Term says until when, by the holder's clock, the servers cannot have expired
// its session, with a third of the timeout to spare. The zero Term is over.
type Term struct{ until time.Time }

// Renew notes that a request sent at the given time was answered, and reports
// whether that makes the term longer.
func (t *Term) Renew(sent time.Time, timeout time.Duration) bool {
	until := sent.Add(timeout * 2 / 3)
	if !until.After(t.until) {
		return false
	}
	t.until = until
	return true
}

// Over reports whether the holder must take its session for lost.
func (t Term) Over(now time.Time) bool { return !now.Before(t.until) }

// lease ends the tickets of a session with its term. Tickets that are registered
// while it lapses are lost, even if it is renewed afterwards.
type lease struct {
	lapsed func() // called, without the lock, when the lease ran out

	mu      sync.Mutex
	timeout time.Duration // session timeout
	term    Term
	timer   *time.Timer
	tickets map[*Ticket]struct{}
	over    bool
}

func (l *lease) init(timeout time.Duration, lapsed func()) {
	l.timeout, l.lapsed = timeout, lapsed
	l.tickets = make(map[*Ticket]struct{})
}

// granted sets the timeout the server gave instead of the one asked for.
func (l *lease) granted(timeout time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timeout = timeout
}

func (l *lease) sessionTimeout() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.timeout
}

// renew notes that a request sent at the given time was answered. A lease that
// had run out meanwhile is lost first: a process that was stopped for a while
// may get to this before the timer gets to run.
func (l *lease) renew(sent time.Time) {
	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return
	}
	lost := l.takeIfDue(time.Now())
	if l.term.Renew(sent, l.timeout) {
		until := l.term.until
		if l.timer == nil {
			l.timer = time.AfterFunc(time.Until(until), l.check)
		} else {
			l.timer.Reset(time.Until(until))
		}
	}
	l.mu.Unlock()
	loseAll(lost, "the lease ran out by the own clock")
}

// check is the timer's: it loses all tickets unless the lease was renewed.
func (l *lease) check() {
	l.mu.Lock()
	now := time.Now()
	due := !l.over && l.term.Over(now)
	lost := l.takeIfDue(now)
	l.mu.Unlock()
	loseAll(lost, "the lease ran out by the own clock")
	if due {
		l.lapsed()
	}
}

// takeIfDue removes and returns all tickets if the lease has run out; l.mu is
// held.
func (l *lease) takeIfDue(now time.Time) map[*Ticket]struct{} {
	if !l.term.Over(now) || len(l.tickets) == 0 {
		return nil
	}
	lost := l.tickets
	l.tickets = make(map[*Ticket]struct{})
	return lost
}

// register adds a ticket; false when the lease has run out.
func (l *lease) register(t *Ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.term.Over(time.Now()) {
		return false
	}
	l.tickets[t] = struct{}{}
	return true
}

func (l *lease) unregister(t *Ticket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tickets, t)
}

// end loses all tickets for good.
func (l *lease) end() {
	l.mu.Lock()
	l.over = true
	lost := l.tickets
	l.tickets = nil
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	loseAll(lost, "the session is over")
}

func loseAll(tickets map[*Ticket]struct{}, reason string) {
	for t := range tickets {
		t.lose(reason)
	}
}

// beat sends heartbeats, one at a time, until the link is gone or ctx ends: one
// at each tenth of the session timeout and one at each reconnect.
func (l *link) beat(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.gone:
			return
		case <-l.kick:
		case <-timer.C:
		}
		if attachment, ok := l.attachment(); ok {
			l.heartbeat(ctx, attachment)
		}
		timer.Reset(l.lease.sessionTimeout() / 10)
	}
}

// heartbeat has the leader confirm the session, and cuts a connection that
// stays silent for a third of the session timeout, so that there is time left
// to reach another server before the lease runs out.
func (l *link) heartbeat(ctx context.Context, attachment int) {
	ctx, cancel := context.WithTimeout(ctx, l.lease.sessionTimeout()/3)
	defer cancel()
	if !l.settled(ctx) {
		return
	}
	sent := time.Now()
	_, err := callUnbounded(ctx, l, func(conn *zk.Conn) (string, error) {
		if auth := l.s.cfg.Auth; auth != nil && !l.authed.Load() {
			// The library repeats it at each reconnect once it was answered.
			if err := conn.AddAuth("digest", []byte(auth.User+":"+auth.Password)); err != nil {
				return "", err
			}
			l.authed.Store(true)
		}
		if err := l.keepGuard(conn); err != nil {
			return "", err
		}
		return conn.Sync("/")
	}, nil, func() {})
	switch {
	case err == nil:
		l.lease.renew(sent)
		l.up(attachment)
	case errors.Is(err, context.DeadlineExceeded):
		l.s.log.Warn("ZooKeeper does not answer, the connection is cut", "server", l.conn.Server())
		l.dialer.cut()
	case !errors.Is(err, errGone) && !errors.Is(err, context.Canceled):
		l.s.log.Debug("ZooKeeper heartbeat failed", "error", err)
	}
}

// settled waits, once for each session, until the library has certainly looked
// for watches to restore on the new connection: it does so beside its answer
// to the first request, and must find none. Later connections have the wire's
// care. False when the link or ctx has ended.
func (l *link) settled(ctx context.Context) bool {
	if l.guard.Load() != nil {
		return true
	}
	timer := time.NewTimer(settlePause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-l.gone:
		return false
	}
}

// keepGuard sets the link's own watch, on the top node, which nobody writes to,
// at first and whenever it has fired.
func (l *link) keepGuard(conn *zk.Conn) error {
	if events := l.guard.Load(); events != nil {
		select {
		case <-*events:
		default:
			return nil
		}
	}
	_, _, events, err := conn.ExistsW("/")
	if err == nil {
		l.guard.Store(&events)
	}
	return err
}
