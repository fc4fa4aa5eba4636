package zookeeper_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	embedded "eshop/pkg/embedded/zookeeper"
	"eshop/pkg/zookeeper"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// env is one server, or ensemble, under test, and a root of the test's own.
type env struct {
	*testing.T
	addrs []string
	root  string
}

var roots atomic.Int64 // test state only

// onBoth runs a body on the embedded server and on a real ensemble.
func onBoth(t *testing.T, body func(*env)) {
	for _, backend := range []struct {
		name  string
		start func(*testing.T) []string
	}{
		{"embedded", startEmbedded},
		{"real", startReal},
	} {
		t.Run(backend.name, func(t *testing.T) {
			checkLeaks(t)
			addrs := backend.start(t)
			body(&env{T: t, addrs: addrs, root: fmt.Sprintf("/test-%d-%d", time.Now().UnixNano(), roots.Add(1))})
		})
	}
}

// checkLeaks fails the test if it leaves goroutines behind; call it first, so
// that it looks last.
func checkLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

func startEmbedded(t *testing.T) []string {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Config{MinSessionTimeout: 300 * time.Millisecond, TickTime: 20 * time.Millisecond}, embedded.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return []string{server.Addr()}
}

// session starts a session that ends with the test.
func (e *env) session(change ...func(*zookeeper.Config)) *zookeeper.Session {
	e.Helper()
	s, _ := e.stoppable(change...)
	return s
}

// stoppable starts a session and returns what ends it.
func (e *env) stoppable(change ...func(*zookeeper.Config)) (*zookeeper.Session, func()) {
	e.Helper()
	cfg := zookeeper.Config{Servers: e.addrs, Root: e.root, SessionTimeout: 4 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	s, err := zookeeper.New(cfg, zookeeper.Deps{})
	if err != nil {
		e.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				e.Errorf("Run: got %v, want nil", err)
			}
		case <-time.After(patience):
			e.Error("Run did not end with its context")
		}
	}
	e.Cleanup(stop)
	return s, stop
}

// through makes a session use other addresses, proxies mostly.
func through(proxies ...*proxy) func(*zookeeper.Config) {
	return func(c *zookeeper.Config) {
		c.Servers = nil
		for _, p := range proxies {
			c.Servers = append(c.Servers, p.addr())
		}
	}
}

func timeout(d time.Duration) func(*zookeeper.Config) {
	return func(c *zookeeper.Config) { c.SessionTimeout = d }
}

func (e *env) proxy() *proxy {
	e.Helper()
	return newProxy(e.T, e.addrs[0])
}

// ctx ends with the test, or when its patience does.
func (e *env) ctx() context.Context {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), patience)
	e.Cleanup(cancel)
	return ctx
}

// eventually polls until the condition, which says what is wrong, is content.
func (e *env) eventually(what string, wrong func() string) {
	e.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		is := wrong()
		if is == "" {
			return
		}
		if time.Now().After(deadline) {
			e.Fatalf("%s: %s", what, is)
		}
		<-tick.C
	}
}

// lockNodes lists every lock node, as seen by a client of its own.
func (e *env) lockNodes(s *zookeeper.Session) []string {
	e.Helper()
	var all []string
	stripes, err := s.Children(e.ctx(), "locks")
	if err != nil {
		return nil
	}
	for _, stripe := range stripes {
		nodes, err := s.Children(e.ctx(), "locks/"+stripe)
		if err != nil {
			e.Fatalf("list stripe %s: %v", stripe, err)
		}
		for _, node := range nodes {
			all = append(all, "locks/"+stripe+"/"+node)
		}
	}
	return all
}

// wantNoLockNodes waits until there is none.
func (e *env) wantNoLockNodes(s *zookeeper.Session) {
	e.Helper()
	e.eventually("lock nodes left behind", func() string { return strings.Join(e.lockNodes(s), " ") })
}

// raw is a client of the library itself.
func (e *env) raw() *zk.Conn {
	e.Helper()
	conn, events, err := zk.Connect(e.addrs, 4*time.Second, zk.WithLogger(silent{}), zk.WithLogInfo(false))
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() {
		conn.Close()
		for range events {
		}
	})
	return conn
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// held enqueues and waits, and fails the test if that does.
func (e *env) held(s *zookeeper.Session, name string) *zookeeper.Ticket {
	e.Helper()
	t, err := s.Enqueue(e.ctx(), name)
	if err != nil {
		e.Fatal(err)
	}
	if err := t.Wait(e.ctx()); err != nil {
		e.Fatal(err)
	}
	return t
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
