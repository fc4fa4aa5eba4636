package zookeeper

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// leased returns a ticket of a link without a connection.
func leased(t *testing.T) (*link, *Ticket) {
	t.Helper()
	s, err := New(Config{Servers: []string{"unused"}, SessionTimeout: 9 * time.Second}, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(s)
	return l, newTicket(l, "k", time.Now())
}

// PITFALLS 28: the lease runs from the send time of the last answered
// heartbeat, for 2/3 of the session timeout.
func TestLeaseRunsFromTheSendTime28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ticket := leased(t)
		defer l.close(false)
		if l.lease.register(ticket) {
			t.Error("register before the first answer: got true")
		}
		sent := time.Now()
		<-time.After(2 * time.Second) // a slow answer
		l.lease.renew(sent)
		if !l.lease.register(ticket) {
			t.Fatal("register with a lease: got false")
		}
		<-time.After(4*time.Second - time.Millisecond)
		synctest.Wait()
		if ticket.lost.Err() != nil {
			t.Error("lost before 2/3 of the timeout")
		}
		<-time.After(2 * time.Millisecond)
		synctest.Wait()
		if err := context.Cause(ticket.lost); !errors.Is(err, ErrLost) {
			t.Errorf("after 2/3 of the timeout: got %v, want ErrLost", err)
		}
	})
}

func TestLeaseIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ticket := leased(t)
		defer l.close(false)
		l.lease.renew(time.Now())
		l.lease.register(ticket)
		for range 20 {
			sent := time.Now()
			<-time.After(2 * time.Second)
			l.lease.renew(sent)
			l.lease.renew(sent.Add(-time.Hour)) // an old answer takes nothing away
		}
		synctest.Wait()
		if ticket.lost.Err() != nil {
			t.Error("lost although each answer came in time")
		}
	})
}

// PITFALLS 39: a process that was stopped may take in an answer before its
// timers run. What lapsed meanwhile is lost all the same.
func TestAnswerAfterTheLapseDoesNotReviveTickets39(t *testing.T) {
	l, ticket := leased(t)
	defer l.close(false)
	l.lease.timeout = time.Hour
	l.lease.renew(time.Now())
	l.lease.register(ticket)
	l.lease.mu.Lock()
	l.lease.term = Term{time.Now().Add(-time.Second)} // passed, and no timer ran
	l.lease.mu.Unlock()
	l.lease.renew(time.Now())
	if !isDone(ticket.lost) {
		t.Error("the ticket survived a lapse of the lease")
	}
	fresh := newTicket(l, "k", time.Now())
	if !l.lease.register(fresh) || isDone(fresh.lost) {
		t.Error("a ticket taken after the renewal is not leased")
	}
}

func isDone(ctx context.Context) bool { return ctx.Err() != nil }
