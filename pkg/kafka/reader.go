package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// ReaderConfig names the topic and where to begin. Zero values mean the default in brackets.
type ReaderConfig struct {
	Config
	Topic      string
	Replay     time.Duration // how far back to begin, by record time; 0 begins at the end, negative at the very beginning
	MaxWait    time.Duration // how long a broker may hold an empty fetch; it answers at once when there is something [100 ms]
	FetchBytes int32         // largest answer for one partition, which is what the reader holds in memory for it [1 MiB]
	Backoff    Backoff       // after an error [50 ms to 1 s]
}

// Events receives what a Reader reads. The methods are called from one
// goroutine per partition, in offset order; a slow one delays its partition only.
type Events interface {
	// Record is called once for each record.
	Record(Record)
	// Gap says that offsets from <= o < to were lost to this reader, or, for
	// GapTruncated with to < from, that the log now ends (or begins anew) at to
	// and records it has shown may no longer exist. From 0 by GapRetention, before
	// any record, says that the oldest one left is as young as the point in time
	// to begin at, so some of those before it may have been too.
	Gap(partition int32, from, to int64, reason string)
}

// Reasons for a gap.
const (
	GapRetention = "retention" // removed by retention or by an operator before they were read
	GapTruncated = "truncated" // the log is shorter than what was read: an unclean election, or data lost
	GapRecreated = "recreated" // the topic was deleted and created again
	GapHole      = "hole"      // missing in the middle: compaction
	GapCorrupt   = "corrupt"   // a record that cannot be decoded was passed over
)

// Reader reads all partitions of a topic with its own offsets, kept in memory
// only: every process that has one sees every record. It resumes where it was
// after any trouble with the brokers, and picks up new partitions from their beginning.
type Reader struct {
	cfg     ReaderConfig
	conf    settings
	events  Events
	log     *slog.Logger
	metrics readerMetrics
	dir     *directory
	refresh chan struct{} // capacity 1

	mu      sync.Mutex
	layout  layout
	parts   map[int32]*partitionReader
	lastErr error
}

// layout is what partition goroutines need to know about the cluster.
type layout struct {
	known   bool
	topic   sarama.Uuid
	leaders map[int32]string // partition to address; missing while there is none
	changed chan struct{}    // closed when a newer layout is there
}

// PartitionStatus is one partition of a Reader.
type PartitionStatus struct {
	Partition  int32     `json:"partition"`
	Next       int64     `json:"next"`       // offset of the next record; -1 while the start is not known
	High       int64     `json:"high"`       // offset after the last record, as of the last answer; -1 while unknown
	LastRecord time.Time `json:"lastRecord"` // the time of the last record read
	LastAnswer time.Time `json:"lastAnswer"` // when a broker last answered a fetch: the age of this is how long the partition may have been cut off
}

// NewReader checks the settings and does no I/O.
func NewReader(cfg ReaderConfig, events Events, deps Deps) (*Reader, error) {
	conf, err := cfg.sarama()
	if err != nil {
		return nil, err
	}
	if cfg.Topic == "" || events == nil {
		return nil, errors.New("kafka reader: the topic and the receiver of events are both needed")
	}
	cfg.MaxWait = positive(cfg.MaxWait, 100*time.Millisecond)
	if cfg.FetchBytes <= 0 {
		cfg.FetchBytes = 1 << 20
	}
	cfg.Backoff = cfg.Backoff.or(50*time.Millisecond, time.Second)
	return &Reader{
		cfg: cfg, conf: conf, events: events, log: deps.logger(),
		metrics: newReaderMetrics(deps.Registry, cfg.clientID(), cfg.Topic),
		dir:     newDirectory(conf, cfg.Brokers),
		refresh: make(chan struct{}, 1),
		layout:  layout{changed: make(chan struct{})},
		parts:   make(map[int32]*partitionReader),
	}, nil
}

// Run reads until ctx ends and returns nil. All its goroutines, and with them
// all calls of Events, are done when it returns.
func (r *Reader) Run(ctx context.Context) error {
	begin := time.Now()
	var wg sync.WaitGroup
	defer r.dir.close()
	defer wg.Wait()
	again := time.NewTimer(0)
	defer again.Stop()
	failures, first := 0, true
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.refresh:
		case <-again.C:
		}
		if !pause(ctx, time.Until(last.Add(layoutInterval))) {
			return nil
		}
		last = time.Now()
		view, err := r.dir.fetch(ctx, false, r.cfg.Topic)
		if err == nil && view.topics[r.cfg.Topic].err != nil {
			err = view.topics[r.cfg.Topic].err
		}
		next := metadataInterval / 2
		if err != nil {
			err = r.conf.explain(err)
			if ctx.Err() == nil && failures == 0 {
				r.log.Warn("kafka reader cannot get the layout of its topic and goes on trying", "topic", r.cfg.Topic, "error", err)
			}
			r.note(err)
			next = r.cfg.Backoff.delay(failures)
			failures++
		} else {
			failures = 0
			r.adopt(ctx, view, &wg, begin, first)
			first = false
		}
		again.Reset(next)
	}
}

// adopt takes over a layout and starts a goroutine for each new partition.
// Those of the first layout begin at the replay point; later ones appeared
// while we were reading and are read from their beginning.
func (r *Reader) adopt(ctx context.Context, view *clusterView, wg *sync.WaitGroup, begin time.Time, first bool) {
	tv := view.topics[r.cfg.Topic]
	r.mu.Lock()
	defer r.mu.Unlock()
	l := layout{known: true, topic: tv.id, leaders: make(map[int32]string), changed: make(chan struct{})}
	for _, p := range tv.partitions {
		if addr, up := view.brokers[p.leader]; up {
			l.leaders[p.id] = addr
		}
		if r.parts[p.id] == nil {
			pr := &partitionReader{r: r, id: p.id, next: -1, high: -1, target: -1, topic: tv.id, fetchBytes: r.cfg.FetchBytes}
			pr.start = r.startTime(begin)
			if !first {
				pr.start = sarama.OffsetOldest
			}
			r.parts[p.id] = pr
			wg.Go(func() { pr.run(ctx) })
		}
	}
	old := r.layout.changed
	r.layout = l
	close(old)
}

func (r *Reader) startTime(begin time.Time) int64 {
	switch {
	case r.cfg.Replay == 0:
		return sarama.OffsetNewest
	case r.cfg.Replay < 0:
		return sarama.OffsetOldest
	}
	return begin.Add(-r.cfg.Replay).UnixMilli()
}

// CaughtUp says whether every partition has been read up to the end it had when its reading began.
func (r *Reader) CaughtUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.layout.known || len(r.parts) == 0 {
		return false
	}
	for _, p := range r.parts {
		p.mu.Lock()
		ok := p.target >= 0 && p.next >= p.target
		p.mu.Unlock()
		if !ok {
			return false
		}
	}
	return true
}

// Status lists the partitions in order.
func (r *Reader) Status() []PartitionStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]PartitionStatus, 0, len(r.parts))
	for _, p := range r.parts {
		p.mu.Lock()
		out = append(out, PartitionStatus{Partition: p.id, Next: p.next, High: p.high, LastRecord: p.lastRecord, LastAnswer: p.lastAnswer})
		p.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b PartitionStatus) int { return int(a.Partition) - int(b.Partition) })
	return out
}

// LastError is the newest trouble with the brokers, nil after a fetch that went well.
func (r *Reader) LastError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastErr
}

func (r *Reader) note(err error) {
	r.mu.Lock()
	r.lastErr = r.conf.explain(err)
	r.mu.Unlock()
	if err != nil {
		r.metrics.faults.Inc()
	}
}

func (r *Reader) askRefresh() {
	select {
	case r.refresh <- struct{}{}:
	default:
	}
}

// leader returns the partition's leader, "" while there is none, the topic's id and a channel that tells of news.
func (r *Reader) leader(partition int32) (addr string, topic sarama.Uuid, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.layout.leaders[partition], r.layout.topic, r.layout.changed
}
