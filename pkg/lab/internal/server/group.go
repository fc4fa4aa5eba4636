package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"eshop/pkg/lab/internal/wire"
)

// Group is a set of processes that live and end together: one cluster, or one command.
type Group struct {
	dir   string
	ports ports
	grace time.Duration // for a polite end; 0 for servers, whose data is thrown away
	nodes []*node
}

type node struct {
	process
	addr  string
	alive func(ctx context.Context) error // nil once the node answers by itself, with or without its peers
}

// attempts at starting a cluster: a program outside the lab may take a port between the check and the start.
const attempts = 3

// StartCluster starts a set of servers of the kind in a new directory under root and waits until it is ready.
func StartCluster(ctx context.Context, s *Spawner, root, kind string, announce []string) (*Group, error) {
	recipes := map[string]func(context.Context, *Group, *Spawner, []string) error{
		wire.Redis: startRedis, wire.ZooKeeper: startZooKeeper, wire.Kafka: startKafka,
	}
	recipe, ok := recipes[kind]
	if !ok {
		return nil, fmt.Errorf("there is no recipe for %q", kind)
	}
	var failures []error
	for range attempts {
		g, err := newGroup(root, kind)
		if err != nil {
			return nil, err
		}
		if err = recipe(ctx, g, s, announce); err == nil {
			return g, nil
		}
		failures = append(failures, fmt.Errorf("start %s: %w%s", kind, err, g.logs()))
		g.Close()
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

// StartCommand runs any command; it is ended with the group.
func StartCommand(s *Spawner, root string, c wire.Command) (*Group, error) {
	g, err := newGroup(root, "run")
	if err != nil {
		return nil, err
	}
	g.grace = 3 * time.Second
	n := &node{process: process{
		command: c, spawner: s,
		stdout: filepath.Join(g.dir, "stdout"), stderr: filepath.Join(g.dir, "stderr"),
	}}
	g.nodes = []*node{n}
	if err := n.start(); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

func newGroup(root, name string) (*Group, error) {
	dir, err := os.MkdirTemp(root, name+"-*")
	if err != nil {
		return nil, fmt.Errorf("make a directory for %s: %w", name, err)
	}
	return &Group{dir: dir}, nil
}

// add prepares a server with a directory and a log of its own; the recipe starts it.
func (g *Group) add(s *Spawner, addr string, c wire.Command) (*node, error) {
	dir := filepath.Join(g.dir, fmt.Sprintf("node%d", len(g.nodes)+1))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for a node: %w", err)
	}
	log := filepath.Join(dir, "log")
	c.Dir = dir
	c.Env = os.Environ()
	n := &node{addr: addr, process: process{command: c, spawner: s, stdout: log, stderr: log}}
	g.nodes = append(g.nodes, n)
	return n, nil
}

// startAll starts every node at once.
func (g *Group) startAll() error {
	for _, n := range g.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	return nil
}

// until polls a condition; it gives up when ctx ends or a node has died.
func (g *Group) until(ctx context.Context, what string, cond func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond(ctx)
		if err == nil {
			return nil
		}
		for _, n := range g.nodes {
			if !n.running() {
				return fmt.Errorf("wait until %s: the node at %s (%s) has ended", what, n.addr, n.command.Path)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; last: %w", what, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// Nodes describes the processes.
func (g *Group) Nodes() []wire.Node {
	var nodes []wire.Node
	for _, n := range g.nodes {
		nodes = append(nodes, wire.Node{Addr: n.addr, Pid: n.id(), Stdout: n.stdout, Stderr: n.stderr})
	}
	return nodes
}

func (g *Group) node(i int) (*node, error) {
	if i < 0 || i >= len(g.nodes) {
		return nil, fmt.Errorf("there is no node %d among %d", i, len(g.nodes))
	}
	return g.nodes[i], nil
}

// Signal sends a named signal to one node.
func (g *Group) Signal(i int, name string) error {
	n, err := g.node(i)
	if err != nil {
		return err
	}
	return n.signal(name)
}

// Wait waits for one node's end.
func (g *Group) Wait(i int, limit time.Duration) (code int, exited bool, err error) {
	n, err := g.node(i)
	if err != nil {
		return 0, false, err
	}
	code, exited = n.wait(limit)
	return code, exited, nil
}

// Restart kills the node if it runs, starts it on its ports and data, and waits until it answers by itself.
func (g *Group) Restart(ctx context.Context, i int) error {
	n, err := g.node(i)
	if err != nil {
		return err
	}
	if err := n.signal(wire.Kill); err != nil {
		return err
	}
	if err := n.start(); err != nil {
		return err
	}
	if n.alive == nil {
		return nil
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := n.alive(ctx)
		if err == nil {
			return nil
		}
		if !n.running() {
			return fmt.Errorf("restart node %d: it has ended; its log:\n%s", i, Tail(n.stdout))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("restart node %d: %w; last: %w", i, ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// Dead names a node that has ended, with the end of its log; empty while all run.
func (g *Group) Dead() string {
	for i, n := range g.nodes {
		if !n.running() {
			return fmt.Sprintf("node %d (%s) has ended; its log:\n%s", i, n.addr, Tail(n.stdout))
		}
	}
	return ""
}

// Close ends every process, gives the ports back and removes the directory. It may be called again.
func (g *Group) Close() {
	var all sync.WaitGroup
	for _, n := range g.nodes {
		all.Go(func() { n.end(g.grace) })
	}
	all.Wait()
	g.ports.close()
	_ = os.RemoveAll(g.dir) // all writers are gone; what cannot be removed goes with the keeper's root
}

func (g *Group) logs() string {
	var b strings.Builder
	for i, n := range g.nodes {
		fmt.Fprintf(&b, "\n--- node %d (%s), end of its log:\n%s", i, n.addr, Tail(n.stdout))
	}
	return b.String()
}
