package membership_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	embedded "eshop/pkg/embedded/zookeeper"
	"eshop/pkg/lab"
	"eshop/pkg/membership"
	"eshop/pkg/ring"
	"eshop/pkg/zookeeper"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }))
}

// onBoth runs a body on the embedded ZooKeeper server and on a real ensemble.
func onBoth(t *testing.T, body func(t *testing.T, servers []string)) {
	t.Run("embedded", func(t *testing.T) {
		s, err := embedded.Start(t.Context(), embedded.Config{}, embedded.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close the embedded server: %v", err)
			}
		})
		body(t, []string{s.Addr()})
	})
	t.Run("real", func(t *testing.T) { body(t, lab.ZooKeeper(t).Addrs()) })
}

// process is one process with a session of its own and a view of the group.
type process struct {
	*membership.Group
	leave func() // ends group and session, as an orderly stop does
}

// join starts a process; without an id it only watches.
func join(t *testing.T, servers []string, root, id string) *process {
	t.Helper()
	return joinWhen(t, servers, root, id, nil)
}

func joinWhen(t *testing.T, servers []string, root, id string, when <-chan struct{}) *process {
	t.Helper()
	session, err := zookeeper.New(zookeeper.Config{Servers: servers, Root: root, SessionTimeout: 4 * time.Second}, zookeeper.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	var self *ring.Member
	if id != "" {
		self = &ring.Member{ID: id, Addr: id + ":1"}
	}
	g := membership.New(membership.Config{Role: "cache", Self: self, JoinWhen: when, ProbeEvery: 20 * time.Millisecond,
		Probe: func(_ context.Context, m ring.Member) error { return errors.New(m.ID + " is still away") }},
		membership.Deps{Session: session})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- session.Run(ctx) }()
	go func() { ended <- g.Run(ctx) }()
	p := &process{Group: g}
	p.leave = func() {
		if cancel == nil {
			return
		}
		cancel()
		cancel = nil
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("%q: %v", id, err)
			}
		}
	}
	t.Cleanup(p.leave)
	return p
}

// TestRingFollowsZooKeeper: members come, leave and come back, and every ring follows, also that of a
// process which is no member.
func TestRingFollowsZooKeeper(t *testing.T) {
	onBoth(t, func(t *testing.T, servers []string) {
		root := "/" + lab.Name(t)
		watcher, a := join(t, servers, root, ""), join(t, servers, root, "a")
		follow := func(when, want string, all ...*process) {
			t.Helper()
			lab.Until(t, 20*time.Second, func(context.Context) error {
				for i, p := range all {
					if got := ids(p.Ring()); got != want {
						return fmt.Errorf("%s: process %d has the ring %s, want %s", when, i, got, want)
					}
				}
				return nil
			})
		}
		follow("the first joined", "[a]", watcher, a)
		b, c := join(t, servers, root, "b"), join(t, servers, root, "c")
		follow("all joined", "[a b c]", watcher, a, b, c)
		for hash := range uint64(64) {
			want, _ := watcher.Ring().Owner(hash << 58)
			for _, p := range []*process{a, b, c} {
				if got, ok := p.Ring().Owner(hash << 58); !ok || got != want {
					t.Fatalf("owner of %x: got %v, want %v as the others say", hash<<58, got, want)
				}
			}
		}
		b.leave()
		follow("b left", "[a c]", watcher, a, c)
		watcher.Eject("c", errors.New("refused"))
		follow("c was ejected by one", "[a]", watcher)
		follow("c was ejected by another", "[a c]", a, c)
		c.leave()
		follow("c left", "[a]", watcher, a)
		again := join(t, servers, root, "c")
		follow("c came back with a clean slate", "[a c]", watcher, a, again)
	})
}

// TestJoinsLater: a process that warms up first knows the others and is not among them; once it joins,
// all see it.
func TestJoinsLater(t *testing.T) {
	onBoth(t, func(t *testing.T, servers []string) {
		root, when := "/"+lab.Name(t), make(chan struct{})
		a := join(t, servers, root, "a")
		lab.Until(t, 20*time.Second, func(context.Context) error {
			if got := ids(a.Ring()); got != "[a]" {
				return errors.New("a has the ring " + got)
			}
			return nil
		})
		b := joinWhen(t, servers, root, "b", when)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if r, err := b.Await(ctx); err != nil || ids(r) != "[a]" {
			t.Fatalf("before it joins, b has the ring %s, %v; want [a]", ids(r), err)
		}
		if got := ids(a.Ring()); got != "[a]" {
			t.Errorf("before b joins, a has the ring %s", got)
		}
		close(when)
		lab.Until(t, 20*time.Second, func(context.Context) error {
			if x, y := ids(a.Ring()), ids(b.Ring()); x != "[a b]" || y != "[a b]" {
				return fmt.Errorf("a has the ring %s, b %s, want [a b]", x, y)
			}
			return nil
		})
	})
}
