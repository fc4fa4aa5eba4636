package roles

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"eshop/pkg/config"
	"eshop/pkg/kafka"
	"eshop/pkg/zookeeper"
)

// layout is what the flags of bootstrap say.
type layout struct {
	partitions, replication int
	dryRun, yes             bool
	timeout                 time.Duration
}

func bootstrapCommand() command {
	var want layout
	return command{
		name:  "bootstrap",
		short: "Create the Kafka topics and ZooKeeper nodes",
		long: `Creates the Kafka topics and the ZooKeeper nodes that eshop uses. It looks first and shows what is there,
what it will create, and what is there and differs: that is left as it is, with the command that changes
it. Then it asks, when somebody sits at a terminal and there is no --yes; a script is not asked. With
--dry-run it does no more than look. It can be repeated at will. Redis Cluster needs no preparation;
"eshop doctor" looks at that too.`,
		examples: []string{
			"look first\neshop bootstrap --kafka.brokers kafka1:9092,kafka2:9092 --zookeeper.servers zk1:2181 --dry-run",
			"then do it, with 24 partitions for changes and access log\neshop bootstrap --kafka.brokers kafka1:9092,kafka2:9092 --zookeeper.servers zk1:2181 --partitions 24",
		},
		define: func(set *config.Set, s *settings) {
			set.Area("Bootstrap")
			set.Whole(&want.partitions, "partitions", 12, 1, 10_000, "partitions of the topics for changes and for the access log")
			set.Whole(&want.replication, "replication", 3, 1, 100, "copies of each partition; fewer when there are fewer brokers")
			set.Switch(&want.dryRun, "dry-run", false, "show what would be done and do nothing")
			set.Switch(&want.yes, "yes", false, "do not ask")
			set.Duration(&want.timeout, "timeout", time.Minute, time.Millisecond, "limit of the whole command")
			for _, name := range []string{"partitions", "replication", "dry-run", "yes", "timeout"} {
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
				ctx, cancel := context.WithTimeout(ctx, want.timeout)
				defer cancel()
				kafkaConfig.ClientID = "eshop-bootstrap"
				log := p.logger(s.process.logLevel, s.process.logFormat)
				b := bootstrap{
					layout: &want, kafka: kafkaConfig, zookeeper: zookeeperConfig, root: s.zookeeper.root, topics: want.topics(&s.kafka),
					log: log, process: p,
				}
				return b.run(ctx)
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
	return []string{"", "locks", zookeeper.MembersPath("gateway"), zookeeper.MembersPath("cache"), zookeeper.MembersPath("hotcount"), "hot", "top", "pin", "ban", "prewarm", "degrade", "dead"}
}

// bootstrap is one run of the command.
type bootstrap struct {
	*layout
	kafka     kafka.Config
	zookeeper zookeeper.Config
	root      string
	topics    []kafka.Topic
	log       *slog.Logger
	process
}

// run looks, shows, asks, and creates. A side that cannot be looked at does not
// keep the other one back, so that one call shows everything that is wrong.
func (b *bootstrap) run(ctx context.Context) error {
	topics, kafkaErr := b.lookAtTopics(ctx)
	missing, zookeeperErr := b.lookAtNodes(ctx)
	failed := errors.Join(kafkaErr, zookeeperErr)
	switch {
	case len(topics)+len(missing) == 0 && failed == nil:
		fmt.Fprintln(b.stdout, "Nothing is to be done.")
		return nil
	case b.dryRun:
		fmt.Fprintln(b.stdout, "Nothing was done (--dry-run).")
		return failed
	case len(topics)+len(missing) == 0:
		return failed
	case !b.yes && isTerminal(b.stdin) && !confirmed(b.stdin, b.stdout):
		return errors.Join(errors.New("nothing was created: it was not confirmed"), failed)
	}
	return errors.Join(failed, b.createTopics(ctx, topics), b.createNodes(ctx, missing))
}

// confirmed asks whoever sits there. Anything but yes is no.
func confirmed(in io.Reader, out io.Writer) bool {
	fmt.Fprint(out, "Create what is missing? [y/N] ")
	answer, _ := bufio.NewReader(in).ReadString('\n') // its end is an answer, too
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

// lookAtTopics shows the topics and returns those that are missing.
func (b *bootstrap) lookAtTopics(ctx context.Context) (missing []kafka.Topic, err error) {
	fmt.Fprintf(b.stdout, "On Kafka at %v:\n", b.kafka.Brokers)
	names := make([]string, len(b.topics))
	for i, t := range b.topics {
		names[i] = t.Name
	}
	found, err := kafka.Describe(ctx, b.kafka, names, nil)
	brokers := 0
	var silent []error
	for _, broker := range found.Brokers {
		if broker.Err == nil {
			brokers++
		} else {
			silent = append(silent, broker.Err)
		}
	}
	if err == nil && brokers == 0 {
		err = errors.Join(silent...)
	}
	for i, want := range b.topics {
		want.Replication = min(want.Replication, int16(max(brokers, 1)))
		is := kafka.TopicReport{Err: err}
		if err == nil {
			is = found.Topics[i]
		}
		switch {
		case errors.Is(is.Err, kafka.ErrNoTopic):
			missing = append(missing, want)
			fmt.Fprintf(b.stdout, "  topic %s: to be created with %d partitions, replication %d, kept for %s\n", want.Name, want.Partitions, want.Replication, keptFor(want))
		case is.Err != nil:
			fmt.Fprintf(b.stdout, "  topic %s: cannot be looked at; wanted are %d partitions, replication up to %d, kept for %s\n", want.Name, want.Partitions, b.replication, keptFor(want))
			if err == nil {
				err = is.Err
			}
		default:
			fmt.Fprintf(b.stdout, "  topic %s: was there, %d partitions, replication %d\n", is.Name, len(is.Partitions), replicas(is))
			for _, d := range b.differences(want, is) {
				fmt.Fprintf(b.stdout, "    %s\n", d)
			}
		}
	}
	if err != nil {
		return missing, fmt.Errorf("create the Kafka topics: %w", err)
	}
	return missing, nil
}

func keptFor(t kafka.Topic) string {
	keep, err := time.ParseDuration(t.Config["retention.ms"] + "ms")
	if err != nil {
		keep = 0 // it was made of a duration above
	}
	return config.FormatDuration(keep)
}

func replicas(t kafka.TopicReport) int {
	least := 0
	for i, p := range t.Partitions {
		if i == 0 || p.Replicas < least {
			least = p.Replicas
		}
	}
	return least
}

// differences says what of a topic is not as it would be created, and the command
// that changes it. More partitions or copies than wanted are right.
func (b *bootstrap) differences(want kafka.Topic, is kafka.TopicReport) (lines []string) {
	server := " --bootstrap-server " + b.kafka.Brokers[0]
	if b.kafka.SASL != nil || b.kafka.TLS != nil {
		server += " --command-config client.properties"
	}
	if len(is.Partitions) < int(want.Partitions) {
		lines = append(lines, fmt.Sprintf("differs: %d partitions instead of %d, left as it is; kafka-topics.sh%s --topic %s --alter --partitions %d",
			len(is.Partitions), want.Partitions, server, want.Name, want.Partitions))
	}
	if n := replicas(is); n < int(want.Replication) {
		lines = append(lines, fmt.Sprintf("differs: replication %d instead of %d, left as it is; kafka-reassign-partitions.sh%s --execute --reassignment-json-file FILE",
			n, want.Replication, server))
	}
	for _, name := range slices.Sorted(maps.Keys(want.Config)) {
		if value, told := is.Settings[name]; told && value != want.Config[name] {
			lines = append(lines, fmt.Sprintf("differs: %s=%s instead of %s, left as it is; kafka-configs.sh%s --entity-type topics --entity-name %s --alter --add-config %s=%s",
				name, value, want.Config[name], server, want.Name, name, want.Config[name]))
		}
	}
	return lines
}

// lookAtNodes shows the nodes and returns those that are missing.
func (b *bootstrap) lookAtNodes(ctx context.Context) (missing []string, err error) {
	fmt.Fprintf(b.stdout, "On ZooKeeper at %v:\n", b.zookeeper.Servers)
	err = b.inSession(ctx, func(ctx context.Context, session *zookeeper.Session) error {
		for _, node := range nodes() {
			_, _, err := session.Get(ctx, node)
			switch {
			case errors.Is(err, zookeeper.ErrNoNode):
				missing = append(missing, node)
				fmt.Fprintf(b.stdout, "  node %s: to be created\n", nodePath(b.root, node))
			case err != nil:
				return err
			default:
				fmt.Fprintf(b.stdout, "  node %s: was there\n", nodePath(b.root, node))
			}
		}
		return nil
	})
	if err != nil {
		for _, node := range nodes() {
			fmt.Fprintf(b.stdout, "  node %s: wanted\n", nodePath(b.root, node))
		}
		return nil, fmt.Errorf("create the ZooKeeper nodes: %w", err)
	}
	return missing, nil
}

// inSession runs work in a session that is connected.
func (b *bootstrap) inSession(ctx context.Context, work func(context.Context, *zookeeper.Session) error) error {
	session, err := zookeeper.New(b.zookeeper, zookeeper.Deps{Log: b.log})
	if err != nil {
		return err
	}
	return during(ctx, session.Run, func(ctx context.Context) error {
		if err := session.Connected(ctx); err != nil {
			return fmt.Errorf("connect to ZooKeeper at %v: %w", b.zookeeper.Servers, err)
		}
		return work(ctx, session)
	})
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

func (b *bootstrap) createTopics(ctx context.Context, topics []kafka.Topic) error {
	if len(topics) == 0 {
		return nil
	}
	results, err := kafka.EnsureTopics(ctx, b.kafka, topics, kafka.Deps{Log: b.log})
	for _, r := range results {
		what := "was there" // somebody else was quicker
		if r.Created {
			what = "created"
		}
		fmt.Fprintf(b.stdout, "topic %s: %s, %d partitions, replication %d\n", r.Name, what, r.Partitions, r.Replication)
	}
	if err != nil {
		return fmt.Errorf("create the Kafka topics: %w", err)
	}
	return nil
}

func (b *bootstrap) createNodes(ctx context.Context, missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	return b.inSession(ctx, func(ctx context.Context, session *zookeeper.Session) error {
		for _, node := range missing {
			if err := session.Ensure(ctx, node); err != nil {
				return fmt.Errorf("create the ZooKeeper node %s: %w", nodePath(b.root, node), err)
			}
			fmt.Fprintf(b.stdout, "node %s: created\n", nodePath(b.root, node))
		}
		return nil
	})
}
