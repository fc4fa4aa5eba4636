package zookeeper_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

func TestMain(m *testing.M) {
	if setting := os.Getenv(holdVariable); setting != "" {
		os.Exit(hold(setting))
	}
	os.Exit(lab.Main(m))
}

// startReal returns the shared ensemble of this run.
func startReal(t *testing.T) []string {
	t.Helper()
	return lab.ZooKeeper(t).Addrs()
}

// PITFALLS 27, 40: the leader's death disconnects every client for a second and
// costs nobody a session, a lock, a place in a queue or a membership. A stopped
// follower holds its clients up no longer.
func TestLeaderKilledIsNoLoss40(t *testing.T) {
	checkLeaks(t)
	ensemble := lab.ZooKeeperNew(t)
	e := &env{T: t, addrs: ensemble.Addrs(), root: "/leader"}
	var sessions []*zookeeper.Session
	var holders, waiters []*zookeeper.Ticket
	waits := make(chan error, 2*len(e.addrs))
	for i, addr := range e.addrs { // one session begins on each node
		s := e.session(timeout(8*time.Second), func(c *zookeeper.Config) { c.Servers = []string{addr} })
		if err := s.Connected(e.ctx()); err != nil {
			t.Fatal(err)
		}
		everywhere := e.session(timeout(8 * time.Second))
		holder := e.held(everywhere, fmt.Sprint("k", i))
		waiter, err := everywhere.Enqueue(e.ctx(), fmt.Sprint("k", i))
		if err != nil {
			t.Fatal(err)
		}
		go func() { waits <- waiter.Wait(e.ctx()) }()
		everywhere.Join(e.ctx(), "g", fmt.Sprint(i), []byte("x"))
		sessions = append(sessions, everywhere)
		holders, waiters = append(holders, holder), append(waiters, waiter)
	}
	var members journal
	sessions[0].WatchChildren(e.ctx(), zookeeper.MembersPath("g"), members.children)
	e.waitLast(&members, "0=x 1=x 2=x")
	told := len(members.all())
	before, err := sessions[1].Token(e.ctx())
	if err != nil {
		t.Fatal(err)
	}

	leader := ensemble.Leader()
	killed := time.Now()
	leader.Kill()
	for i, s := range sessions { // a token needs a leader
		if _, err := s.Token(e.ctx()); err != nil {
			t.Errorf("session %d with the leader killed: %v", i, err)
		}
		t.Logf("session %d has a token %v after the kill", i, time.Since(killed))
	}
	after, err := sessions[1].Token(e.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("token after the election: got %d, want more than %d", after, before)
	}
	leader.Restart()
	ensemble.WaitReady(3, time.Minute)
	check := func(what string) {
		t.Helper()
		for i := range holders {
			if isClosed(holders[i].Lost()) || isClosed(waiters[i].Lost()) {
				t.Errorf("%s: holder %d lost %v, waiter %v", what, i, isClosed(holders[i].Lost()), isClosed(waiters[i].Lost()))
			}
		}
		if got := members.all(); len(got) != told {
			t.Errorf("%s: the group was told %q", what, got[told:])
		}
	}
	check("leader killed")

	var follower *lab.Node
	for _, n := range ensemble.Nodes() {
		if n.Addr() != ensemble.Leader().Addr() {
			follower = n
		}
	}
	follower.Pause()
	for i, s := range sessions { // an answered request needs a server that lives
		if _, err := s.Token(e.ctx()); err != nil {
			t.Errorf("session %d with a stopped follower: %v", i, err)
		}
	}
	check("follower stopped")
	follower.Resume()

	for i := range holders {
		holders[i].Release()
	}
	for range holders {
		if err := <-waits; err != nil {
			t.Error(err)
		}
	}
	for i := range waiters {
		waiters[i].Release()
	}
	e.eventually("lock nodes left behind", func() string { return strings.Join(e.lockNodes(sessions[0]), " ") })
}
