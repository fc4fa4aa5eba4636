package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"eshop/pkg/config"
	"eshop/pkg/kafka"
	"eshop/pkg/zookeeper"
)

// layout is what the flags of bootstrap say.
type layout struct {
	partitions, replication int
	dryRun                  bool
	timeout                 time.Duration
}

func bootstrapCommand() command {
	var want layout
	return command{
		name:  "bootstrap",
		short: "Create the Kafka topics and ZooKeeper nodes",
		long: `Creates the Kafka topics and the ZooKeeper nodes that eshop uses. What is there already is left as it
is, so the command can be repeated at will. It first shows what it is about to do; with --dry-run it
does no more than that. Redis Cluster needs no preparation.`,
		examples: []string{
			"look first\neshop bootstrap --kafka.brokers kafka1:9092,kafka2:9092 --zookeeper.servers zk1:2181 --dry-run",
			"then do it, with 24 partitions for changes and access log\neshop bootstrap --kafka.brokers kafka1:9092,kafka2:9092 --zookeeper.servers zk1:2181 --partitions 24",
		},
		define: func(set *config.Set, s *settings) {
			set.Area("Bootstrap")
			set.Whole(&want.partitions, "partitions", 12, 1, 10_000, "partitions of the topics for changes and for the access log")
			set.Whole(&want.replication, "replication", 3, 1, 100, "copies of each partition; fewer when there are fewer brokers")
			set.Switch(&want.dryRun, "dry-run", false, "show what would be done and do nothing")
			set.Duration(&want.timeout, "timeout", time.Minute, time.Millisecond, "limit of the whole command")
			for _, name := range []string{"partitions", "replication", "dry-run", "timeout"} {
				set.OfInvocation(name)
			}
			s.kafka.define(set)
			s.kafka.defineAccess(set)
			s.zookeeper.define(set)
			s.process.define(set, "warn")
		},
		prepare: func(s *settings, loaded config.Loaded, _ []string, problems *config.Problems) run {
			catalogOf(loaded, problems) // not needed here, but the file should be right as a whole
			needed("bootstrap", "kafka.brokers", len(s.kafka.brokers) > 0, problems)
			needed("bootstrap", "zookeeper.servers", len(s.zookeeper.servers) > 0, problems)
			kafkaConfig, zookeeperConfig := s.kafka.config(problems), s.zookeeper.config(problems)
			s.kafka.topics(problems)
			return func(ctx context.Context, p process) error {
				topics, nodes := want.topics(&s.kafka), nodes()
				want.show(p.stdout, s, topics, nodes)
				if want.dryRun {
					return nil
				}
				ctx, cancel := context.WithTimeout(ctx, want.timeout)
				defer cancel()
				log := p.logger(s.process.logLevel, s.process.logFormat)
				// Both are tried, so that one call shows everything that is wrong.
				return errors.Join(
					createTopics(ctx, kafkaConfig, topics, kafka.Deps{Log: log}, p.stdout),
					createNodes(ctx, zookeeperConfig, nodes, zookeeper.Deps{Log: log}, p.stdout),
				)
			}
		},
	}
}

// Retention of the topics. Invalidations are replayed after a disconnect, for minutes; a day of them
// lets an operator look back.
const (
	keepChanges = 7 * 24 * time.Hour
	keepAccess  = 24 * time.Hour
	keepBus     = 24 * time.Hour
	keepDead    = 30 * 24 * time.Hour
)

// topics lists what the roles read and write. Every gateway reads all of the invalidation topic, so it
// has few partitions.
func (l *layout) topics(k *kafkaSettings) []kafka.Topic {
	topic := func(name string, partitions int, keep time.Duration) kafka.Topic {
		return kafka.Topic{
			Name: name, Partitions: int32(partitions), Replication: int16(l.replication),
			Config: map[string]string{"cleanup.policy": "delete", "retention.ms": fmt.Sprint(keep.Milliseconds())},
		}
	}
	return []kafka.Topic{
		topic(k.topicChange, l.partitions, keepChanges),
		topic(k.topicAccess, l.partitions, keepAccess),
		topic(k.topicInvalidate, min(4, l.partitions), keepBus),
		topic(k.topicDead, 1, keepDead),
	}
}

// nodes lists the persistent nodes below the root.
func nodes() []string {
	return []string{"", "locks", zookeeper.MembersPath("gateway"), zookeeper.MembersPath("cache"), "hot", "top", "pin", "ban", "prewarm", "degrade"}
}

func (l *layout) show(w io.Writer, s *settings, topics []kafka.Topic, nodes []string) {
	fmt.Fprintf(w, "On Kafka at %v, unless it is there already:\n", s.kafka.brokers)
	for _, t := range topics {
		keep, err := time.ParseDuration(t.Config["retention.ms"] + "ms")
		if err != nil {
			keep = 0 // it was made of a duration above
		}
		fmt.Fprintf(w, "  topic %s: %d partitions, replication up to %d, kept for %s\n", t.Name, t.Partitions, t.Replication, config.FormatDuration(keep))
	}
	fmt.Fprintf(w, "On ZooKeeper at %v, unless it is there already:\n", s.zookeeper.servers)
	for _, n := range nodes {
		fmt.Fprintf(w, "  node %s\n", nodePath(s.zookeeper.root, n))
	}
	if l.dryRun {
		fmt.Fprintln(w, "Nothing was done (--dry-run).")
	}
}

func nodePath(root, node string) string {
	if node == "" {
		return root
	}
	if root == "/" {
		root = ""
	}
	return root + "/" + node
}

func createTopics(ctx context.Context, cfg kafka.Config, topics []kafka.Topic, deps kafka.Deps, out io.Writer) error {
	cfg.ClientID = "eshop-bootstrap"
	results, err := kafka.EnsureTopics(ctx, cfg, topics, deps)
	for _, r := range results {
		what := "was there"
		if r.Created {
			what = "created"
		}
		fmt.Fprintf(out, "topic %s: %s, %d partitions, replication %d\n", r.Name, what, r.Partitions, r.Replication)
	}
	if err != nil {
		return fmt.Errorf("create the Kafka topics: %w", err)
	}
	return nil
}

func createNodes(ctx context.Context, cfg zookeeper.Config, nodes []string, deps zookeeper.Deps, out io.Writer) error {
	session, err := zookeeper.New(cfg, deps)
	if err != nil {
		return fmt.Errorf("set up the ZooKeeper session: %w", err)
	}
	return during(ctx, session.Run, func(ctx context.Context) error {
		if err := session.Connected(ctx); err != nil {
			return fmt.Errorf("connect to ZooKeeper at %v: %w", cfg.Servers, err)
		}
		for _, node := range nodes {
			_, _, err := session.Get(ctx, node)
			what := "was there"
			if errors.Is(err, zookeeper.ErrNoNode) {
				what, err = "created", session.Ensure(ctx, node)
			}
			if err != nil {
				return fmt.Errorf("create the ZooKeeper node %s: %w", nodePath(cfg.Root, node), err)
			}
			fmt.Fprintf(out, "node %s: %s\n", nodePath(cfg.Root, node), what)
		}
		return nil
	})
}
