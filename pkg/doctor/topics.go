package doctor

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"eshop/pkg/kafka"
)

// use is what a topic has to do.
type use struct {
	name string
	// fails is the retention below which a promise is broken, why says which;
	// told that below which there is little room.
	fails, told time.Duration
	why         string
	shared      string // by whom its partitions are shared; empty: one is enough
	compacted   string // what compaction breaks
}

// Retention of topics that nothing in the code replays: the longest outage that
// changes survive, and how long an operator may look back.
const (
	changesFail, changesTold = time.Hour, 24 * time.Hour
	deadTold                 = 7 * 24 * time.Hour
	busTold                  = time.Hour
)

// uses lists the four topics.
func (d *doctor) uses() []use {
	return []use{
		{d.TopicChange, changesFail, changesTold, "changes that wait, while the shop's services, Redis or ZooKeeper are away, are lost after that", "cache processes",
			"messages without a key, as the shop's producers send them, are refused"},
		{d.TopicAccess, d.Window, d.MaxWindow, "hotcount reads back a whole window (" + short(d.Window) + ", at most " + short(d.MaxWindow) + ") when a partition moves; what is gone by then is not counted", "hotcount processes",
			"hits of the same product are thrown away, so counts come out too low"},
		{d.TopicInvalidate, d.Replay, busTold, "a process reads back " + short(d.Replay) + " when it starts, and one that was cut off for longer than the retention checks every copy anew", "",
			"readers take what it removes for lost messages and check every copy anew"},
		{d.TopicDead, 0, deadTold, "what could not be understood is gone before somebody looks", "", "what could not be understood is thrown away"},
	}
}

func (d *doctor) topic(n *notes, u use, t kafka.TopicReport, brokers int) {
	if t.Err != nil {
		b := fail("the roles wait for it: /-/ready stays at 503", d.bootstrap())
		if !errors.Is(t.Err, kafka.ErrNoTopic) {
			b.mend = d.kafkaTopic(t.Name, "--describe")
		}
		n.say(b, "topic", "%v", t.Err)
		n.skip("the topic is missing", "partitions", "replication", "leaders", "min-insync", "retention", "cleanup", "timestamp", "message-size")
		return
	}
	n.ok("topic", "is there")
	parts := len(t.Partitions)
	if u.shared != "" && parts == 1 {
		n.say(warn("only one of the "+u.shared+" has work, however many there are", d.kafkaTopic(t.Name, "--alter --partitions 12")), "partitions", "1 partition")
	} else {
		n.ok("partitions", "%d", parts)
	}
	copies := 0
	for i, p := range t.Partitions {
		if i == 0 || p.Replicas < copies {
			copies = p.Replicas
		}
	}
	d.copies(n, t, copies, brokers)
	if t.SettingsErr != nil {
		n.skip("the brokers do not tell the topic's settings: "+t.SettingsErr.Error(), "min-insync", "retention", "cleanup", "timestamp", "message-size")
		return
	}
	d.minInsync(n, t, copies)
	d.retention(n, u, t)
	if policy := t.Settings["cleanup.policy"]; strings.Contains(policy, "compact") {
		n.say(fail(u.compacted, d.kafkaSet(t.Name, "cleanup.policy=delete")), "cleanup", "cleanup.policy is %s", policy)
	} else {
		n.ok("cleanup", "%s", policy)
	}
	switch kind := t.Settings["message.timestamp.type"]; {
	case kind == "LogAppendTime" && t.Name == d.TopicChange:
		n.say(warn("eshop_change_lag_seconds leaves out the time for which a message waits in the shop's producer", d.kafkaSet(t.Name, "message.timestamp.type=CreateTime")),
			"timestamp", "message.timestamp.type is LogAppendTime")
	case kind == "":
		n.skip("the brokers do not tell it", "timestamp")
	default:
		n.ok("timestamp", "%s", kind)
	}
	d.messageSize(n, t)
}

// copies judges replication factor and leaders.
func (d *doctor) copies(n *notes, t kafka.TopicReport, copies, brokers int) {
	// A longer list than there are brokers would be refused.
	mend := "kafka-reassign-partitions.sh --bootstrap-server " + d.Kafka.Brokers[0] + d.kafkaAuth() +
		" --execute --reassignment-json-file FILE    # with three replicas for each partition of " + t.Name
	switch {
	case copies < 2 && brokers > 1:
		n.say(fail("its partitions are away, or lost, with one broker", mend), "replication", "replication factor %d of %d brokers", copies, brokers)
	case copies < 2:
		n.say(warn("it is away, or lost, with the only broker", "run three brokers, then "+mend), "replication", "replication factor %d, of one broker", copies)
	case copies < 3:
		n.say(warn("with one broker away a second fault loses what was acknowledged", mend), "replication", "replication factor %d", copies)
	default:
		n.ok("replication", "%d copies", copies)
	}
	describe := d.kafkaTopic(t.Name, "--describe") + "    # start the brokers that are missing there"
	headless := below(t.Partitions, func(p kafka.PartitionReport) int { return int(p.Leader) }, 0)
	var behind []string
	for _, p := range t.Partitions {
		if p.InSync < p.Replicas {
			behind = append(behind, fmt.Sprint(p.ID))
		}
	}
	switch {
	case len(headless) > 0:
		n.say(fail("nothing is written to or read from such a partition", describe), "leaders", "no leader for partition %s", some(headless))
	case len(behind) > 0:
		n.say(warn("another broker's loss may stop writes or lose what was acknowledged", describe), "leaders", "copies are missing or behind in partition %s", some(behind))
	default:
		n.ok("leaders", "all copies in step")
	}
}

// minInsync judges how many copies have a record before it is acknowledged. A
// broker takes no more of them for needed than the topic has.
func (d *doctor) minInsync(n *notes, t kafka.TopicReport, copies int) {
	least, err := strconv.Atoi(t.Settings["min.insync.replicas"])
	switch {
	case err != nil:
		n.skip("the brokers do not tell it", "min-insync")
	case copies > 1 && least < 2:
		n.say(warn("what is acknowledged may be on one broker only, and lost with it", d.kafkaSet(t.Name, "min.insync.replicas=2")), "min-insync", "min.insync.replicas is %d of %d copies", least, copies)
	case copies > 1 && least >= copies:
		n.say(warn("one broker's absence stops all writes to it", d.kafkaSet(t.Name, fmt.Sprintf("min.insync.replicas=%d", max(1, copies-1)))), "min-insync", "min.insync.replicas is %d of %d copies", least, copies)
	case least > copies:
		n.ok("min-insync", "%d, and there is one copy", least)
	default:
		n.ok("min-insync", "%d of %d", least, copies)
	}
}

func (d *doctor) retention(n *notes, u use, t kafka.TopicReport) {
	ms, err := strconv.ParseInt(t.Settings["retention.ms"], 10, 64)
	if err != nil {
		n.skip("the brokers do not tell it", "retention")
		return
	}
	kept := time.Duration(min(ms, int64(365*24*time.Hour/time.Millisecond))) * time.Millisecond
	enough := fmt.Sprintf("retention.ms=%d", (7 * 24 * time.Hour).Milliseconds())
	switch bytes := t.Settings["retention.bytes"]; {
	case ms < 0:
		n.ok("retention", "for ever")
	case kept <= u.fails:
		n.say(fail(u.why, d.kafkaSet(t.Name, enough)), "retention", "records are kept for %s, at least %s is needed", short(kept), short(u.fails))
	case kept < u.told:
		n.say(warn(u.why, d.kafkaSet(t.Name, enough)), "retention", "records are kept for %s, %s would be prudent", short(kept), short(u.told))
	case bytes != "" && bytes != "-1":
		n.say(warn("a burst shortens the time: "+u.why, d.kafkaSet(t.Name, "retention.bytes=-1")), "retention", "records are kept for %s, and only the last %s bytes of a partition", short(kept), bytes)
	default:
		n.ok("retention", "%s", short(kept))
	}
}

// What the producers of eshop send at most in one batch, and in one record.
const (
	largestBatch  = 512 << 10
	largestRecord = 1_000_000
)

func (d *doctor) messageSize(n *notes, t kafka.TopicReport) {
	limit, err := strconv.ParseInt(t.Settings["max.message.bytes"], 10, 64)
	mend := d.kafkaSet(t.Name, "max.message.bytes=1048588")
	switch {
	case err != nil:
		n.skip("the brokers do not tell it", "message-size")
	case limit < largestBatch:
		n.say(fail(fmt.Sprintf("producers send batches of up to %d bytes, which are refused and dropped", largestBatch), mend), "message-size", "max.message.bytes is %d", limit)
	case limit < largestRecord:
		n.say(warn(fmt.Sprintf("single records of up to %d bytes are let through by the producers and refused by the brokers", largestRecord), mend), "message-size", "max.message.bytes is %d", limit)
	default:
		n.ok("message-size", "%d", limit)
	}
}
