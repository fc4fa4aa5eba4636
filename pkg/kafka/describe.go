package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// ErrNoTopic is the error of a TopicReport for a topic that is not there.
var ErrNoTopic = errors.New("there is no such topic")

// ClusterReport is what the brokers say of themselves, of topics and of consumer groups.
type ClusterReport struct {
	Brokers    []BrokerReport // those of Config.Brokers first, in their order
	Controller int32          // id, -1 if no broker answered or there is none
	Topics     []TopicReport  // in the order asked for; nil if no broker answered
	Groups     []GroupReport  // in the order asked for; nil if no broker answered
}

// BrokerReport is one broker.
type BrokerReport struct {
	Addr  string
	Given bool  // one of Config.Brokers, and not learnt from another one
	ID    int32 // -1 while unknown
	Err   error // why it did not answer; nothing below is set then
	// Version is the release whose protocol it speaks at least: "3.0", "2.8"; empty for an older one.
	Version     string
	Settings    map[string]string // the broker's own
	SettingsErr error             // why there are none
}

// TopicReport is one topic. Err wraps ErrNoTopic when it is missing.
type TopicReport struct {
	Name        string
	Err         error
	Partitions  []PartitionReport // by id
	Settings    map[string]string // as in force, defaults included
	SettingsErr error
}

// PartitionReport is one partition; Leader is -1 while there is none.
type PartitionReport struct {
	ID, Leader       int32
	Replicas, InSync int
}

// GroupQuery names a consumer group, the topic whose records it takes, and ages:
// how many records are older and not yet committed is counted for each.
type GroupQuery struct {
	Group, Topic string
	Ages         []time.Duration
}

// GroupReport is where a group stands in its topic.
type GroupReport struct {
	GroupQuery
	Err        error
	State      string // Stable, Empty, Dead, …
	Members    int
	Lag        int64   // records not committed
	Older      []int64 // of these, those older than each of Ages
	Lost       int64   // records that retention removed before they were committed
	Unread     int     // partitions of which the group has never committed anything
	Partitions int
}

// Describe looks at the cluster and changes nothing; in particular no topic comes
// to be by being asked for. Only a bad Config is an error of its own: what does not
// answer is reported.
func Describe(ctx context.Context, cfg Config, topics []string, groups []GroupQuery) (ClusterReport, error) {
	conf, err := cfg.sarama()
	if err != nil {
		return ClusterReport{}, err
	}
	r := ClusterReport{Controller: -1}
	d := describer{ctx: ctx, conf: conf}
	defer d.close()
	for _, addr := range cfg.Brokers {
		r.Brokers = append(r.Brokers, BrokerReport{Addr: addr, Given: true, ID: -1})
	}
	d.open(r.Brokers)
	meta, err := d.metadata(r.Brokers, topics)
	if err != nil {
		return r, nil // every broker has its error
	}
	r.Controller = meta.ControllerID
	r.learn(&d, meta)
	admin, err := sarama.NewClusterAdmin(d.live(r.Brokers), bind(ctx, conf))
	if err == nil {
		defer func() { _ = admin.Close() }()
	}
	for _, name := range topics {
		r.Topics = append(r.Topics, d.topicReport(name, meta))
	}
	d.settings(admin, err, &r)
	for _, q := range groups {
		g := GroupReport{GroupQuery: q, Err: err}
		at := slices.IndexFunc(r.Topics, func(t TopicReport) bool { return t.Name == q.Topic })
		switch {
		case g.Err != nil:
		case at < 0:
			g.Err = fmt.Errorf("the topic %s is not among those described", q.Topic)
		case r.Topics[at].Err != nil:
			g.Err = r.Topics[at].Err
		default:
			g.Err = conf.explain(g.fill(admin, r.Topics[at]))
		}
		r.Groups = append(r.Groups, g)
	}
	return r, nil
}

// describer holds one connection a broker, by address.
type describer struct {
	ctx   context.Context
	conf  settings
	mu    sync.Mutex
	conns map[string]*sarama.Broker
}

// open connects to the brokers side by side and asks each which protocol it speaks.
func (d *describer) open(brokers []BrokerReport) {
	var wg sync.WaitGroup
	for i := range brokers {
		b := &brokers[i]
		wg.Go(func() {
			conn, err := connect(d.ctx, d.conf, b.Addr)
			if err != nil {
				b.Err = err
				return
			}
			versions, err := conn.ApiVersions(&sarama.ApiVersionsRequest{})
			if err != nil {
				b.Err = fmt.Errorf("ask kafka broker %s which versions it speaks: %w", b.Addr, err)
				_ = conn.Close()
				return
			}
			b.Version = release(versions)
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.conns == nil {
				d.conns = make(map[string]*sarama.Broker)
			}
			d.conns[b.Addr] = conn
		})
	}
	wg.Wait()
}

func (d *describer) close() {
	for _, conn := range d.conns {
		_ = conn.Close()
	}
}

func (d *describer) live(brokers []BrokerReport) (addrs []string) {
	for _, b := range brokers {
		if b.Err == nil {
			addrs = append(addrs, b.Addr)
		}
	}
	return addrs
}

// release tells a broker's version by requests that came with it.
func release(versions *sarama.ApiVersionsResponse) string {
	const describeCluster, describeTransactions = 60, 65
	has := func(key int16) bool {
		return slices.ContainsFunc(versions.ApiKeys, func(k sarama.ApiVersionsResponseKey) bool { return k.ApiKey == key })
	}
	switch {
	case has(describeTransactions):
		return "3.0"
	case has(describeCluster):
		return "2.8"
	}
	return ""
}

// metadata asks the brokers that answer, one after the other. An error of this
// request becomes the broker's.
func (d *describer) metadata(brokers []BrokerReport, topics []string) (*sarama.MetadataResponse, error) {
	for i := range brokers {
		b := &brokers[i]
		if b.Err != nil {
			continue
		}
		req := sarama.NewMetadataRequest(d.conf.Version, topics)
		req.AllowAutoTopicCreation = false
		resp, err := d.conns[b.Addr].GetMetadata(req)
		if err == nil {
			return resp, nil
		}
		b.Err = fmt.Errorf("ask kafka broker %s for metadata: %w", b.Addr, err)
	}
	return nil, errors.New("no kafka broker answers")
}

// learn adds the brokers that were not given, and the ids of those that were.
// One given by another of its names stays without an id, and is listed twice.
func (r *ClusterReport) learn(d *describer, meta *sarama.MetadataResponse) {
	var further []BrokerReport
	for _, m := range meta.Brokers {
		at := slices.IndexFunc(r.Brokers, func(b BrokerReport) bool { return b.Addr == m.Addr() })
		if at >= 0 {
			r.Brokers[at].ID = m.ID()
		} else {
			further = append(further, BrokerReport{Addr: m.Addr(), ID: m.ID()})
		}
	}
	slices.SortFunc(further, func(a, b BrokerReport) int { return cmp.Compare(a.ID, b.ID) })
	d.open(further)
	r.Brokers = append(r.Brokers, further...)
}

func (d *describer) topicReport(name string, meta *sarama.MetadataResponse) TopicReport {
	t := TopicReport{Name: name, Err: ErrNoTopic}
	for _, m := range meta.Topics {
		if m.Name != name {
			continue
		}
		switch {
		case errors.Is(m.Err, sarama.ErrUnknownTopicOrPartition):
		case !errors.Is(m.Err, sarama.ErrNoError):
			t.Err = d.conf.explain(m.Err)
		default:
			t.Err = nil
		}
		for _, p := range m.Partitions {
			t.Partitions = append(t.Partitions, PartitionReport{ID: p.ID, Leader: p.Leader, Replicas: len(p.Replicas), InSync: len(p.Isr)})
		}
	}
	slices.SortFunc(t.Partitions, func(a, b PartitionReport) int { return cmp.Compare(a.ID, b.ID) })
	return t
}

// settings reads those of the topics that are there and of each broker.
func (d *describer) settings(admin sarama.ClusterAdmin, down error, r *ClusterReport) {
	ask := func(kind sarama.ConfigResourceType, name string) (map[string]string, error) {
		if down != nil {
			return nil, down
		}
		answers, err := admin.DescribeConfigs([]*sarama.ConfigResource{{Type: kind, Name: name}}, sarama.DescribeConfigsOptions{})
		if err != nil {
			return nil, err
		}
		found := make(map[string]string)
		for _, a := range answers {
			if a.ErrorCode != sarama.ErrNoError {
				return nil, d.conf.explain(a.ErrorCode)
			}
			for _, c := range a.Configs {
				if !c.Sensitive {
					found[c.Name] = c.Value
				}
			}
		}
		return found, nil
	}
	for i := range r.Topics {
		t := &r.Topics[i]
		// Any broker may be asked, and one of them may not know of a new topic yet.
		for try := 0; t.Err == nil && try < 10; try++ {
			t.Settings, t.SettingsErr = ask(sarama.TopicResource, t.Name)
			if !errors.Is(t.SettingsErr, sarama.ErrUnknownTopicOrPartition) || !pause(d.ctx, 100*time.Millisecond) {
				break
			}
		}
	}
	for i := range r.Brokers {
		if b := &r.Brokers[i]; b.Err == nil && b.ID >= 0 {
			b.Settings, b.SettingsErr = ask(sarama.BrokerResource, strconv.Itoa(int(b.ID)))
		}
	}
}

// fill asks for members, committed offsets, and the offsets at each of the ages.
func (g *GroupReport) fill(admin sarama.ClusterAdmin, topic TopicReport) error {
	about, err := admin.DescribeConsumerGroups([]string{g.Group})
	if err != nil {
		return fmt.Errorf("describe the group %s: %w", g.Group, err)
	}
	for _, a := range about {
		g.State, g.Members = a.State, len(a.Members)
	}
	ids := make([]int32, 0, len(topic.Partitions))
	for _, p := range topic.Partitions {
		ids = append(ids, p.ID)
	}
	g.Partitions, g.Older = len(ids), make([]int64, len(g.Ages))
	committed, err := admin.ListConsumerGroupOffsets(g.Group, map[string][]int32{g.Topic: ids})
	if errors.Is(err, sarama.ErrGroupIDNotFound) {
		g.Unread = len(ids)
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what the group %s has committed: %w", g.Group, err)
	}
	at := func(when int64) (map[int32]int64, error) { return offsetsAt(admin, g.Topic, ids, when) }
	oldest, err := at(sarama.OffsetOldest)
	if err != nil {
		return err
	}
	end, err := at(sarama.OffsetNewest)
	if err != nil {
		return err
	}
	next := make(map[int32]int64) // what the group reads next
	for _, id := range ids {
		block := committed.GetBlock(g.Topic, id)
		if block == nil || block.Offset < 0 {
			g.Unread++
			next[id] = oldest[id]
			continue
		}
		next[id] = block.Offset
		g.Lost += max(0, oldest[id]-block.Offset)
		g.Lag += max(0, end[id]-block.Offset)
	}
	if g.Unread == len(ids) {
		return nil // nothing was ever asked of the group
	}
	for i, age := range g.Ages {
		since, err := at(time.Now().Add(-age).UnixMilli())
		if err != nil {
			return err
		}
		for _, id := range ids {
			if since[id] < 0 { // every record is older
				since[id] = end[id]
			}
			g.Older[i] += max(0, since[id]-max(next[id], oldest[id]))
		}
	}
	return nil
}

func offsetsAt(admin sarama.ClusterAdmin, topic string, ids []int32, when int64) (map[int32]int64, error) {
	ask := make(map[int32]int64, len(ids))
	for _, id := range ids {
		ask[id] = when
	}
	answer, err := admin.ListOffsets(map[string]map[int32]int64{topic: ask}, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for offsets of %s: %w", topic, err)
	}
	found := make(map[int32]int64, len(ids))
	for _, id := range ids {
		a := answer[topic][id]
		if a == nil {
			return nil, fmt.Errorf("ask for offsets of %s: no answer for partition %d", topic, id)
		}
		if a.Err != nil && !errors.Is(a.Err, sarama.ErrNoError) {
			return nil, fmt.Errorf("ask for the offset of partition %d of %s: %w", id, topic, a.Err)
		}
		found[id] = a.Offset
	}
	return found, nil
}
