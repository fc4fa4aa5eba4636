package lab

import (
	"context"
	"fmt"
	"testing"
	"time"

	"eshop/pkg/lab/internal/probe"
	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// RedisCluster is six redis-server processes: nodes 0–2 begin as masters with a third of the slots each, node i+3 as the
// replica of node i; cluster-node-timeout is 2 s.
type RedisCluster struct{ servers }

// Redis returns the shared cluster.
func Redis(tb testing.TB) *RedisCluster {
	tb.Helper()
	return &RedisCluster{sharedSet(tb, wire.Redis)}
}

// RedisNew starts a cluster for this test alone.
func RedisNew(tb testing.TB, opts ...Option) *RedisCluster {
	tb.Helper()
	return &RedisCluster{dedicatedSet(tb, wire.Redis, 6, opts)}
}

// Master returns the node that answers for the slot in the view of most live nodes, nil when there is none.
func (c *RedisCluster) Master(slot int) *Node {
	votes := map[*Node]int{}
	var best *Node
	for _, viewer := range c.nodes {
		view, err := c.view(viewer)
		if err != nil {
			continue
		}
		for _, n := range view {
			if node := c.byAddr(n.Addr); node != nil && n.Master && !n.Failed && covers(n.Slots, slot) {
				votes[node]++
				if best == nil || votes[node] > votes[best] {
					best = node
				}
			}
		}
	}
	return best
}

// Replicas returns the live replicas of the node in its own view, or in that of a node which knows it when it is dead.
func (c *RedisCluster) Replicas(master *Node) []*Node {
	for _, viewer := range append([]*Node{master}, c.nodes...) {
		view, err := c.view(viewer)
		if err != nil {
			continue
		}
		id := ""
		for _, n := range view {
			if c.byAddr(n.Addr) == master {
				id = n.ID
			}
		}
		var replicas []*Node
		for _, n := range view {
			if node := c.byAddr(n.Addr); node != nil && id != "" && n.MasterID == id && !n.Failed {
				replicas = append(replicas, node)
			}
		}
		return replicas
	}
	return nil
}

// WaitMaster polls until a node other than the given one is the master of the slot in the view of every live node, and
// returns it: the end of a failover.
func (c *RedisCluster) WaitMaster(slot int, other *Node, limit time.Duration) *Node {
	c.group.tb.Helper()
	var found *Node
	Until(c.group.tb, limit, func(ctx context.Context) error {
		found = nil
		for _, viewer := range c.nodes {
			view, err := c.view(viewer)
			if err != nil {
				continue // a dead or a paused node has no say
			}
			var master *Node
			for _, n := range view {
				if n.Master && !n.Failed && covers(n.Slots, slot) {
					master = c.byAddr(n.Addr)
				}
			}
			if master == nil || master == other || found != nil && master != found {
				return fmt.Errorf("%s does not yet see a new master of slot %d", viewer.addr, slot)
			}
			found = master
		}
		if found == nil {
			return fmt.Errorf("no node answers")
		}
		info, err := probe.Redis(ctx, found.addr, "CLUSTER", "INFO")
		if err == nil && probe.Field(info, "cluster_state") != "ok" {
			err = fmt.Errorf("%s says cluster_state:%s", found.addr, probe.Field(info, "cluster_state"))
		}
		return err
	})
	return found
}

// WaitReady polls until every node sees all slots covered and three live replicas in step with their masters.
func (c *RedisCluster) WaitReady(limit time.Duration) {
	c.group.tb.Helper()
	Until(c.group.tb, limit, func(ctx context.Context) error {
		for _, n := range c.nodes {
			if err := server.RedisReady(ctx, n.addr); err != nil {
				return err
			}
		}
		return nil
	})
}

// Do sends one command to the node, around any link, and returns the reply as text; arrays are not understood.
func (c *RedisCluster) Do(ctx context.Context, n *Node, args ...string) (string, error) {
	return probe.Redis(ctx, n.addr, args...)
}

func (c *RedisCluster) view(n *Node) ([]probe.RedisNode, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	return probe.RedisNodes(ctx, n.addr)
}

func (c *RedisCluster) byAddr(addr string) *Node {
	for _, n := range c.nodes {
		if n.told == addr {
			return n
		}
	}
	return nil
}

func covers(ranges [][2]int, slot int) bool {
	for _, r := range ranges {
		if r[0] <= slot && slot <= r[1] {
			return true
		}
	}
	return false
}
