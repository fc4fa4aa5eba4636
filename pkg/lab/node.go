package lab

import (
	"sync/atomic"

	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// Node is one server process. A node of shared servers can only be looked at: every change of it fails the test. All
// methods may be called from any goroutine.
type Node struct {
	group *group
	index int
	addr  string // where it listens
	told  string // the address its clients are told: a link's, or its own
	log   string
	pid   atomic.Int64
}

func newNodes(g *group, from []wire.Node) []*Node {
	var nodes []*Node
	for i, f := range from {
		n := &Node{group: g, index: i, addr: f.Addr, told: f.Addr, log: f.Stdout}
		n.pid.Store(int64(f.Pid))
		nodes = append(nodes, n)
	}
	return nodes
}

// Addr is the address for clients, host:port: that of the node's link when the cluster was made with links.
func (n *Node) Addr() string { return n.told }

// Listen is the address the node itself listens on, around any link.
func (n *Node) Listen() string { return n.addr }

// Pid is the process id of the latest start.
func (n *Node) Pid() int { return int(n.pid.Load()) }

// Log is the end of the node's log.
func (n *Node) Log() string { return server.Tail(n.log) }

// Kill sends SIGKILL and returns when the process is gone. Killing a dead node does nothing.
func (n *Node) Kill() {
	n.group.tb.Helper()
	n.signal(wire.Kill)
}

// Stop sends SIGTERM and returns when the process has ended by itself.
func (n *Node) Stop() {
	n.group.tb.Helper()
	n.signal(wire.Terminate)
	n.group.waitExit(n.index, callLimit)
}

// Pause sends SIGSTOP: the node keeps its connections and its port and answers nothing.
func (n *Node) Pause() {
	n.group.tb.Helper()
	n.signal(wire.Pause)
}

// Resume sends SIGCONT.
func (n *Node) Resume() {
	n.group.tb.Helper()
	n.signal(wire.Resume)
}

// Restart starts the node again on its ports and data, after a kill when it runs, and returns when it answers by itself.
// Whether its peers have taken it back is asked with the cluster's WaitReady.
func (n *Node) Restart() {
	n.group.tb.Helper()
	answer, ok := n.group.call(wire.Request{Op: wire.Restart, Node: n.index})
	if ok && n.index < len(answer.Nodes) {
		n.pid.Store(int64(answer.Nodes[n.index].Pid))
	}
}

func (n *Node) signal(name string) {
	n.group.tb.Helper()
	n.group.call(wire.Request{Op: wire.Signal, Node: n.index, Signal: name})
}
