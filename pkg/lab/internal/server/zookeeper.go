package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"eshop/pkg/lab/internal/probe"
	"eshop/pkg/lab/internal/wire"
)

const zooKeeperNodes = 3

// startZooKeeper makes an ensemble of three.
func startZooKeeper(ctx context.Context, g *Group, s *Spawner, _ []string) error {
	var client [zooKeeperNodes]int
	var servers strings.Builder
	for i := range zooKeeperNodes {
		var taken [3]int
		for j := range taken {
			port, err := g.ports.take(0)
			if err != nil {
				return err
			}
			taken[j] = port
		}
		client[i] = taken[0]
		fmt.Fprintf(&servers, "server.%d=127.0.0.1:%d:%d\n", i+1, taken[1], taken[2])
	}
	for i, port := range client {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		n, err := g.add(s, addr, wire.Command{Path: "java"})
		if err != nil {
			return err
		}
		dir := n.command.Dir
		settings := fmt.Sprintf("tickTime=500\ninitLimit=20\nsyncLimit=10\ndataDir=%s\nclientPortAddress=127.0.0.1\nclientPort=%d\n"+
			"admin.enableServer=false\n4lw.commands.whitelist=*\nminSessionTimeout=1000\nmaxSessionTimeout=60000\nmaxClientCnxns=0\n%s",
			dir, port, servers.String())
		if err := os.WriteFile(filepath.Join(dir, "zoo.cfg"), []byte(settings), 0o600); err != nil {
			return fmt.Errorf("write the settings of a zookeeper node: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, "myid"), []byte(strconv.Itoa(i+1)+"\n"), 0o600); err != nil {
			return fmt.Errorf("write the id of a zookeeper node: %w", err)
		}
		n.command.Args = zooKeeperArgs(ZooKeeperJar, filepath.Join(dir, "zoo.cfg"))
		// Without a quorum a node answers srvr with a plain refusal: it is up, it serves nobody.
		n.alive = func(ctx context.Context) error {
			_, err := probe.ZooKeeperMode(ctx, addr)
			return err
		}
	}
	if err := g.startAll(); err != nil {
		return err
	}
	for _, n := range g.nodes {
		if err := g.until(ctx, "zookeeper serves at "+n.addr, func(ctx context.Context) error {
			mode, err := probe.ZooKeeperMode(ctx, n.addr)
			if err == nil && mode == "" {
				err = fmt.Errorf("%s is in no quorum", n.addr)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func zooKeeperArgs(classPath, settings string) []string {
	return []string{
		"-Xmx128m", "-Xms32m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classPath,
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", settings,
	}
}

// ZooKeeperAlone are java's arguments for a single server with TLS. Of what that needs, Debian's jar names two jars
// too few, which lie beside it.
func ZooKeeperAlone(settings string) []string {
	return zooKeeperArgs(ZooKeeperJar+":/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar", settings)
}
