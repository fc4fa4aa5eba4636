package deadletter

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"eshop/pkg/kafka"
	"eshop/pkg/zookeeper"
)

// Session is what this package asks of ZooKeeper; *zookeeper.Session has it.
type Session interface {
	Get(ctx context.Context, path string) (data []byte, version int32, err error)
	Set(ctx context.Context, path string, data []byte, version int32) (int32, error)
	Create(ctx context.Context, path string, data []byte) error
}

// Sender puts a record into a partition and returns when the brokers have it; a
// *kafka.Producer with ManualPartition is one.
type Sender interface {
	Send(ctx context.Context, r kafka.Record) error
}

// Config names the topics.
type Config struct {
	Kafka  kafka.Config
	Topic  string // of dead letters
	Change string // where they came from, and where they are sent again
}

// Deps are what a Box works with.
type Deps struct {
	Session  Session
	Producer Sender
	Log      *slog.Logger // is told who did what; nil: nobody is
}

// Box is the dead letters of a fleet. Its methods may be called from any
// goroutine; each asks the brokers anew.
type Box struct {
	cfg Config
	Deps
	looks chan struct{} // of those under way
}

// maxLooks is how many looks there are at a time; others wait. Each has its own
// connections to the brokers, and up to 8 MiB of records.
const maxLooks = 2

// New does no I/O.
func New(cfg Config, deps Deps) *Box {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Kafka.ClientID = "eshop-dead-letters"
	return &Box{cfg: cfg, Deps: deps, looks: make(chan struct{}, maxLooks)}
}

// Letter is a dead letter.
type Letter struct {
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	Written   time.Time        `json:"written"`
	State     string           `json:"state"` // Open, Replayed or Discarded
	By        string           `json:"by,omitempty"`
	At        *time.Time       `json:"at,omitempty"`
	Message   kafka.DeadLetter `json:"message"`
	// Unreadable says why the record is no dead letter of eshop.
	Unreadable string `json:"unreadable,omitempty"`
}

// Listing is the newest letters of every partition, the newest first.
type Listing struct {
	Topic   string   `json:"topic"`
	Total   int64    `json:"total"` // letters in the topic
	Open    int64    `json:"open"`  // of which nothing has been done about
	Letters []Letter `json:"letters"`
}

// Errors that a Box returns wrapped.
var (
	ErrNoLetter = errors.New("there is no such dead letter")
	ErrDone     = errors.New("the dead letter is dealt with")
	ErrForeign  = errors.New("this dead letter cannot be sent again")
)

// List returns the newest n letters of every partition.
func (b *Box) List(ctx context.Context, n int) (Listing, error) {
	l := Listing{Topic: b.cfg.Topic, Letters: []Letter{}}
	spans, records, err := b.lookAt(ctx, kafka.Look{Topic: b.cfg.Topic, Partition: -1, Max: n})
	if err != nil {
		return l, fmt.Errorf("look at the dead letters: %w", err)
	}
	dealt := map[int32]marks{}
	for _, s := range spans {
		m, _, err := b.marks(ctx, s.Partition)
		if err != nil {
			return l, err
		}
		dealt[s.Partition] = m
		l.Total += s.To - s.From
		l.Open += s.To - s.From - m.within(s.From, s.To)
	}
	for _, r := range records {
		l.Letters = append(l.Letters, letterOf(r, dealt[r.Partition]))
	}
	slices.SortFunc(l.Letters, func(a, b Letter) int { return cmp.Or(b.Written.Compare(a.Written), cmp.Compare(b.Offset, a.Offset)) })
	return l, nil
}

func letterOf(r kafka.Record, m marks) Letter {
	l := Letter{Partition: r.Partition, Offset: r.Offset, Written: r.Time.UTC(), State: Open}
	if k, dealt := m.of(r.Offset, r.Time); dealt {
		at := time.UnixMilli(k.At).UTC()
		l.State, l.By, l.At = k.Did, k.By, &at
	}
	if err := json.Unmarshal(r.Value, &l.Message); err != nil {
		l.Message = kafka.DeadLetter{Value: string(r.Value)}
		l.Unreadable = "this record is no dead letter: " + err.Error()
	}
	return l
}

// Replay sends a letter's message to the topic it came from, and marks it.
func (b *Box) Replay(ctx context.Context, partition int32, offset int64, by string) (Letter, error) {
	spans, l, err := b.one(ctx, partition, offset)
	if err != nil {
		return l, err
	}
	d := l.Message
	r := kafka.Record{Topic: b.cfg.Change, Partition: d.Partition, Key: []byte(d.Key), Value: []byte(d.Value)}
	switch {
	case l.State != Open:
		return l, fmt.Errorf("%w: it was %s at %s by %s", ErrDone, l.State, l.At.Format(time.RFC3339), l.By)
	case l.Unreadable != "":
		return l, fmt.Errorf("%w: %s", ErrForeign, l.Unreadable)
	case d.Topic != b.cfg.Change:
		return l, fmt.Errorf("%w: it came from the topic %q and not from %s", ErrForeign, d.Topic, b.cfg.Change)
	case d.Truncated:
		return l, fmt.Errorf("%w: only the beginning of the message was kept", ErrForeign)
	case d.Encoding == "base64":
		var wrongKey, wrongValue error
		r.Key, wrongKey = base64.StdEncoding.DecodeString(d.Key)
		r.Value, wrongValue = base64.StdEncoding.DecodeString(d.Value)
		if err := errors.Join(wrongKey, wrongValue); err != nil {
			return l, fmt.Errorf("%w: %w", ErrForeign, err)
		}
	}
	if len(r.Key) == 0 {
		r.Key = nil
	}
	if err := b.Producer.Send(ctx, r); err != nil {
		return l, fmt.Errorf("send the dead letter %d of partition %d again: %w", offset, partition, err)
	}
	b.Log.Warn("dead letter sent again", "partition", partition, "offset", offset, "by", by)
	return b.marked(ctx, l, spans, Mark{From: offset, To: offset, Did: Replayed, By: by})
}

// Discard marks the letters from one offset through another: nobody needs to look
// at them again. It returns how many there are.
func (b *Box) Discard(ctx context.Context, partition int32, from, through int64, by string) (int64, error) {
	spans, _, err := b.one(ctx, partition, from)
	if err != nil {
		return 0, err
	}
	s := spans[slices.IndexFunc(spans, func(s kafka.Span) bool { return s.Partition == partition })]
	if through < from || through >= s.To {
		return 0, fmt.Errorf("%w: partition %d ends with %d", ErrNoLetter, partition, s.To-1)
	}
	if _, err := b.marked(ctx, Letter{Partition: partition}, spans, Mark{From: from, To: through, Did: Discarded, By: by}); err != nil {
		return 0, err
	}
	b.Log.Warn("dead letters discarded", "partition", partition, "from", from, "through", through, "by", by)
	return through - from + 1, nil
}

func (b *Box) lookAt(ctx context.Context, look kafka.Look) ([]kafka.Span, []kafka.Record, error) {
	select {
	case b.looks <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("wait for %d other looks to end: %w", maxLooks, context.Cause(ctx))
	}
	defer func() { <-b.looks }()
	return kafka.LookAt(ctx, b.cfg.Kafka, look)
}

// one reads one letter.
func (b *Box) one(ctx context.Context, partition int32, offset int64) ([]kafka.Span, Letter, error) {
	spans, records, err := b.lookAt(ctx, kafka.Look{Topic: b.cfg.Topic, Partition: partition, From: offset, Max: 1})
	if err != nil {
		return nil, Letter{}, fmt.Errorf("look at the dead letter %d of partition %d: %w", offset, partition, err)
	}
	there := slices.ContainsFunc(spans, func(s kafka.Span) bool { return s.Partition == partition && s.From <= offset && offset < s.To })
	switch {
	case there && len(records) == 0:
		return nil, Letter{}, fmt.Errorf("look at the dead letter %d of partition %d: the brokers have it and did not send it in time", offset, partition)
	case !there || records[0].Offset != offset:
		return nil, Letter{}, fmt.Errorf("%w: %d of partition %d; retention may have removed it", ErrNoLetter, offset, partition)
	}
	m, _, err := b.marks(ctx, partition)
	return spans, letterOf(records[0], m), err
}

func (b *Box) node(partition int32) string {
	return "dead/" + b.cfg.Topic + "." + strconv.Itoa(int(partition))
}

// marks reads those of a partition; version -1: there is no node.
func (b *Box) marks(ctx context.Context, partition int32) (marks, int32, error) {
	data, version, err := b.Session.Get(ctx, b.node(partition))
	if errors.Is(err, zookeeper.ErrNoNode) {
		return marks{}, -1, nil
	}
	if err != nil {
		return marks{}, 0, fmt.Errorf("read what was done about dead letters: %w", err)
	}
	m, err := parseMarks(data)
	return m, version, err
}

// marked adds a mark to its partition's, by compare-and-set: two operators at a
// time lose none.
func (b *Box) marked(ctx context.Context, l Letter, spans []kafka.Span, k Mark) (Letter, error) {
	k.At = time.Now().UnixMilli()
	var oldest int64
	for _, s := range spans {
		if s.Partition == l.Partition {
			oldest = s.From
		}
	}
	for {
		m, version, err := b.marks(ctx, l.Partition)
		if err != nil {
			return l, err
		}
		if m, err = m.with(k, oldest); err != nil {
			return l, err
		}
		data, err := json.Marshal(m)
		if err != nil {
			return l, fmt.Errorf("write down what was done about dead letters: %w", err)
		}
		if version < 0 {
			err = b.Session.Create(ctx, b.node(l.Partition), bytes.Clone(data))
		} else {
			_, err = b.Session.Set(ctx, b.node(l.Partition), data, version)
		}
		switch {
		case err == nil:
			at := time.UnixMilli(k.At).UTC()
			l.State, l.By, l.At = k.Did, k.By, &at
			return l, nil
		case errors.Is(err, zookeeper.ErrBadVersion), errors.Is(err, zookeeper.ErrNodeExists), errors.Is(err, zookeeper.ErrNoNode),
			errors.Is(err, zookeeper.ErrUnknownOutcome): // once more is once: the mark is the same
			if ctx.Err() == nil {
				continue
			}
		}
		return l, fmt.Errorf("write down what was done about dead letters: %w", err)
	}
}
