package zookeeper_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	embedded "eshop/pkg/embedded/zookeeper"
	"eshop/pkg/zookeeper"
)

// The servers may grant less than what was asked for: the own clock must go by
// what they grant.
func TestGrantedTimeoutCounts(t *testing.T) {
	checkLeaks(t)
	server, err := embedded.Start(t.Context(), embedded.Config{MinSessionTimeout: 300 * time.Millisecond, MaxSessionTimeout: 900 * time.Millisecond}, embedded.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	e := &env{T: t, addrs: []string{server.Addr()}, root: "/granted"}
	p := e.proxy()
	ticket := e.held(e.session(through(p), timeout(time.Minute)), "k")
	began := time.Now()
	p.mute()
	<-ticket.Lost()
	if took := time.Since(began); took > 850*time.Millisecond {
		t.Errorf("step-down after %v, want 2/3 of 0.9 s at most", took)
	}
	p.unmute()
}

// A server that is stopped, but whose kernel accepts, must not hold the client
// until its lock is lost.
func TestSilentServerIsLeftInTime(t *testing.T) {
	onBoth(t, func(e *env) {
		a, b := e.proxy(), e.proxy()
		s := e.session(through(a, b), timeout(3*time.Second))
		ticket := e.held(s, "k")
		used := a
		if b.count(opCreate) > 0 {
			used = b
		}
		began := time.Now()
		used.mute() // new connections to it are accepted, and silent
		e.waitState(s, zookeeper.Suspended)
		e.waitState(s, zookeeper.Connected)
		e.Logf("on the other server after %v", time.Since(began))
		if isClosed(ticket.Lost()) {
			e.Error("the lock was lost")
		}
		ticket.Release()
		e.wantNoLockNodes(s)
		used.unmute()
	})
}

func TestDeadAndDumbServersAreSkipped(t *testing.T) {
	onBoth(t, func(e *env) {
		dumb, err := net.Listen("tcp", "127.0.0.1:0") // accepts in the kernel, never answers
		if err != nil {
			e.Fatal(err)
		}
		defer dumb.Close()
		closed, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			e.Fatal(err)
		}
		closed.Close()
		s := e.session(func(c *zookeeper.Config) {
			c.Servers = append([]string{dumb.Addr().String(), closed.Addr().String(), "name.invalid:1"}, e.addrs...)
		})
		if err := s.Connected(e.ctx()); err != nil {
			e.Error(err)
		}
	})
}

func TestCallsEndWithTheirContextAndAreBounded(t *testing.T) {
	onBoth(t, func(e *env) {
		p := e.proxy()
		s := e.session(through(p), timeout(20*time.Second), func(c *zookeeper.Config) { c.MaxCalls = 8 })
		if err := s.Put(e.ctx(), "a", nil); err != nil {
			e.Fatal(err)
		}
		p.mute()
		for i := range 20 { // the last ones do not even get a place
			ctx, cancel := context.WithTimeout(e.ctx(), 10*time.Millisecond)
			began := time.Now()
			_, _, err := s.Get(ctx, "a")
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second {
				e.Errorf("call %d on a silent connection: got %v after %v, want a deadline", i, err, time.Since(began))
			}
			cancel()
		}
		p.unmute()
		if _, _, err := s.Get(e.ctx(), "a"); err != nil {
			e.Errorf("after the silence: %v", err)
		}
	})
}
