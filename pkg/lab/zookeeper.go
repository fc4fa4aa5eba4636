package lab

import (
	"context"
	"fmt"
	"testing"
	"time"

	"eshop/pkg/lab/internal/probe"
	"eshop/pkg/lab/internal/wire"
)

// ZooKeeperEnsemble is three ZooKeeper processes; a tick is 500 ms, session timeouts may be 1 to 60 s.
type ZooKeeperEnsemble struct{ servers }

// ZooKeeper returns the shared ensemble.
func ZooKeeper(tb testing.TB) *ZooKeeperEnsemble {
	tb.Helper()
	return &ZooKeeperEnsemble{sharedSet(tb, wire.ZooKeeper)}
}

// ZooKeeperNew starts an ensemble for this test alone.
func ZooKeeperNew(tb testing.TB, opts ...Option) *ZooKeeperEnsemble {
	tb.Helper()
	return &ZooKeeperEnsemble{dedicatedSet(tb, wire.ZooKeeper, 3, opts)}
}

// Leader polls until a node says that it leads, and returns it.
func (e *ZooKeeperEnsemble) Leader() *Node {
	e.group.tb.Helper()
	var leader *Node
	Until(e.group.tb, time.Minute, func(ctx context.Context) error {
		for _, n := range e.nodes {
			if mode, err := e.mode(ctx, n); err == nil && mode == "leader" {
				leader = n
				return nil
			}
		}
		return fmt.Errorf("no node leads")
	})
	return leader
}

// WaitReady polls until count nodes serve clients, one of them as the leader.
func (e *ZooKeeperEnsemble) WaitReady(count int, limit time.Duration) {
	e.group.tb.Helper()
	Until(e.group.tb, limit, func(ctx context.Context) error {
		serving, leaders := 0, 0
		for _, n := range e.nodes {
			mode, err := e.mode(ctx, n)
			if err == nil && mode != "" {
				serving++
			}
			if mode == "leader" {
				leaders++
			}
		}
		if serving < count || leaders != 1 {
			return fmt.Errorf("%d nodes serve, %d lead", serving, leaders)
		}
		return nil
	})
}

// mode gives a paused node half a second.
func (e *ZooKeeperEnsemble) mode(ctx context.Context, n *Node) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	return probe.ZooKeeperMode(ctx, n.addr)
}
