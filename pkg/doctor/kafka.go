package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"eshop/pkg/kafka"
)

// kafkaChecks are those that need a broker.
func kafkaChecks() []string {
	return []string{"version", "controller", "auto-create", "topic", "partitions", "replication", "leaders", "min-insync",
		"retention", "cleanup", "timestamp", "message-size", "lag"}
}

// Ages of uncommitted records at which a group is spoken of, and at which it fails.
const (
	lagTold  = time.Minute
	lagFails = 5 * time.Minute
)

func (d *doctor) kafka(ctx context.Context, n *notes) {
	if len(d.Kafka.Brokers) == 0 {
		n.skip("--kafka.brokers is not given", append([]string{"reachable"}, kafkaChecks()...)...)
		return
	}
	cfg := d.Kafka
	cfg.ClientID = "eshop-doctor"
	var topics []string
	for _, u := range d.uses() {
		topics = append(topics, u.name)
	}
	groups := []kafka.GroupQuery{
		{Group: d.GroupCache, Topic: d.TopicChange, Ages: []time.Duration{lagTold, lagFails}},
		{Group: d.GroupHotcount, Topic: d.TopicAccess, Ages: []time.Duration{lagTold, lagFails}},
	}
	r, err := kafka.Describe(ctx, cfg, topics, groups)
	if err != nil {
		r.Brokers = []kafka.BrokerReport{{Addr: cfg.Brokers[0], Err: err}}
	}
	if !d.kafkaReachable(n, r) {
		n.skip("kafka cannot be reached", kafkaChecks()...)
		return
	}
	d.kafkaBrokers(n, r)
	brokers := 0
	for _, b := range r.Brokers {
		if b.Err == nil && b.ID >= 0 {
			brokers++
		}
	}
	for i, t := range r.Topics {
		from := len(n.findings)
		d.topic(n, d.uses()[i], t, brokers)
		n.on(from, t.Name)
	}
	for i, g := range r.Groups {
		from := len(n.findings)
		d.lag(n, g, []string{"cache", "hotcount"}[i])
		n.on(from, g.Group)
	}
}

// kafkaReachable reports whether any broker answers.
func (d *doctor) kafkaReachable(n *notes, r kafka.ClusterReport) bool {
	var silent []string
	var first error
	for _, b := range r.Brokers {
		if b.Err != nil {
			silent = append(silent, b.Addr)
			if first == nil {
				first = b.Err
			}
		}
	}
	if len(silent) == 0 {
		n.ok("reachable", "%d of %d brokers answer", len(r.Brokers), len(r.Brokers))
		return true
	}
	why := "partitions with a copy there have one less; with too few left they take no writes"
	if len(silent) == len(r.Brokers) {
		why = "without Kafka no page learns of a change: after " + short(d.MaxStaleness) + " copies are checked against Redis, and nothing is counted"
	}
	n.say(fail(why, "kafka-broker-api-versions.sh --bootstrap-server "+silent[0]+d.kafkaAuth()+"    # then start the broker, or correct --kafka.brokers"),
		"reachable", "%d of %d brokers answer; not %s: %v", len(r.Brokers)-len(silent), len(r.Brokers), some(silent), first)
	return len(silent) < len(r.Brokers)
}

func (d *doctor) kafkaBrokers(n *notes, r kafka.ClusterReport) {
	var old, creating, mute []string
	version := ""
	for _, b := range r.Brokers {
		switch {
		case b.Err != nil:
			continue
		case b.Version == "":
			old = append(old, b.Addr)
		case version == "" || b.Version < version:
			version = b.Version
		}
		switch {
		case b.SettingsErr != nil || b.Settings["auto.create.topics.enable"] == "":
			mute = append(mute, b.Addr)
		case b.Settings["auto.create.topics.enable"] == "true":
			creating = append(creating, b.Addr)
		}
	}
	if len(old) > 0 {
		n.say(warn("eshop speaks the protocol of 2.8 and less where it must; older brokers are not tested", "upgrade the brokers to Kafka 2.8 or later"),
			"version", "%s is older than Kafka 2.8", some(old))
	} else {
		n.ok("version", "Kafka %s or later", version)
	}
	if r.Controller < 0 {
		n.say(fail("nobody elects leaders and creates topics", "kafka-metadata-quorum.sh --bootstrap-server "+r.Brokers[0].Addr+d.kafkaAuth()+" describe --status"),
			"controller", "there is no controller")
	} else {
		n.ok("controller", "broker %d", r.Controller)
	}
	switch {
	case len(creating) > 0:
		n.say(warn("a misspelt topic name makes a topic with the brokers' defaults, and what is sent there is lost to all",
			"auto.create.topics.enable=false    # in each broker's server.properties, then restart them one by one"),
			"auto-create", "auto.create.topics.enable is true at %s", some(creating))
	case len(mute) > 0:
		n.skip("the brokers do not tell auto.create.topics.enable", "auto-create")
	default:
		n.ok("auto-create", "auto.create.topics.enable is false")
	}
}

func (d *doctor) lag(n *notes, g kafka.GroupReport, role string) {
	if errors.Is(g.Err, kafka.ErrNoTopic) {
		n.skip("the topic "+g.Topic+" is missing", "lag")
		return
	}
	if g.Err != nil {
		n.say(fail("how far the role is behind is not known", d.kafkaGroup(g.Group)), "lag", "%v", g.Err)
		return
	}
	where := fmt.Sprintf("%d of its records wait, %d members", g.Lag, g.Members)
	why := map[string]string{
		"cache":    "pages show what was before the changes that wait; the cache processes are too few, stuck, or not there",
		"hotcount": "a product is found hot so much later; the hotcount processes are too few, stuck, or not there",
	}[role]
	mend := d.kafkaGroup(g.Group) + "    # then start eshop " + role + " processes, up to one a partition; /-/ready of each says what it waits for"
	switch {
	case g.Lost > 0 && role == "cache":
		n.say(fail("these changes are lost: their pages are right again when --cache.refresh has passed", "eshop publish --kind product --id ID    # for what has changed meanwhile; and lengthen the retention: see kafka.retention"),
			"lag", "retention removed %d changes before they were read", g.Lost)
	case g.Unread == g.Partitions && g.Members > 0:
		n.ok("lag", "nothing of it has been done yet, %d members", g.Members)
	case g.Unread == g.Partitions:
		n.say(warn("nobody reads "+g.Topic+" until the first "+role+" process runs", "eshop "+role+" --config FILE"), "lag", "the group has never read %s", g.Topic)
	case len(g.Older) == 2 && g.Older[1] > 0:
		n.say(fail(why, mend), "lag", "%d records of %s are older than %s and not done; %s", g.Older[1], g.Topic, short(lagFails), where)
	case len(g.Older) == 2 && g.Older[0] > 0:
		n.say(warn(why, mend), "lag", "%d records of %s are older than %s and not done; %s", g.Older[0], g.Topic, short(lagTold), where)
	case g.Members == 0:
		n.say(warn("what is sent from now on waits", mend), "lag", "the group has no members")
	default:
		n.ok("lag", "%s", where)
	}
}

func (d *doctor) kafkaAuth() string {
	if d.Kafka.SASL != nil || d.Kafka.TLS != nil {
		return " --command-config client.properties"
	}
	return ""
}

func (d *doctor) kafkaGroup(group string) string {
	return "kafka-consumer-groups.sh --bootstrap-server " + d.Kafka.Brokers[0] + d.kafkaAuth() + " --describe --group " + group
}

// kafkaSet changes a topic's settings.
func (d *doctor) kafkaSet(topic string, settings ...string) string {
	return "kafka-configs.sh --bootstrap-server " + d.Kafka.Brokers[0] + d.kafkaAuth() +
		" --entity-type topics --entity-name " + topic + " --alter --add-config " + strings.Join(settings, ",")
}

func (d *doctor) kafkaTopic(topic, words string) string {
	return "kafka-topics.sh --bootstrap-server " + d.Kafka.Brokers[0] + d.kafkaAuth() + " --topic " + topic + " " + words
}

// bootstrap is the command that creates what is missing.
func (d *doctor) bootstrap() string {
	line := "eshop bootstrap"
	if len(d.Kafka.Brokers) > 0 {
		line += " --kafka.brokers " + strings.Join(d.Kafka.Brokers, ",")
	}
	if len(d.ZooKeeper.Servers) > 0 {
		line += " --zookeeper.servers " + strings.Join(d.ZooKeeper.Servers, ",")
	}
	if d.ZooKeeper.Root != "" && d.ZooKeeper.Root != "/eshop" {
		line += " --zookeeper.root " + d.ZooKeeper.Root
	}
	for _, t := range []struct{ flag, name, usual string }{
		{"change", d.TopicChange, "cache-message"}, {"access", d.TopicAccess, "access-log"},
		{"invalidate", d.TopicInvalidate, "cache-invalidate"}, {"dead", d.TopicDead, "cache-message-dead"},
	} {
		if t.name != t.usual && t.name != "" {
			line += " --kafka.topic." + t.flag + " " + t.name
		}
	}
	return line
}

// below lists the partitions of which the number is below the limit.
func below(parts []kafka.PartitionReport, of func(kafka.PartitionReport) int, limit int) (ids []string) {
	for _, p := range parts {
		if of(p) < limit {
			ids = append(ids, fmt.Sprint(p.ID))
		}
	}
	slices.Sort(ids)
	return ids
}
