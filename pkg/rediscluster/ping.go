package rediscluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Ping reports whether the cluster can take every write: all 16384 slots have
// a master and each master answers.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := within(ctx, s.cfg.WriteTimeout)
	defer cancel()
	if err := s.ping(ctx); err != nil {
		return fmt.Errorf("ping the redis cluster: %w", err)
	}
	return nil
}

func (s *Store) ping(ctx context.Context) error {
	slots, err := s.masters.ClusterSlots(ctx).Result()
	if err != nil {
		return err
	}
	covered := 0
	for _, r := range slots {
		if len(r.Nodes) > 0 {
			covered += r.End - r.Start + 1
		}
	}
	if covered != 16384 {
		return fmt.Errorf("%d of 16384 slots have no master", 16384-covered)
	}
	var bad []error
	err = s.masters.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		if err := node.Ping(ctx).Err(); err != nil {
			return fmt.Errorf("the master %s: %w", node.Options().Addr, err)
		}
		return nil
	})
	if err != nil {
		bad = append(bad, err)
	}
	return errors.Join(bad...)
}
