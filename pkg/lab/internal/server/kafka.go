package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"eshop/pkg/lab/internal/probe"
	"eshop/pkg/lab/internal/wire"
)

const (
	kafkaBrokers       = 3
	kafkaClusterID     = "AAAAAAAAAAAAAAAAAAAAAA"
	kafkaFirstMetadata = "bootstrap.checkpoint"
)

// startKafka makes three brokers that are controllers too. Brokers talk to each other on a listener of their own, so a cut
// link to a broker is a cut for clients only.
func startKafka(ctx context.Context, g *Group, s *Spawner, announce []string) error {
	libs, err := KafkaLibs()
	if err != nil {
		return err
	}
	var client, inner, controller [kafkaBrokers]int
	var voters []string
	for i := range kafkaBrokers {
		for _, p := range []*int{&client[i], &inner[i], &controller[i]} {
			if *p, err = g.ports.take(0); err != nil {
				return err
			}
		}
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, controller[i]))
	}
	for i := range kafkaBrokers {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(client[i]))
		told := addr
		if i < len(announce) && announce[i] != "" {
			told = announce[i]
		}
		n, err := g.add(s, addr, wire.Command{Path: "java"})
		if err != nil {
			return err
		}
		settings := strings.Join([]string{
			"process.roles=broker,controller",
			"node.id=" + strconv.Itoa(i+1),
			"controller.quorum.voters=" + strings.Join(voters, ","),
			fmt.Sprintf("listeners=PLAINTEXT://%s,INNER://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", addr, inner[i], controller[i]),
			fmt.Sprintf("advertised.listeners=PLAINTEXT://%s,INNER://127.0.0.1:%d", told, inner[i]),
			"controller.listener.names=CONTROLLER",
			"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT",
			"inter.broker.listener.name=INNER",
			"log.dirs=" + filepath.Join(n.command.Dir, "data"),
			"offsets.topic.replication.factor=3",
			"offsets.topic.num.partitions=8",
			"default.replication.factor=3",
			"min.insync.replicas=2",
			"group.initial.rebalance.delay.ms=0",
		}, "\n") + "\n"
		file := filepath.Join(n.command.Dir, "server.properties")
		if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
			return fmt.Errorf("write the settings of a kafka broker: %w", err)
		}
		if n.command.Args, err = kafkaArgs(libs, "kafka.Kafka", file); err != nil {
			return err
		}
		n.alive = func(ctx context.Context) error {
			_, err := probe.KafkaBrokers(ctx, addr)
			return err
		}
	}
	if err := kafkaFormat(ctx, g, libs); err != nil {
		return err
	}
	if err := g.startAll(); err != nil {
		return err
	}
	for _, n := range g.nodes {
		if err := g.until(ctx, "the kafka broker at "+n.addr+" lists three brokers", func(ctx context.Context) error {
			brokers, err := probe.KafkaBrokers(ctx, n.addr)
			if err == nil && len(brokers) < kafkaBrokers {
				err = fmt.Errorf("%s lists %d brokers", n.addr, len(brokers))
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// kafkaArgs are java's arguments. The class path is spelled out in byte order, as lab-setup.sh did when it made the archive
// of loaded classes: java uses the archive only with the same path, and goes on without it otherwise.
func kafkaArgs(libs, class string, args ...string) ([]string, error) {
	jars, err := filepath.Glob(filepath.Join(libs, "*.jar"))
	if err != nil {
		return nil, fmt.Errorf("find Kafka's jars: %w", err)
	}
	if len(jars) == 0 {
		return nil, fmt.Errorf("find Kafka's jars: there are none in %s", libs)
	}
	slices.Sort(jars)
	flags := []string{"-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	if archive := filepath.Join(libs, "warm", "classes.jsa"); exists(archive) {
		flags = append(flags, "-XX:SharedArchiveFile="+archive)
	}
	return append(append(flags, "-cp", strings.Join(jars, ":"), class), args...), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// kafkaFormat prepares the storage of every broker. Kafka's tool does it for the first; the others get the same first
// metadata and an identity of their own, which is all the tool would do, without a JVM each. When lab-setup.sh has left the
// first metadata, the tool is not needed at all.
func kafkaFormat(ctx context.Context, g *Group, libs string) error {
	first, err := os.ReadFile(filepath.Join(libs, "warm", kafkaFirstMetadata))
	nodes := g.nodes
	if err != nil {
		args, err := kafkaArgs(libs, "kafka.tools.StorageTool", "format", "-t", kafkaClusterID,
			"-c", filepath.Join(g.nodes[0].command.Dir, "server.properties"))
		if err != nil {
			return err
		}
		if out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("format the storage of a kafka broker: %w: %s", err, out)
		}
		if first, err = os.ReadFile(filepath.Join(g.nodes[0].command.Dir, "data", kafkaFirstMetadata)); err != nil {
			return fmt.Errorf("read the first metadata of a kafka broker: %w", err)
		}
		nodes = g.nodes[1:]
	}
	for i, n := range nodes {
		id := i + 1 + len(g.nodes) - len(nodes)
		var identity [16]byte
		_, _ = rand.Read(identity[:]) // never fails, says its documentation
		identity[0] &= 0x7f           // an id that begins with a dash reads as an option to Kafka's tools
		data := filepath.Join(n.command.Dir, "data")
		meta := fmt.Sprintf("version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n",
			kafkaClusterID, id, base64.RawURLEncoding.EncodeToString(identity[:]))
		if err := os.MkdirAll(data, 0o700); err != nil {
			return fmt.Errorf("format the storage of a kafka broker: %w", err)
		}
		if err := os.WriteFile(filepath.Join(data, "meta.properties"), []byte(meta), 0o600); err != nil {
			return fmt.Errorf("format the storage of a kafka broker: %w", err)
		}
		if err := os.WriteFile(filepath.Join(data, kafkaFirstMetadata), first, 0o600); err != nil {
			return fmt.Errorf("format the storage of a kafka broker: %w", err)
		}
	}
	return nil
}
