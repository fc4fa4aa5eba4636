package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"eshop/pkg/coherence"
	"eshop/pkg/lifecycle"
	"eshop/pkg/membership"
)

// watch keeps the time until which the bus vouches for copies. A tick of a
// fiftieth of the limit takes that much from it at most.
func (r *Role) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	was, every := true, time.Duration(0)
	for {
		limit := r.live.maxStaleness()
		if next := min(max(limit/50, 20*time.Millisecond), time.Second); next != every {
			every = next
			tick.Reset(every)
		}
		watermark := r.subscriber.Watermark()
		r.trusted.Store(coherence.Until(watermark, limit))
		if behind := r.trust().Behind(time.Now().UnixNano()); behind != was {
			r.log.Info("invalidation bus", "behind", behind, "watermark", watermark)
			was = behind
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// What the role waits for at its start, as /-/ready names it.
const (
	needsRedis        = "gateway redis"
	needsZooKeeper    = "gateway zookeeper"
	needsKafka        = "gateway kafka"
	needsCacheMembers = "gateway cache members"
	needsWarm         = "gateway warm"
)

// watchReady tells what the role waits for at its start.
func (r *Role) watchReady(ctx context.Context, peers *membership.Group) error {
	return r.ready.Await(ctx,
		lifecycle.Requirement{Name: needsRedis, Met: r.redis.Ping},
		lifecycle.Requirement{Name: needsZooKeeper, Met: func(ctx context.Context) error {
			// Below a root that may not be used there seem to be no members.
			if err := r.zk.Usable(ctx); err != nil {
				return err
			}
			if peers.Known() && r.cacheRing.Known() {
				return nil
			}
			return errors.New("waiting for ZooKeeper to list the members")
		}},
		lifecycle.Requirement{Name: needsKafka, Met: func(context.Context) error {
			if r.subscriber.CaughtUp() {
				return nil
			}
			return fmt.Errorf("reading the topic %s from Kafka: %w", r.cfg.TopicInvalidate, r.subscriber.LastError())
		}},
		lifecycle.Requirement{Name: needsCacheMembers, Met: func(context.Context) error {
			if rg := r.cacheRing.Ring(); rg != nil && rg.Len() > 0 {
				return nil
			}
			return errors.New("waiting for a process of the cache role")
		}},
		lifecycle.Requirement{Name: needsWarm, Met: r.warm.ready})
}
