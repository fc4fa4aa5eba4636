package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/semaphore"
)

// GroupConfig names the group and bounds it. Zero values mean the default in brackets.
type GroupConfig struct {
	Config
	Group            string
	Topic            string
	DeadTopic        string        // where rejected records go; "" means they are only logged and counted
	Parallel         int           // handlers running at once, each for another key [32]
	MaxInFlight      int           // records read and not yet applied, all partitions together [4096]
	MaxInFlightBytes int64         // their keys, values and headers together [32 MiB]
	MaxWindow        int           // records of a partition between the oldest unapplied and the newest read [65,536]
	Backoff          Backoff       // between attempts for one record [50 ms to 10 s]
	FromNewest       bool          // a group without committed offsets starts at the end instead of the beginning
	Drain            time.Duration // how long running handlers may go on when their partition is taken away, before they are cancelled [1 s]
	CommitInterval   time.Duration // between commits to the broker [250 ms]
	SessionTimeout   time.Duration // after which the broker gives a silent member's partitions away [10 s]
	StallTimeout     time.Duration // no progress for this long although there is something to read restarts the member (25) [30 s]
}

// Handler applies one record. Nil means that it is applied; an error made by
// Reject sends it to the dead-letter topic; one made by Postpone says when it is
// tried again; any other error, and a panic, means it is tried again with backoff
// for ever, while other keys go on. ctx ends
// when the process gives up the record's partition: the record then counts as
// not applied and is read again, here or elsewhere.
type Handler func(ctx context.Context, r Record) error

type rejection struct{ reason error }

func (r rejection) Error() string { return r.reason.Error() }
func (r rejection) Unwrap() error { return r.reason }

// Reject marks an error as final: the record goes to the dead-letter topic at once.
func Reject(reason error) error { return rejection{reason: reason} }

type postponement struct {
	reason error
	ready  <-chan struct{}
}

func (p postponement) Error() string { return p.reason.Error() }
func (p postponement) Unwrap() error { return p.reason }

// Postpone marks an error as a wait that somebody ends: the record is tried again
// when ready is closed, and not before. Meanwhile it takes no handler's place,
// and is no failure.
func Postpone(ready <-chan struct{}, reason error) error { return postponement{reason, ready} }

// Group is one member of a consumer group. Records with equal keys are applied
// one after the other, in the order read, over all partitions this process
// holds; different keys in parallel. The committed offset of a partition never
// passes a record that is neither applied nor dead-lettered.
type Group struct {
	membership[*claim]
	cfg     GroupConfig
	keyOf   func(Record) (string, error)
	handle  Handler
	metrics groupMetrics
	dead    *Producer // nil without a dead-letter topic

	slots *semaphore.Weighted // running handlers
	count *semaphore.Weighted // records in flight
	bytes *semaphore.Weighted // bytes in flight

	// guarded by the membership's mu
	lanes map[string]*lane
	state groupState
}

// NewGroup checks the settings and does no I/O. keyOf gives the ordering key of
// a record, which need not be its Kafka key; its error sends the record to the
// dead-letter topic.
func NewGroup(cfg GroupConfig, keyOf func(Record) (key string, err error), h Handler, deps Deps) (*Group, error) {
	conf, err := cfg.sarama()
	if err != nil {
		return nil, err
	}
	if cfg.Group == "" || cfg.Topic == "" || keyOf == nil || h == nil {
		return nil, errors.New("kafka group: the group, the topic, the key function and the handler are all needed")
	}
	cfg.Parallel = positive(cfg.Parallel, 32)
	cfg.MaxInFlight = positive(cfg.MaxInFlight, 4096)
	cfg.MaxInFlightBytes = positive(cfg.MaxInFlightBytes, 32<<20)
	cfg.MaxWindow = positive(cfg.MaxWindow, 65_536)
	cfg.Backoff = cfg.Backoff.or(50*time.Millisecond, 10*time.Second)
	cfg.Drain = positive(cfg.Drain, time.Second)
	cfg.CommitInterval = positive(cfg.CommitInterval, 250*time.Millisecond)
	cfg.SessionTimeout = positive(cfg.SessionTimeout, 10*time.Second)
	cfg.StallTimeout = positive(cfg.StallTimeout, 30*time.Second)

	groupSettings(conf, cfg.SessionTimeout, cfg.CommitInterval)
	conf.ChannelBufferSize = 64
	conf.Consumer.MaxWaitTime = 250 * time.Millisecond
	conf.Consumer.MaxProcessingTime = time.Second
	conf.Consumer.Fetch.Default = 512 << 10
	conf.Consumer.Fetch.MaxBytes = 8 << 20
	conf.Consumer.Offsets.Initial = sarama.OffsetOldest
	if cfg.FromNewest {
		conf.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	if err := conf.Validate(); err != nil {
		return nil, fmt.Errorf("kafka group settings: %w", err)
	}
	metrics := newGroupMetrics(deps.Registry, cfg.Group, cfg.Topic)
	g := &Group{
		membership: membership[*claim]{
			group: cfg.Group, topic: cfg.Topic, brokers: cfg.Brokers, conf: conf, drain: cfg.Drain, stall: cfg.StallTimeout,
			log: deps.logger(), metrics: metrics.memberMetrics, dir: newDirectory(conf, cfg.Brokers),
		},
		cfg: cfg, keyOf: keyOf, handle: h, metrics: metrics,
		slots: semaphore.NewWeighted(int64(cfg.Parallel)),
		count: semaphore.NewWeighted(int64(cfg.MaxInFlight)),
		bytes: semaphore.NewWeighted(cfg.MaxInFlightBytes),
		lanes: make(map[string]*lane),
	}
	g.handler = g
	if cfg.DeadTopic != "" {
		deadCfg := cfg.Config
		deadCfg.ClientID = cfg.clientID() + "-dead"
		if g.dead, err = NewProducer(ProducerConfig{Config: deadCfg, MaxRecords: 256}, deps); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// Run takes part in the group until ctx ends and then leaves it, with the last
// commit made. It returns nil; trouble with the brokers is waited out.
func (g *Group) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if g.dead != nil {
		deadCtx, stopDead := context.WithCancel(context.WithoutCancel(ctx))
		defer stopDead()
		wg.Go(func() { _ = g.dead.Run(deadCtx) })
	}
	g.run(ctx)
	return nil
}

// Setup implements sarama.ConsumerGroupHandler.
func (g *Group) Setup(s sarama.ConsumerGroupSession) error {
	g.began(s)
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler. Every claim has ended before it is called.
func (g *Group) Cleanup(sarama.ConsumerGroupSession) error {
	g.ended()
	return nil
}

// DeadLetter is what a rejected record becomes on the dead-letter topic.
type DeadLetter struct {
	Reason    string    `json:"reason"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Key       string    `json:"key"`
	Value     string    `json:"value"`
	Encoding  string    `json:"encoding,omitempty"`  // "base64" when key and value are not UTF-8 text
	Truncated bool      `json:"truncated,omitempty"` // only the beginning of the value is kept
	Time      time.Time `json:"time"`                // of the record
}

func (d DeadLetter) marshal() []byte {
	b, err := json.Marshal(d)
	if err != nil { // strings, integers and a time: only a year beyond 9999 gets here
		d.Time = time.Time{}
		b, _ = json.Marshal(d)
	}
	return b
}
