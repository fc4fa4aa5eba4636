package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/zookeeper"
)

func TestNewNamesEveryProblem(t *testing.T) {
	for _, test := range []struct {
		name string
		cfg  zookeeper.Config
		want []string
	}{
		{"nothing", zookeeper.Config{}, []string{"no ZooKeeper server"}},
		{"all", zookeeper.Config{Servers: []string{" "}, Root: "a/", SessionTimeout: time.Millisecond, Auth: &zookeeper.Auth{User: "a:b"}},
			[]string{"address is empty", `the root "a/"`, "below 300 ms", `user "a:b"`}},
		{"trailing slash", zookeeper.Config{Servers: []string{"a"}, Root: "/a/"}, []string{"not an absolute, clean path"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := zookeeper.New(test.cfg, zookeeper.Deps{})
			if err == nil {
				t.Fatal("New: got nil, want an error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	if _, err := zookeeper.New(zookeeper.Config{Servers: []string{"a:1", "b"}}, zookeeper.Deps{Registry: prometheus.NewRegistry()}); err != nil {
		t.Errorf("New: got %v, want nil", err)
	}
}

func TestNodes(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		if _, _, err := s.Get(e.ctx(), "a"); !errors.Is(err, zookeeper.ErrNoNode) {
			e.Errorf("Get of nothing: got %v, want ErrNoNode", err)
		}
		if err := s.Create(e.ctx(), "a/b/c", []byte("1")); err != nil {
			e.Fatal(err)
		}
		if err := s.Create(e.ctx(), "/a/b/c/", nil); !errors.Is(err, zookeeper.ErrNodeExists) {
			e.Errorf("second Create: got %v, want ErrNodeExists", err)
		}
		if err := s.Ensure(e.ctx(), "a/b/c", "x/y", ""); err != nil {
			e.Fatal(err)
		}
		if version, err := s.Set(e.ctx(), "a/b/c", []byte("2"), 0); version != 1 || err != nil {
			e.Errorf("Set of version 0: got %d, %v; want 1", version, err)
		}
		if _, err := s.Set(e.ctx(), "a/b/c", []byte("3"), 0); !errors.Is(err, zookeeper.ErrBadVersion) {
			e.Errorf("Set of an old version: got %v, want ErrBadVersion", err)
		}
		if data, version, err := s.Get(e.ctx(), "a/b/c"); string(data) != "2" || version != 1 || err != nil {
			e.Errorf("Get: got %q, %d, %v; want 2, 1", data, version, err)
		}
		if err := s.Put(e.ctx(), "a/b/c", []byte("4")); err != nil {
			e.Error(err)
		}
		if err := s.Put(e.ctx(), "p/q", []byte("5")); err != nil {
			e.Error(err)
		}
		if children, err := s.Children(e.ctx(), ""); len(children) != 3 || err != nil {
			e.Errorf("children of the root: got %v, %v; want 3", children, err)
		}
		if err := s.Delete(e.ctx(), "a/b", -1); !errors.Is(err, zookeeper.ErrNotEmpty) {
			e.Errorf("Delete with children: got %v, want ErrNotEmpty", err)
		}
		if err := s.Delete(e.ctx(), "a/b/c", 7); !errors.Is(err, zookeeper.ErrBadVersion) {
			e.Errorf("Delete of a wrong version: got %v, want ErrBadVersion", err)
		}
		for range 2 {
			if err := s.Delete(e.ctx(), "a/b/c", -1); err != nil {
				e.Errorf("Delete: got %v, want nil", err)
			}
		}
		if _, err := s.Children(e.ctx(), "a/b/c"); !errors.Is(err, zookeeper.ErrNoNode) {
			e.Errorf("Children of nothing: got %v, want ErrNoNode", err)
		}
	})
}

func TestStatesAndClose(t *testing.T) {
	onBoth(t, func(e *env) {
		registry := prometheus.NewRegistry()
		s, err := zookeeper.New(zookeeper.Config{Servers: e.addrs, Root: e.root}, zookeeper.Deps{Registry: registry})
		if err != nil {
			e.Fatal(err)
		}
		if got := s.State(); got != zookeeper.Connecting {
			e.Errorf("state before Run: got %v", got)
		}
		brief, cancel := context.WithTimeout(e.ctx(), 20*time.Millisecond)
		defer cancel()
		if err := s.Connected(brief); !errors.Is(err, context.DeadlineExceeded) {
			e.Errorf("Connected before Run: got %v, want a deadline", err)
		}
		ctx, stop := context.WithCancel(e.ctx())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		ticket := e.held(s, "k")
		s.Join(e.ctx(), "g", "a", nil)
		other := e.session()
		e.eventually("member", func() string {
			if _, _, err := other.Get(e.ctx(), zookeeper.MembersPath("g")+"/a"); err != nil {
				return err.Error()
			}
			return ""
		})
		for state, want := range map[zookeeper.State]float64{zookeeper.Connected: 1, zookeeper.Connecting: 0, zookeeper.Closed: 0} {
			if got := gathered(e.T, registry, "eshop_zookeeper_session_state", state.String()); got != want {
				e.Errorf("gauge of the state %v: got %v, want %v", state, got, want)
			}
		}
		if got := gathered(e.T, registry, "eshop_lock_wait_seconds"); got != 1 {
			e.Errorf("observations of eshop_lock_wait_seconds: got %v, want 1", got)
		}
		stop()
		if err := <-ended; err != nil {
			e.Errorf("Run: got %v, want nil", err)
		}
		if got := s.State(); got != zookeeper.Closed {
			e.Errorf("state after Run: got %v", got)
		}
		if !isClosed(ticket.Lost()) {
			e.Error("Lost is open after Run")
		}
		if _, err := s.Enqueue(e.ctx(), "k"); !errors.Is(err, zookeeper.ErrClosed) {
			e.Errorf("Enqueue after Run: got %v, want ErrClosed", err)
		}
		if err := s.Run(e.ctx()); err == nil {
			e.Error("second Run: got nil, want an error")
		}
		// closeSession was sent: nothing waits for the session's timeout.
		began := time.Now()
		e.wantNoLockNodes(other)
		if took := time.Since(began); took > 2*time.Second {
			e.Errorf("the closed session's nodes stayed for %v", took)
		}
	})
}

// PITFALLS 40, 27: being disconnected for about a second, as all clients are
// when the leader dies, loses neither session nor lock.
func TestDisconnectOfASecondIsNoLoss40(t *testing.T) {
	onBoth(t, func(e *env) {
		p := e.proxy()
		s := e.session(through(p))
		ticket := e.held(s, "k")
		ctx, cancel := ticket.Context(e.ctx())
		defer cancel()
		p.cut()
		e.waitState(s, zookeeper.Suspended)
		<-time.After(1020 * time.Millisecond)
		p.heal()
		e.waitState(s, zookeeper.Connected)
		if isClosed(ticket.Lost()) || ctx.Err() != nil {
			e.Error("the lock was lost by a disconnect of a second")
		}
		if nodes := e.lockNodes(s); len(nodes) != 1 {
			e.Errorf("lock nodes: got %v, want the ticket's", nodes)
		}
		ticket.Release()
		e.wantNoLockNodes(s)
	})
}

func (e *env) waitState(s *zookeeper.Session, want zookeeper.State) {
	e.Helper()
	for {
		got, changed := s.Changed()
		if got == want {
			return
		}
		select {
		case <-changed:
		case <-e.ctx().Done():
			e.Fatalf("state: got %v, want %v", got, want)
		}
	}
}

// PITFALLS 28, 39, 29: a holder that hears nothing steps down by its own clock
// before the servers give its lock to the next.
func TestSilentHolderStepsDownBeforeTheNextHolds28(t *testing.T) {
	onBoth(t, func(e *env) {
		p := e.proxy()
		holder := e.held(e.session(through(p), timeout(2*time.Second)), "k")
		lost := make(chan time.Time, 1)
		next, err := e.session().Enqueue(e.ctx(), "k")
		if err != nil {
			e.Fatal(err)
		}
		go func() {
			<-holder.Lost()
			lost <- time.Now()
		}()
		muted := time.Now()
		p.mute()
		if err := next.Wait(e.ctx()); err != nil {
			e.Fatal(err)
		}
		held := time.Now()
		if !isClosed(holder.Lost()) {
			e.Fatal("two holders at a time")
		}
		at := <-lost
		e.Logf("lost after %v, next held after %v", at.Sub(muted), held.Sub(muted))
		if after := at.Sub(muted); after > 1500*time.Millisecond {
			e.Errorf("step-down after %v, want 2/3 of 2 s at most", after)
		}
		if next.Token() <= holder.Token() {
			e.Errorf("tokens: got %d after %d", next.Token(), holder.Token())
		}
		p.unmute()
		holder.Release()
		next.Release()
	})
}

// PITFALLS 27, 29: after an expiry a new session is made; no request of the
// old one reaches it.
func TestExpiryMakesANewSession27(t *testing.T) {
	onBoth(t, func(e *env) {
		registry := prometheus.NewRegistry()
		p := e.proxy()
		s, err := zookeeper.New(zookeeper.Config{Servers: []string{p.addr()}, Root: e.root, SessionTimeout: time.Second}, zookeeper.Deps{Registry: registry})
		if err != nil {
			e.Fatal(err)
		}
		ctx, cancel := context.WithCancel(e.ctx())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		other := e.session()
		for range 2 {
			ticket := e.held(s, "k")
			p.cut()
			e.wantNoLockNodes(other) // expired by the servers
			p.heal()
			<-ticket.Lost()
			ticket.Release()
			fresh := e.held(s, "k")
			if fresh.Token() <= ticket.Token() {
				e.Errorf("token of the new session: got %d after %d", fresh.Token(), ticket.Token())
			}
			fresh.Release()
			e.wantNoLockNodes(other)
		}
		if got := gathered(e.T, registry, "eshop_zookeeper_session_expiries_total"); got != 2 {
			e.Errorf("expiries: got %v, want 2", got)
		}
		if got := gathered(e.T, registry, "eshop_lock_losses_total"); got != 2 {
			e.Errorf("losses: got %v, want 2", got)
		}
		cancel()
		if err := <-ended; err != nil {
			e.Error(err)
		}
	})
}

// gathered returns a counter's or gauge's value, or a histogram's count.
func gathered(t *testing.T, registry *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var has []string
			for _, label := range metric.GetLabel() {
				has = append(has, label.GetValue())
			}
			if family.GetName() == name && slices.Equal(has, labels) {
				return metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	t.Fatalf("no metric %s %v", name, labels)
	return 0
}

func TestOutageAtStart(t *testing.T) {
	onBoth(t, func(e *env) {
		p := e.proxy()
		p.cut()
		s := e.session(through(p))
		ctx, cancel := context.WithTimeout(e.ctx(), 200*time.Millisecond)
		defer cancel()
		if err := s.Connected(ctx); !errors.Is(err, context.DeadlineExceeded) {
			e.Errorf("Connected: got %v, want a deadline", err)
		}
		p.heal()
		e.held(s, "k").Release()
	})
}

func TestAuth(t *testing.T) {
	onBoth(t, func(e *env) {
		owner := &zookeeper.Auth{User: "eshop", Password: "secret"}
		p := e.proxy()
		s := e.session(through(p), func(c *zookeeper.Config) { c.Auth = owner })
		ticket := e.held(s, "k")
		ctx, leave := context.WithCancel(e.ctx())
		defer leave()
		s.Join(ctx, "g", "a", nil)
		if err := s.Put(e.ctx(), "a/b", []byte("1")); err != nil {
			e.Fatal(err)
		}
		if _, err := s.Token(e.ctx()); err != nil {
			e.Fatal(err)
		}
		e.eventually("member", func() string {
			if _, _, err := s.Get(e.ctx(), "members/g/a"); err != nil {
				return err.Error()
			}
			return ""
		})
		// The credentials are presented on each connection anew.
		p.cut()
		e.waitState(s, zookeeper.Suspended)
		p.heal()
		if _, _, err := s.Get(e.ctx(), "a/b"); err != nil {
			e.Errorf("after a reconnect: %v", err)
		}
		raw := e.raw()
		paths := append(e.lockNodes(s), "", "a", "a/b", "token", "locks", "members", "members/g", "members/g/a")
		for _, path := range paths {
			full := strings.TrimSuffix(e.root+"/"+path, "/")
			if _, _, err := raw.Get(full); !errors.Is(err, zk.ErrNoAuth) {
				e.Errorf("a stranger reads %s: got %v, want ErrNoAuth", full, err)
			}
		}
		stranger := e.session()
		brief, cancel := context.WithTimeout(e.ctx(), 5*time.Second)
		defer cancel()
		if _, err := stranger.Enqueue(brief, "k"); !errors.Is(err, zk.ErrNoAuth) {
			e.Errorf("a stranger enqueues: got %v, want ErrNoAuth", err)
		}
		ticket.Release()
		e.wantNoLockNodes(s)
	})
}

func TestStateNames(t *testing.T) {
	for state, want := range map[zookeeper.State]string{
		zookeeper.Connecting: "connecting", zookeeper.Connected: "connected", zookeeper.Suspended: "suspended",
		zookeeper.Expired: "expired", zookeeper.Closed: "closed", 9: "state 9",
	} {
		if got := fmt.Sprint(state); got != want {
			t.Errorf("state %d: got %q, want %q", int(state), got, want)
		}
	}
}
