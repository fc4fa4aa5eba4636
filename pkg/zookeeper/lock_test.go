package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/zookeeper"
)

func TestLockExcludesAndTokensRiseInGrantOrder(t *testing.T) {
	onBoth(t, func(e *env) {
		sessions := []*zookeeper.Session{e.session(), e.session(), e.session()}
		const contenders, rounds = 24, 4
		var mu sync.Mutex
		inside := 0
		var granted []int64
		var tasks sync.WaitGroup
		for i := range contenders {
			s := sessions[i%len(sessions)]
			tasks.Go(func() {
				for range rounds {
					ticket, err := s.Enqueue(e.ctx(), "product-7")
					if err != nil {
						e.Error(err)
						return
					}
					if err := ticket.Wait(e.ctx()); err != nil {
						e.Error(err)
						return
					}
					mu.Lock()
					inside++
					if inside != 1 {
						e.Errorf("holders at a time: got %d, want 1", inside)
					}
					granted = append(granted, ticket.Token())
					mu.Unlock()
					mu.Lock()
					inside--
					mu.Unlock()
					ticket.Release()
				}
			})
		}
		tasks.Wait()
		if got, want := len(granted), contenders*rounds; got != want {
			e.Fatalf("grants: got %d, want %d", got, want)
		}
		for i := 1; i < len(granted); i++ {
			if granted[i] <= granted[i-1] {
				e.Fatalf("grant %d: token %d after %d", i, granted[i], granted[i-1])
			}
		}
		e.wantNoLockNodes(sessions[0])
	})
}

func TestTokensAreOfOneOrder(t *testing.T) {
	onBoth(t, func(e *env) {
		a, b := e.session(), e.session()
		var last int64
		next := func(what string, token int64, err error) {
			e.Helper()
			if err != nil {
				e.Fatalf("%s: %v", what, err)
			}
			if token <= last {
				e.Fatalf("%s: token %d after %d", what, token, last)
			}
			last = token
		}
		for i := range 10 {
			token, err := a.Token(e.ctx())
			next("token of a", token, err)
			ticket, err := b.Enqueue(e.ctx(), fmt.Sprint("lock ", i))
			if err != nil {
				e.Fatal(err)
			}
			next("ticket of b", ticket.Token(), nil)
			ticket.Release()
			token, err = b.Token(e.ctx())
			next("token of b", token, err)
		}
		var mu sync.Mutex
		seen := map[int64]bool{}
		var tasks sync.WaitGroup
		for i := range 40 {
			s := []*zookeeper.Session{a, b}[i%2]
			tasks.Go(func() {
				token, err := s.Token(e.ctx())
				mu.Lock()
				defer mu.Unlock()
				if err != nil || seen[token] || token <= last {
					e.Errorf("token %d, seen %v, last before %d, error %v", token, seen[token], last, err)
				}
				seen[token] = true
			})
		}
		tasks.Wait()
	})
}

// PITFALLS 26: a waiter that gives up must not stay in the queue.
func TestCancelledWaitersLeaveNoNode26(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		holder := e.held(s, "k")
		var tasks sync.WaitGroup
		for range 40 {
			limit := rand.N(15 * time.Millisecond)
			tasks.Go(func() {
				ctx, cancel := context.WithTimeout(e.Context(), limit)
				defer cancel()
				ticket, err := s.Enqueue(ctx, "k")
				if err == nil {
					err = ticket.Wait(ctx)
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					e.Errorf("wait: got %v, want a deadline", err)
				}
			})
		}
		tasks.Wait()
		e.eventually("only the holder's node stays", func() string {
			if nodes := e.lockNodes(s); len(nodes) != 1 {
				return fmt.Sprint(nodes)
			}
			return ""
		})
		// The next one in line gets the lock although all between gave up.
		next, err := s.Enqueue(e.ctx(), "k")
		if err != nil {
			e.Fatal(err)
		}
		holder.Release()
		if err := next.Wait(e.ctx()); err != nil {
			e.Fatal(err)
		}
		next.Release()
		e.wantNoLockNodes(s)
	})
}

// PITFALLS 26: the answer to a create is lost with its connection.
func TestCreateCutMidFlight26(t *testing.T) {
	for _, test := range []struct {
		name string
		at   func(*proxy, func(int32) bool)
	}{
		{"before the server saw it", (*proxy).onRequest},
		{"before its answer", (*proxy).onReply},
	} {
		t.Run(test.name, func(t *testing.T) {
			onBoth(t, func(e *env) {
				p := e.proxy()
				s, other := e.session(through(p)), e.session()
				e.held(s, "k").Release() // the stripe exists
				e.wantNoLockNodes(other)
				var creates atomic.Int32
				test.at(p, func(op int32) bool { return op == opCreate && creates.Add(1) <= 2 })
				ticket, err := s.Enqueue(e.ctx(), "k")
				if err != nil {
					e.Fatal(err)
				}
				if nodes := e.lockNodes(other); len(nodes) != 1 {
					e.Errorf("nodes of one ticket: got %v", nodes)
				}
				if err := ticket.Wait(e.ctx()); err != nil {
					e.Fatal(err)
				}
				ticket.Release()
				e.wantNoLockNodes(other)
			})
		})
	}
}

// PITFALLS 26: the context ends between the create and its answer, with the
// connection kept and with the connection cut.
func TestContextEndsBeforeTheAnswer26(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut=%v", cut), func(t *testing.T) {
			onBoth(t, func(e *env) {
				p := e.proxy()
				s, other := e.session(through(p)), e.session()
				e.held(s, "k").Release()
				e.wantNoLockNodes(other)
				created, answer := make(chan struct{}), make(chan struct{})
				var once sync.Once
				p.onReply(func(op int32) bool {
					if op != opCreate {
						return false
					}
					once.Do(func() { close(created) })
					<-answer
					return cut
				})
				ctx, cancel := context.WithCancel(e.ctx())
				failed := make(chan error)
				go func() {
					_, err := s.Enqueue(ctx, "k")
					failed <- err
				}()
				<-created
				if nodes := e.lockNodes(other); len(nodes) != 1 {
					e.Errorf("the node before the answer: got %v", nodes)
				}
				cancel()
				if err := <-failed; !errors.Is(err, context.Canceled) {
					e.Errorf("enqueue: got %v, want canceled", err)
				}
				p.onReply(nil)
				close(answer)
				e.wantNoLockNodes(other)
				if s.State() == zookeeper.Expired {
					e.Error("the session expired: the node's end proves nothing")
				}
			})
		})
	}
}

func TestOnlyTheSuccessorIsWoken(t *testing.T) {
	onBoth(t, func(e *env) {
		head := e.held(e.session(), "k")
		const waiters = 6
		var proxies []*proxy
		var tickets []*zookeeper.Ticket
		waits := make([]chan error, waiters)
		for i := range waiters {
			p := e.proxy()
			ticket, err := e.session(through(p)).Enqueue(e.ctx(), "k")
			if err != nil {
				e.Fatal(err)
			}
			proxies, tickets = append(proxies, p), append(tickets, ticket)
			waits[i] = make(chan error, 1)
			go func() { waits[i] <- ticket.Wait(e.ctx()) }()
		}
		for i, p := range proxies { // own node and predecessor are watched
			e.eventually(fmt.Sprintf("waiter %d watches", i), func() string {
				if n := p.count(opGetData); n < 2 {
					return fmt.Sprint(n, " reads")
				}
				return ""
			})
		}
		head.Release()
		if err := <-waits[0]; err != nil {
			e.Fatal(err)
		}
		for i, p := range proxies {
			want := 0
			if i == 0 {
				want = 1
			}
			if got := p.count(opEvent); got != want {
				e.Errorf("events sent to waiter %d: got %d, want %d", i, got, want)
			}
		}
		for i := range tickets {
			tickets[i].Release()
			if i+1 < len(tickets) {
				if err := <-waits[i+1]; err != nil {
					e.Fatal(err)
				}
			}
		}
	})
}

// PITFALLS 28: a holder whose node is gone is told.
func TestHolderIsToldThatItsNodeIsGone28(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		ticket := e.held(s, "k")
		ctx, cancel := ticket.Context(e.ctx())
		defer cancel()
		nodes := e.lockNodes(s)
		if len(nodes) != 1 {
			e.Fatalf("lock nodes: got %v, want 1", nodes)
		}
		if err := s.Delete(e.ctx(), nodes[0], -1); err != nil {
			e.Fatal(err)
		}
		select {
		case <-ticket.Lost():
		case <-e.ctx().Done():
			e.Fatal("Lost was not closed")
		}
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, zookeeper.ErrLost) {
			e.Errorf("cause: got %v, want ErrLost", err)
		}
		if err := ticket.Wait(e.ctx()); !errors.Is(err, zookeeper.ErrLost) {
			e.Errorf("Wait on a lost ticket: got %v, want ErrLost", err)
		}
		ticket.Release()
		if late, stop := ticket.Context(e.ctx()); late.Err() == nil {
			stop()
			e.Error("the context of a lost ticket is alive")
		} else {
			stop()
		}
	})
}

func TestReleaseEndsWait(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		holder := e.held(s, "k")
		waiter, err := s.Enqueue(e.ctx(), "k")
		if err != nil {
			e.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- waiter.Wait(e.ctx()) }()
		waiter.Release()
		if err := <-done; !errors.Is(err, zookeeper.ErrReleased) {
			e.Errorf("Wait after Release: got %v, want ErrReleased", err)
		}
		if isClosed(waiter.Lost()) || isClosed(holder.Lost()) {
			e.Error("Release closed Lost")
		}
		holder.Release()
		holder.Release()
		e.wantNoLockNodes(s)
	})
}

func TestLocksOfOneStripeAreApart(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		names := []string{"a", "a-b", "a/b", "a b", "ä", "a-0000000001", "-", ".."}
		for i := range 300 { // more than the stripes: some share one
			names = append(names, fmt.Sprint("product-", i))
		}
		var tokens []int64
		var tickets []*zookeeper.Ticket
		for _, name := range names {
			ticket := e.held(s, name)
			tokens, tickets = append(tokens, ticket.Token()), append(tickets, ticket)
		}
		if !slices.IsSorted(tokens) {
			e.Error("tokens do not rise")
		}
		for _, ticket := range tickets {
			ticket.Release()
		}
		e.wantNoLockNodes(s)
	})
}

func TestStripesAreMadeAgain(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session()
		e.held(s, "k").Release()
		e.wantNoLockNodes(s)
		stripes, err := s.Children(e.ctx(), "locks")
		if err != nil || len(stripes) != 1 {
			e.Fatalf("stripes: got %v, %v; want one", stripes, err)
		}
		for _, path := range []string{"locks/" + stripes[0], "locks"} {
			if err := s.Delete(e.ctx(), path, -1); err != nil {
				e.Fatal(err)
			}
		}
		e.held(s, "k").Release()
	})
}

func TestTicketsAreBounded(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session(func(c *zookeeper.Config) { c.MaxTickets = 2 })
		a, b := e.held(s, "a"), e.held(s, "b")
		ctx, cancel := context.WithTimeout(e.ctx(), 50*time.Millisecond)
		defer cancel()
		if _, err := s.Enqueue(ctx, "c"); !errors.Is(err, context.DeadlineExceeded) {
			e.Errorf("a third ticket: got %v, want a deadline", err)
		}
		a.Release()
		e.held(s, "c").Release()
		b.Release()
		e.wantNoLockNodes(s)
	})
}
