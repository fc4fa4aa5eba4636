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

// kafkaFormat prepares the storage of every broker.
func kafkaFormat(ctx context.Context, g *Group, libs string) error {
	var settings, data []string
	for _, n := range g.nodes {
		settings = append(settings, filepath.Join(n.command.Dir, "server.properties"))
		data = append(data, filepath.Join(n.command.Dir, "data"))
	}
	return formatStorage(ctx, libs, settings, data)
}

// formatStorage prepares the data folders of brokers 1 and up. Kafka's tool does it for the first; the others get the same
// first metadata and an identity of their own, which is all the tool would do, without a JVM each. When lab-setup.sh has
// left the first metadata, the tool is not needed at all.
func formatStorage(ctx context.Context, libs string, settings, data []string) error {
	first, err := os.ReadFile(filepath.Join(libs, "warm", kafkaFirstMetadata))
	done := 0
	if err != nil {
		args, err := kafkaArgs(libs, "kafka.tools.StorageTool", "format", "-t", kafkaClusterID, "-c", settings[0])
		if err != nil {
			return err
		}
		if out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("format the storage of a kafka broker: %w: %s", err, out)
		}
		if first, err = os.ReadFile(filepath.Join(data[0], kafkaFirstMetadata)); err != nil {
			return fmt.Errorf("read the first metadata of a kafka broker: %w", err)
		}
		done = 1
	}
	for i, data := range data[done:] {
		var identity [16]byte
		_, _ = rand.Read(identity[:]) // never fails, says its documentation
		identity[0] &= 0x7f           // an id that begins with a dash reads as an option to Kafka's tools
		meta := fmt.Sprintf("version=1\ncluster.id=%s\nnode.id=%d\ndirectory.id=%s\n",
			kafkaClusterID, i+1+done, base64.RawURLEncoding.EncodeToString(identity[:]))
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

// KafkaAlone prepares the data folder of a single broker, id 1, and returns java's arguments that run it.
func KafkaAlone(ctx context.Context, settings, data string) ([]string, error) {
	libs, err := KafkaLibs()
	if err != nil {
		return nil, err
	}
	if err := formatStorage(ctx, libs, []string{settings}, []string{data}); err != nil {
		return nil, err
	}
	return kafkaArgs(libs, "kafka.Kafka", settings)
}
