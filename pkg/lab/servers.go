package lab

import (
	"testing"

	"eshop/pkg/lab/internal/wire"
)

// servers is what the three kinds of clusters have in common.
type servers struct {
	group *group
	nodes []*Node
	links []*Link
}

// Nodes are the server processes, in a fixed order.
func (s *servers) Nodes() []*Node { return s.nodes }

// Addrs are the addresses of all nodes for clients.
func (s *servers) Addrs() []string {
	var addrs []string
	for _, n := range s.nodes {
		addrs = append(addrs, n.Addr())
	}
	return addrs
}

// Links are the links in front of the nodes, by node; none unless asked for with [Linked].
func (s *servers) Links() []*Link { return s.links }

// Option changes how dedicated servers are started.
type Option func(*options)

type options struct{ linked bool }

// Linked puts a [Link] before each node and has the node tell clients the link's address, so that clients which follow the
// cluster's own word (Redis slots, Kafka metadata) stay on the links. Kafka brokers and ZooKeeper nodes talk among
// themselves around the links; a Redis replica follows its master through the master's link, the cluster bus goes around.
func Linked() Option { return func(o *options) { o.linked = true } }

func sharedSet(tb testing.TB, kind string) servers {
	tb.Helper()
	nodes := sharedServers(tb, kind)
	g := &group{tb: tb, kind: kind}
	return servers{group: g, nodes: newNodes(g, nodes)}
}

func dedicatedSet(tb testing.TB, kind string, count int, opts []Option) servers {
	tb.Helper()
	require(tb, kind)
	var o options
	for _, f := range opts {
		f(&o)
	}
	var s servers
	r := wire.Request{Op: wire.New, Kind: kind}
	if o.linked {
		for range count {
			l := NewLink(tb, "")
			s.links = append(s.links, l)
			r.Announce = append(r.Announce, l.Addr())
		}
	}
	g, nodes := newGroup(tb, kind, r)
	s.group, s.nodes = g, newNodes(g, nodes)
	for i, l := range s.links {
		l.Lead(s.nodes[i].addr)
		s.nodes[i].told = l.Addr()
	}
	if o.linked && kind == wire.Redis {
		if _, err := g.conn.Call(wire.Request{Op: wire.Announce, Announce: r.Announce}, startLimit); err != nil {
			tb.Fatalf("put redis behind links: %v", err)
		}
	}
	return s
}
