package rediscluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// Ping reports whether the cluster can take every write: all 16384 slots have
// a master and each master answers.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := within(ctx, s.cfg.WriteTimeout, 1, 1)
	defer cancel()
	if err := s.ping(ctx); err != nil {
		return fmt.Errorf("ping the redis cluster: %w", err)
	}
	return nil
}

func (s *Store) ping(ctx context.Context) error {
	shards, err := s.masters.ClusterShards(ctx).Result()
	if err != nil {
		return err
	}
	covered := int64(0)
	for _, shard := range shards {
		if !slices.ContainsFunc(shard.Nodes, func(n redis.Node) bool { return n.Role == "master" && n.Health == "online" }) {
			continue
		}
		for _, r := range shard.Slots {
			covered += r.End - r.Start + 1
		}
	}
	if covered != 16384 {
		return fmt.Errorf("%d of 16384 slots have no live master", 16384-covered)
	}
	return s.masters.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		if err := node.Ping(ctx).Err(); err != nil {
			return fmt.Errorf("the master %s: %w", node.Options().Addr, err)
		}
		return nil
	})
}
