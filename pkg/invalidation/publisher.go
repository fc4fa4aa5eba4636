package invalidation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/ring"
	"eshop/pkg/tracing"
)

// Sender is a producer that takes the partition from the record and waits for
// the brokers' acknowledgement.
type Sender interface {
	Send(ctx context.Context, r kafka.Record) error
}

// Publisher announces stored stamps, keyed so that the messages of one document
// stay in order, and beats for every partition.
type Publisher struct {
	topic      string
	sender     Sender
	partitions func() []kafka.PartitionStatus
	log        *slog.Logger
}

// NewPublisher publishes to topic; partitions tells which there are (a
// Subscriber's Status does).
func NewPublisher(topic string, sender Sender, partitions func() []kafka.PartitionStatus, log *slog.Logger) *Publisher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Publisher{topic: topic, sender: sender, partitions: partitions, log: log}
}

// errNoPartitions is answered until the brokers have told which partitions there are.
var errNoPartitions = errors.New("the partitions of the invalidation topic are not known yet")

// Publish announces what Redis holds and returns when the brokers have it.
func (p *Publisher) Publish(ctx context.Context, inv catalog.Invalidation) error {
	parts := p.partitions()
	if len(parts) == 0 {
		return fmt.Errorf("publish %v: %w", inv.Key, errNoPartitions)
	}
	inv.Sent = time.Now().UnixMilli()
	part := parts[ring.Hash(inv.Key.Kind, inv.Key.ID)%uint64(len(parts))].Partition
	r := kafka.Record{Topic: p.topic, Partition: part, Key: []byte(inv.Key.String()), Value: inv.Encode()}
	ctx, span := tracing.Start(ctx, tracing.Producer, "publish invalidation")
	defer span.End()
	if span.On() {
		span.Set(tracing.Message("send", p.topic, part, -1, inv.Key.String())...)
		span.Set(tracing.Document(inv.Key), tracing.Stamp(inv.Stamp), tracing.Version(inv.Stamp.Version))
		tracing.InjectTrace(ctx, func(name, value string) { r.Headers = append(r.Headers, kafka.Header{Name: name, Value: value}) })
	}
	err := p.sender.Send(ctx, r)
	span.Fail(err)
	if err != nil {
		return fmt.Errorf("publish %v: %w", inv.Key, err)
	}
	return nil
}

// Echo answers a canary, on one partition.
func (p *Publisher) Echo(ctx context.Context, id string) error {
	parts := p.partitions()
	if len(parts) == 0 {
		return fmt.Errorf("answer the canary %s: %w", id, errNoPartitions)
	}
	if err := p.sender.Send(ctx, kafka.Record{Topic: p.topic, Partition: parts[0].Partition, Value: catalog.CanaryEcho(id)}); err != nil {
		return fmt.Errorf("answer the canary %s: %w", id, err)
	}
	return nil
}

// Beat sends a heartbeat to every partition each interval until ctx ends. An
// interval in which the brokers do not answer is left out: the watermarks of
// the fleet grow old, as they should.
func (p *Publisher) Beat(ctx context.Context, id string, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		bctx, cancel := context.WithTimeout(ctx, 5*interval)
		for _, part := range p.partitions() {
			m := catalog.Invalidation{Heartbeat: id, Sent: time.Now().UnixMilli()}
			err := p.sender.Send(bctx, kafka.Record{Topic: p.topic, Partition: part.Partition, Value: m.Encode()})
			if err != nil && ctx.Err() == nil {
				p.log.Warn("heartbeat not sent", "partition", part.Partition, "err", err)
			}
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
