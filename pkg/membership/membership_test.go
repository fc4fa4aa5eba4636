package membership_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/membership"
	"eshop/pkg/ring"
)

// lists is a ZooKeeper of which the test says what it shows.
type lists struct {
	joined chan string
	show   chan map[string][]byte
}

func newLists() *lists {
	return &lists{joined: make(chan string, 8), show: make(chan map[string][]byte)}
}

func (l *lists) Join(ctx context.Context, group, id string, data []byte) {
	l.joined <- group + "/" + id + " " + string(data)
}

func (l *lists) WatchChildren(ctx context.Context, _ string, fn func(map[string][]byte)) {
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case nodes := <-l.show:
				fn(nodes)
			}
		}
	}()
}

func nodes(ids ...string) map[string][]byte {
	out := map[string][]byte{}
	for _, id := range ids {
		data, _ := json.Marshal(map[string]string{"id": id, "addr": id + ":1"})
		out[id] = data
	}
	return out
}

func ids(r *ring.Ring) string {
	if r == nil {
		return "unknown"
	}
	var out []string
	for _, m := range r.Members() {
		out = append(out, m.ID)
	}
	return fmt.Sprint(out)
}

func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		zk := newLists()
		var back atomic.Bool
		g := membership.New(membership.Config{Role: "cache", Self: &ring.Member{ID: "a", Addr: "a:1"}, ProbeEvery: time.Second,
			Probe: func(context.Context, ring.Member) error {
				if back.Load() {
					return nil
				}
				return errors.New("still away")
			}}, membership.Deps{Session: zk})
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		want := func(when, list string) {
			t.Helper()
			synctest.Wait()
			if got := ids(g.Ring()); got != list {
				t.Errorf("%s: the ring is %s, want %s", when, got, list)
			}
		}
		want("before the first list", "unknown")
		if got := <-zk.joined; got != `cache/a {"id":"a","addr":"a:1"}` {
			t.Errorf("joined as %s", got)
		}
		list := nodes("a", "b", "c")
		list["bad"] = []byte("not a member")
		zk.show <- list
		want("after a list with an unreadable node", "[a b c]")

		g.Eject("b", errors.New("refused"))
		g.Eject("a", errors.New("that is this process"))
		g.Eject("nosuch", nil)
		want("after ejecting b", "[a c]")
		<-time.After(3500 * time.Millisecond) // by the clock of the bubble
		want("while b does not answer its probes", "[a c]")
		back.Store(true)
		<-time.After(1100 * time.Millisecond)
		want("after b answered", "[a b c]")

		back.Store(false)
		g.Eject("b", nil)
		g.Eject("c", nil)
		want("after ejecting b and c", "[a]")
		list = nodes("a", "c")
		list["b"] = []byte(`{"id":"b","addr":"elsewhere:1"}`)
		zk.show <- list
		want("b registered anew, c did not", "[a b]")
		zk.show <- nodes("b")
		g.Eject("b", nil)
		want("all ejected", "[b]")
		zk.show <- nil
		want("an empty list", "[b]")

		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// A member that is not ready yet watches the group, knows its members, and joins
// when it is told to; it may also end without having joined.
func TestJoinWhen(t *testing.T) {
	for _, joins := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			zk, when := newLists(), make(chan struct{})
			g := membership.New(membership.Config{Role: "gateway", Self: &ring.Member{ID: "a", Addr: "a:1"}, JoinWhen: when}, membership.Deps{Session: zk})
			done := make(chan error, 1)
			go func() { done <- g.Run(ctx) }()

			soon, stop := context.WithTimeout(ctx, time.Second)
			defer stop()
			if _, err := g.Await(soon); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("before the first list: %v, want that the time is up", err)
			}
			zk.show <- nodes("b", "c")
			if r, err := g.Await(ctx); err != nil || ids(r) != "[b c]" {
				t.Errorf("the first list: %s, %v", ids(r), err)
			}
			synctest.Wait()
			if n := len(zk.joined); n != 0 {
				t.Errorf("it joined %d times before it was told to", n)
			}
			if joins {
				close(when)
				if got := <-zk.joined; got != `gateway/a {"id":"a","addr":"a:1"}` {
					t.Errorf("joined as %s", got)
				}
				zk.show <- nodes("a", "b", "c")
				synctest.Wait()
				if got := ids(g.Ring()); got != "[a b c]" {
					t.Errorf("after it joined: %s", got)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}
