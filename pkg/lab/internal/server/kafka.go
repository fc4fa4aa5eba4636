package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"eshop/pkg/lab/internal/probe"
	"eshop/pkg/lab/internal/wire"
)

const kafkaBrokers = 3

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
		n.command.Args = kafkaArgs(libs, "kafka.Kafka", file)
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

// kafkaArgs are java's arguments; java expands the star of the class path itself.
func kafkaArgs(libs, class string, args ...string) []string {
	return append([]string{
		"-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"), class,
	}, args...)
}

func kafkaFormat(ctx context.Context, g *Group, libs string) error {
	var all sync.WaitGroup
	failures := make([]error, len(g.nodes))
	for i, n := range g.nodes {
		all.Go(func() {
			args := kafkaArgs(libs, "kafka.tools.StorageTool", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAA",
				"-c", filepath.Join(n.command.Dir, "server.properties"))
			out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput()
			if err != nil {
				failures[i] = fmt.Errorf("format the storage of a kafka broker: %w: %s", err, out)
			}
		})
	}
	all.Wait()
	return errors.Join(failures...)
}
