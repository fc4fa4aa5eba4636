package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"eshop/pkg/lab/internal/probe"
	"eshop/pkg/lab/internal/wire"
)

const (
	redisMasters = 3
	redisNodes   = 6
	redisSlots   = 16384
)

// startRedis makes a cluster of nodes 0–2 as masters, a third of the slots each, and node i+3 as the replica of node i.
func startRedis(ctx context.Context, g *Group, s *Spawner, _ []string) error {
	for range redisNodes {
		port, err := g.ports.take(busOffset)
		if err != nil {
			return err
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		args := []string{
			"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--daemonize", "no", "--logfile", "",
			"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000",
			"--cluster-require-full-coverage", "no", "--cluster-allow-reads-when-down", "yes",
			"--repl-diskless-sync-delay", "0", "--save", "", "--appendonly", "no",
		}
		n, err := g.add(s, addr, wire.Command{Path: "redis-server", Args: args})
		if err != nil {
			return err
		}
		n.alive = func(ctx context.Context) error {
			_, err := probe.Redis(ctx, addr, "PING")
			return err
		}
		n.command.Args = append(args, "--dir", n.command.Dir)
	}
	if err := g.startAll(); err != nil {
		return err
	}
	for _, n := range g.nodes {
		if err := g.until(ctx, "redis answers at "+n.addr, n.alive); err != nil {
			return err
		}
	}
	return formCluster(ctx, g)
}

func formCluster(ctx context.Context, g *Group) error {
	first := g.nodes[0].addr
	for i, n := range g.nodes {
		if _, err := probe.Redis(ctx, n.addr, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
		if i < redisMasters {
			from, to := i*redisSlots/redisMasters, (i+1)*redisSlots/redisMasters-1
			if _, err := probe.Redis(ctx, n.addr, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to)); err != nil {
				return err
			}
		}
		if i > 0 {
			host, port, err := net.SplitHostPort(n.addr)
			if err != nil {
				return err
			}
			if _, err := probe.Redis(ctx, first, "CLUSTER", "MEET", host, port); err != nil {
				return err
			}
		}
	}
	for i, n := range g.nodes {
		if err := g.until(ctx, n.addr+" knows the cluster", func(ctx context.Context) error { return knowsAll(ctx, n.addr) }); err != nil {
			return err
		}
		if i < redisMasters {
			continue
		}
		id, err := probe.Redis(ctx, g.nodes[i-redisMasters].addr, "CLUSTER", "MYID")
		if err != nil {
			return err
		}
		if err := g.until(ctx, n.addr+" is a replica", func(ctx context.Context) error {
			_, err := probe.Redis(ctx, n.addr, "CLUSTER", "REPLICATE", id)
			return err
		}); err != nil {
			return err
		}
	}
	for _, n := range g.nodes {
		if err := g.until(ctx, n.addr+" reports a whole cluster", func(ctx context.Context) error { return RedisReady(ctx, n.addr) }); err != nil {
			return err
		}
	}
	return nil
}

// Announce makes the nodes of a Redis Cluster tell clients and each other the given addresses, now and after a restart.
// It is a step of its own because replicas reach their master under the told address: what listens there has to lead
// somewhere, which is known only when the nodes run.
func (g *Group) Announce(ctx context.Context, told []string) error {
	if len(told) != len(g.nodes) {
		return fmt.Errorf("announce %d addresses for %d nodes", len(told), len(g.nodes))
	}
	for i, n := range g.nodes {
		host, port, err := net.SplitHostPort(told[i])
		if err != nil {
			return fmt.Errorf("announce %q: %w", told[i], err)
		}
		_, own, err := net.SplitHostPort(n.addr)
		if err != nil {
			return fmt.Errorf("announce for %q: %w", n.addr, err)
		}
		number, err := strconv.Atoi(own)
		if err != nil {
			return fmt.Errorf("announce for %q: %w", n.addr, err)
		}
		for _, setting := range [][2]string{
			{"cluster-announce-ip", host}, {"cluster-announce-port", port}, {"cluster-announce-bus-port", strconv.Itoa(number + busOffset)},
		} {
			if _, err := probe.Redis(ctx, n.addr, "CONFIG", "SET", setting[0], setting[1]); err != nil {
				return err
			}
			n.command.Args = append(n.command.Args, "--"+setting[0], setting[1])
		}
	}
	for _, n := range g.nodes {
		if err := g.until(ctx, n.addr+" knows the announced addresses", func(ctx context.Context) error {
			nodes, err := probe.RedisNodes(ctx, n.addr)
			if err != nil {
				return err
			}
			for _, known := range nodes {
				if !slices.Contains(told, known.Addr) {
					return fmt.Errorf("%s still knows %s", n.addr, known.Addr)
				}
			}
			return RedisReady(ctx, n.addr)
		}); err != nil {
			return err
		}
	}
	return nil
}

func knowsAll(ctx context.Context, addr string) error {
	nodes, err := probe.RedisNodes(ctx, addr)
	if err != nil {
		return err
	}
	known := 0
	for _, n := range nodes {
		if !n.Failed {
			known++
		}
	}
	if known < redisNodes {
		return fmt.Errorf("%s knows %d of %d nodes", addr, known, redisNodes)
	}
	return nil
}

// RedisReady holds when the node sees all slots covered and all replicas, and, on a replica, when its data is in step.
func RedisReady(ctx context.Context, addr string) error {
	info, err := probe.Redis(ctx, addr, "CLUSTER", "INFO")
	if err != nil {
		return err
	}
	if probe.Field(info, "cluster_state") != "ok" || probe.Field(info, "cluster_slots_ok") != strconv.Itoa(redisSlots) {
		return fmt.Errorf("%s says cluster_state:%s cluster_slots_ok:%s", addr, probe.Field(info, "cluster_state"), probe.Field(info, "cluster_slots_ok"))
	}
	nodes, err := probe.RedisNodes(ctx, addr)
	if err != nil {
		return err
	}
	replicas := 0
	for _, n := range nodes {
		if !n.Master && n.MasterID != "" && !n.Failed {
			replicas++
		}
	}
	if replicas < redisNodes-redisMasters {
		return fmt.Errorf("%s sees %d replicas", addr, replicas)
	}
	info, err = probe.Redis(ctx, addr, "INFO", "replication")
	if err != nil {
		return err
	}
	if strings.TrimSpace(probe.Field(info, "role")) == "slave" && probe.Field(info, "master_link_status") != "up" {
		return errors.New(addr + " is not in step with its master")
	}
	return nil
}
