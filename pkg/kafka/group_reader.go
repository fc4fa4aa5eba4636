package kafka

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// GroupReaderConfig names the group and the topic. Zero values mean the default in brackets.
type GroupReaderConfig struct {
	Config
	Group          string
	Topic          string
	MaxWait        time.Duration // how long a broker may hold an empty fetch; it answers at once when there is something [100 ms]
	FetchBytes     int32         // largest answer for one partition [4 MiB]
	Buffer         int           // records of a partition decoded and not yet read, beside those of one answer [256]
	SessionTimeout time.Duration // after which the broker gives a silent member's partitions away [10 s]
	StallTimeout   time.Duration // nothing read for this long although there is something to read restarts the member (25) [30 s]
	CommitInterval time.Duration // between commits to the broker [1 s]
}

// Holder is what reads the partitions a GroupReader is assigned. Start and Hold
// of one partition never run at the same time, be it over several assignments.
type Holder interface {
	// Start is asked when a partition is assigned, also when this process held it
	// before: reading begins at the first record whose time is at or after from,
	// or at next where that is later; next < 0 means no memory of the partition.
	// Where the log ends before next it is not the log that next was taken from
	// (truncated, or made anew): reading then begins by from alone, and a
	// Start of Assigned below next says that what was read before is void.
	Start(partition int32) (from time.Time, next int64)
	// Hold reads the partition until Read says ok == false, then returns
	// promptly; the whole group waits for it. ctx ends with the assignment.
	// Returning earlier, or panicking, gives the assignment up and takes one anew.
	Hold(ctx context.Context, p *Assigned)
}

// GroupReader is one member of a consumer group whose partitions are read from
// where the holder says and not from committed offsets, so that a state can be
// rebuilt from the log on each assignment. From its start on a partition is
// read without a loss and without a record twice, in offset order.
type GroupReader struct {
	membership[*Assigned]
	cfg        GroupReaderConfig
	holder     Holder
	metrics    groupReaderMetrics
	partitions atomic.Int32    // of the topic
	starts     map[int32]place // of the assignment; written before its claims begin
	lookups    sync.WaitGroup

	records, skipped, truncated atomic.Uint64
}

// NewGroupReader checks the settings and does no I/O.
func NewGroupReader(cfg GroupReaderConfig, h Holder, deps Deps) (*GroupReader, error) {
	conf, err := cfg.sarama()
	if err != nil {
		return nil, err
	}
	if cfg.Group == "" || cfg.Topic == "" || h == nil {
		return nil, errors.New("kafka group reader: the group, the topic and the holder are all needed")
	}
	cfg.MaxWait = positive(cfg.MaxWait, 100*time.Millisecond)
	if cfg.FetchBytes <= 0 {
		cfg.FetchBytes = 4 << 20
	}
	cfg.Buffer = positive(cfg.Buffer, 256)
	cfg.SessionTimeout = positive(cfg.SessionTimeout, 10*time.Second)
	cfg.StallTimeout = positive(cfg.StallTimeout, 30*time.Second)
	cfg.CommitInterval = positive(cfg.CommitInterval, time.Second)

	groupSettings(conf, cfg.SessionTimeout, cfg.CommitInterval)
	// A holder has nothing to finish, so a rebalance need not wait long for a
	// member, and a broker that is silent is given up soon after.
	conf.Consumer.Group.Rebalance.Timeout = 6 * time.Second
	conf.Net.ReadTimeout = 8 * time.Second
	conf.ChannelBufferSize = cfg.Buffer
	conf.Metadata.RefreshFrequency = metadataInterval / 2 // the leader of the group finds new partitions by it
	conf.Consumer.MaxWaitTime = cfg.MaxWait
	conf.Consumer.MaxProcessingTime = 100 * time.Millisecond // a holder that is slower than this delays its own partition only
	conf.Consumer.Fetch.Default = cfg.FetchBytes
	conf.Consumer.Fetch.MaxBytes = 4 * cfg.FetchBytes
	conf.Consumer.Group.Heartbeat.Interval = min(250*time.Millisecond, cfg.SessionTimeout/4) // everybody stands still until the last one has heard of a rebalance
	conf.Consumer.Group.ResetInvalidOffsets = false                                          // where reading begins is ours to say
	if err := conf.Validate(); err != nil {
		return nil, fmt.Errorf("kafka group reader settings: %w", err)
	}
	metrics := newGroupReaderMetrics(deps.Registry, cfg.Group, cfg.Topic)
	g := &GroupReader{
		membership: membership[*Assigned]{
			group: cfg.Group, topic: cfg.Topic, brokers: cfg.Brokers, conf: conf, drain: time.Second, stall: cfg.StallTimeout,
			log: deps.logger(), metrics: metrics.memberMetrics, dir: newDirectory(conf, cfg.Brokers),
		},
		cfg: cfg, holder: h, metrics: metrics,
	}
	g.handler = g
	return g, nil
}

// Run takes part in the group until ctx ends and then leaves it. It returns
// nil; trouble with the brokers is waited out. All calls of the holder are done
// when it returns.
func (g *GroupReader) Run(ctx context.Context) error {
	g.run(ctx)
	g.lookups.Wait()
	return nil
}

// Rejoin ends the assignment, which every Read says, and takes another one at
// once, for which Start is asked again. The whole group assigns anew, so it is
// not for every day; partitions mostly stay where they were. Between two
// assignments it does nothing.
func (g *GroupReader) Rejoin() { g.rejoin() }

// Setup implements sarama.ConsumerGroupHandler: it puts the start of every
// partition into the session before its reading begins. An error ends the
// session, and another one is tried.
func (g *GroupReader) Setup(s sarama.ConsumerGroupSession) error {
	ids := s.Claims()[g.topic]
	starts, err := g.locate(s.Context(), ids)
	if s.Context().Err() != nil {
		g.starts = nil
		return nil // taken back already: no claim of it begins
	}
	if err != nil {
		return fmt.Errorf("find where to begin: %w", err)
	}
	for id, at := range starts {
		// The first moves the session's offset forward only, the second back only.
		s.MarkOffset(g.topic, id, at.start, "")
		s.ResetOffset(g.topic, id, at.start, "")
	}
	g.starts = starts
	count, err := g.client.Partitions(g.topic)
	if err != nil {
		return fmt.Errorf("count the partitions of topic %s: %w", g.topic, err)
	}
	total := int32(len(count))
	for _, id := range ids {
		total = max(total, id+1) // another member may know more by now
	}
	g.partitions.Store(total)
	g.began(s)
	client := g.client
	g.lookups.Go(func() { g.check(s.Context(), client) })
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler. Every claim has ended before it is called.
func (g *GroupReader) Cleanup(sarama.ConsumerGroupSession) error {
	g.ended()
	return nil
}

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (g *GroupReader) ConsumeClaim(s sarama.ConsumerGroupSession, in sarama.ConsumerGroupClaim) error {
	at, ok := g.starts[in.Partition()]
	if !ok {
		g.log.Info("a kafka partition has a leader again and is begun anew", "group", g.group, "partition", in.Partition())
		return nil // ends the session
	}
	if in.InitialOffset() != at.start {
		return fmt.Errorf("partition %d: the client begins at offset %d, not at %d", in.Partition(), in.InitialOffset(), at.start)
	}
	if at.gap != "" {
		g.lost(in.Partition(), at.from, at.to, at.gap)
	}
	p := newAssigned(g, s, in, at)
	g.holds(p)
	return g.hold(s.Context(), p)
}

// hold lends the partition to the holder. An early return or a panic of it is an error.
func (g *GroupReader) hold(ctx context.Context, p *Assigned) (err error) {
	returned := make(chan struct{})
	defer close(returned)
	defer context.AfterFunc(ctx, func() {
		late := time.NewTimer(10 * time.Second)
		defer late.Stop()
		select {
		case <-returned:
		case <-late.C:
			g.log.Error("the holder of a kafka partition does not return although it was taken away", "group", g.group, "partition", p.partition)
		}
	})()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the holder panicked: %v\n%s", v, debug.Stack())
		}
	}()
	g.holder.Hold(ctx, p)
	if ctx.Err() == nil && !p.over.Load() {
		return errors.New("the holder gave the partition up")
	}
	return nil
}
