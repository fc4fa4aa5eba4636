package rediscluster

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"eshop/pkg/catalog"
)

// Ping reports whether the cluster is there and can be read: all 16384 slots
// have a master, each master answers, and documents of every kind may be read.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := within(ctx, s.cfg.WriteTimeout, 1, 1)
	defer cancel()
	err := s.ping(ctx)
	if err == nil {
		err = s.mayRead(ctx)
	}
	if err != nil {
		return fmt.Errorf("ping the redis cluster: %w", s.cfg.explain(err))
	}
	return nil
}

// PingWrites is Ping, and reports in addition whether documents of every kind
// may be written, as far as that can be told without writing.
func (s *Store) PingWrites(ctx context.Context) error {
	if err := s.Ping(ctx); err != nil {
		return err
	}
	ctx, cancel := within(ctx, s.cfg.WriteTimeout, 1, 1)
	defer cancel()
	// Pulled before an epoch that the writer knows of: the script looks at the
	// key and refuses. Nobody has the id 0.
	refused := catalog.Document{Body: []byte("-"), Stamp: catalog.Stamp{Epoch: 1}}
	var calls []call
	for _, name := range s.catalog.KindNames() {
		calls = append(calls, call{key: s.catalog.Kind(name).RedisKey(0), args: Arguments(WriteRequest{Put, refused}, s.cfg.TTL)})
	}
	s.run(ctx, calls)
	for _, c := range calls {
		if err := c.cmd.Err(); err != nil {
			return fmt.Errorf("try a write to the redis cluster: %w", s.cfg.explain(err))
		}
	}
	return nil
}

// mayRead reads a key of every kind that nobody has, the ways documents are.
func (s *Store) mayRead(ctx context.Context) error {
	for _, name := range s.catalog.KindNames() {
		key := s.catalog.Kind(name).RedisKey(0)
		for _, c := range []*redis.ClusterClient{s.reads, s.masters} {
			if err := readCommand(ctx, c, key); err != nil {
				return fmt.Errorf("read documents of the kind %s: %w", name, err)
			}
		}
	}
	return nil
}

func readCommand(ctx context.Context, c *redis.ClusterClient, key string) error {
	cmd := readHash(ctx, key)
	if err := c.Process(ctx, cmd); err != nil && !isWrongType(err) {
		return err
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
