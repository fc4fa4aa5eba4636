package lab

import (
	"context"
	"fmt"
	"testing"
	"time"

	"eshop/pkg/lab/internal/probe"
	"eshop/pkg/lab/internal/wire"
)

// KafkaCluster is three Kafka 3.9.2 brokers, each a controller too (KRaft); topics get three replicas, two of them in step
// are needed for a write. Node i has the broker id i+1.
type KafkaCluster struct{ servers }

// Kafka returns the shared cluster.
func Kafka(tb testing.TB) *KafkaCluster {
	tb.Helper()
	return &KafkaCluster{sharedSet(tb, wire.Kafka)}
}

// KafkaNew starts a cluster for this test alone.
func KafkaNew(tb testing.TB, opts ...Option) *KafkaCluster {
	tb.Helper()
	return &KafkaCluster{dedicatedSet(tb, wire.Kafka, 3, opts)}
}

// WaitBrokers polls until the answering brokers, at least count of them, all list exactly count live brokers.
func (c *KafkaCluster) WaitBrokers(count int, limit time.Duration) {
	c.group.tb.Helper()
	Until(c.group.tb, limit, func(ctx context.Context) error {
		agreed := 0
		for _, n := range c.nodes {
			brokers, err := c.brokers(ctx, n)
			if err != nil {
				continue // a dead or a paused broker has no say
			}
			if len(brokers) != count {
				return fmt.Errorf("%s lists %d brokers", n.addr, len(brokers))
			}
			agreed++
		}
		if agreed < count {
			return fmt.Errorf("%d brokers answer", agreed)
		}
		return nil
	})
}

func (c *KafkaCluster) brokers(ctx context.Context, n *Node) (map[int32]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	return probe.KafkaBrokers(ctx, n.addr)
}

// Told returns the addresses of the live brokers as the given one tells them to clients, by node.
func (c *KafkaCluster) Told(ctx context.Context, n *Node) ([]string, error) {
	brokers, err := c.brokers(ctx, n)
	if err != nil {
		return nil, err
	}
	var told []string
	for i := range c.nodes {
		if addr, ok := brokers[int32(i+1)]; ok {
			told = append(told, addr)
		}
	}
	return told, nil
}
