package lab_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"eshop/pkg/lab"
)

// soon and late bound waits for states; reaching them takes a small part of that.
const (
	soon = 20 * time.Second
	late = 90 * time.Second
)

// Slot 0 belongs to node 0 at first, "{06S}" hashes to it.
const slotZeroKey = "{06S}key"

func TestRedisMasterKilledAndRestarted(t *testing.T) {
	t.Parallel()
	c := lab.RedisNew(t)
	ctx := t.Context()
	master := c.Master(0)
	if got, want := master, c.Nodes()[0]; got != want {
		t.Fatalf("master of slot 0: got %v, want node 0", got)
	}
	replicas := c.Replicas(master)
	if len(replicas) != 1 || replicas[0] != c.Nodes()[3] {
		t.Fatalf("replicas of node 0: got %v, want node 3 alone", replicas)
	}
	if _, err := c.Do(ctx, master, "SET", slotZeroKey, "kept"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(ctx, master, "WAIT", "1", "1000"); err != nil {
		t.Fatal(err)
	}
	pid := master.Pid()
	began := time.Now()
	master.Kill()
	if _, err := c.Do(ctx, master, "PING"); err == nil {
		t.Fatal("a killed node answers")
	}
	next := c.WaitMaster(0, master, soon)
	t.Logf("failover took %v", time.Since(began).Round(10*time.Millisecond))
	if next != replicas[0] {
		t.Errorf("master after the kill: got %s, want the replica", next.Addr())
	}
	if got, err := c.Do(ctx, next, "GET", slotZeroKey); err != nil || got != "kept" {
		t.Errorf("read from the new master: got %q, %v, want %q", got, err, "kept")
	}
	master.Restart()
	if master.Pid() == pid {
		t.Error("a restarted node has its old process id")
	}
	c.WaitReady(soon)
	if got := c.Replicas(next); len(got) != 1 || got[0] != master {
		t.Errorf("replicas of the new master: got %v, want the old one", got)
	}
}

func TestRedisPaused(t *testing.T) {
	t.Parallel()
	c := lab.RedisNew(t)
	n := c.Nodes()[5]
	n.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if got, err := c.Do(ctx, n, "PING"); err == nil {
		t.Errorf("a paused node answers %q", got)
	}
	n.Resume()
	c.WaitReady(soon)
}

func TestZooKeeperLeaderKilledAndRestarted(t *testing.T) {
	t.Parallel()
	e := lab.ZooKeeperNew(t)
	leader := e.Leader()
	leader.Kill()
	e.WaitReady(2, soon)
	if e.Leader() == leader {
		t.Error("the killed node still leads")
	}
	leader.Restart()
	e.WaitReady(3, soon)
	leader = e.Leader()
	leader.Pause()
	e.WaitReady(2, soon)
	leader.Resume()
	e.WaitReady(3, soon)
}

func TestKafkaBrokerKilledAndRestarted(t *testing.T) {
	t.Parallel()
	c := lab.KafkaNew(t)
	c.Nodes()[0].Kill()
	c.WaitBrokers(2, late)
	c.Nodes()[0].Restart()
	c.WaitBrokers(3, late)
	c.Nodes()[1].Stop()
	c.WaitBrokers(2, late)
	c.Nodes()[1].Restart()
	c.WaitBrokers(3, late)
}

func TestLinkedRedis(t *testing.T) {
	t.Parallel()
	c := lab.RedisNew(t, lab.Linked())
	ctx := t.Context()
	for i, n := range c.Nodes() {
		if got, want := n.Addr(), c.Links()[i].Addr(); got != want {
			t.Errorf("node %d: got address %s, want its link's %s", i, got, want)
		}
	}
	// The word of the cluster is the link's address: a client that goes to the wrong node is sent to the link.
	_, err := c.Do(ctx, c.Nodes()[1], "GET", slotZeroKey)
	if want := "MOVED 0 " + c.Links()[0].Addr(); err == nil || !contains(err, want) {
		t.Errorf("got %v, want %q", err, want)
	}
	c.Links()[0].Cut()
	if conn, err := net.Dial("tcp", c.Nodes()[0].Addr()); err == nil {
		conn.Close()
		t.Error("a cut link accepts a connection")
	}
	if _, err := c.Do(ctx, c.Nodes()[0], "PING"); err != nil {
		t.Errorf("the node behind the cut link: %v", err)
	}
	c.Links()[0].Heal()
	c.WaitReady(soon)
	c.Nodes()[0].Kill()
	next := c.WaitMaster(0, c.Nodes()[0], soon)
	c.Nodes()[0].Restart()
	c.WaitReady(soon)
	if got := c.Replicas(next); len(got) != 1 || got[0] != c.Nodes()[0] {
		t.Errorf("a restarted node behind a link: got replicas %v, want it among them", got)
	}
}

func TestLinkedKafka(t *testing.T) {
	t.Parallel()
	c := lab.KafkaNew(t, lab.Linked())
	want := fmt.Sprint(c.Addrs())
	if got := fmt.Sprint([]string{c.Links()[0].Addr(), c.Links()[1].Addr(), c.Links()[2].Addr()}); got != want {
		t.Errorf("addresses: got %s, want the links' %s", got, want)
	}
	told, err := c.Told(t.Context(), c.Nodes()[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(told); got != want {
		t.Errorf("the brokers tell clients %s, want %s", got, want)
	}
	// Brokers talk around the links: with all of them cut nobody is missed.
	for _, l := range c.Links() {
		l.Cut()
	}
	c.WaitBrokers(3, soon)
}
