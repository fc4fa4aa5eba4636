package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"eshop/pkg/catalog"
)

// Store reads and writes documents. It is safe for concurrent use.
type Store struct {
	cfg     Config
	catalog *catalog.Catalog
	log     *slog.Logger
	script  *redis.Script
	metrics *metrics
	watch   *watcher
	strings *stringSighting

	// Two clients, so that a stuck master cannot use up the connections that
	// replica reads need. reads sends READONLY on each connection and routes to
	// replicas; masters is for writes and for reads that must be current.
	reads, masters *redis.ClusterClient
}

// New returns a store on the cluster at cfg.Addrs. It does no I/O; Ping tells
// whether the cluster is there. The error lists every problem of cfg.
func New(cfg Config, cat *catalog.Catalog, deps Deps) (*Store, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if cat == nil {
		return nil, errors.New("redis: no catalogue is given")
	}
	log := deps.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, catalog: cat, log: log, script: newScript(compareAndSet), strings: &stringSighting{}}
	if s.metrics, err = newMetrics(deps.Registry); err != nil {
		return nil, err
	}
	s.watch = newWatcher(log, s.metrics)
	s.reads = redis.NewClusterClient(clientOptions(cfg, true))
	s.masters = redis.NewClusterClient(clientOptions(cfg, false))
	s.watch.attach(s.reads)
	s.watch.attach(s.masters)
	return s, nil
}

// Close closes all connections and waits for a running topology callback.
func (s *Store) Close() error {
	err := errors.Join(s.reads.Close(), s.masters.Close())
	s.watch.close()
	if err != nil {
		return fmt.Errorf("close the redis clients: %w", err)
	}
	return nil
}

// OnTopologyChange registers fn to be called each time the assignment of slots
// to masters has changed: after a failover, writes acknowledged shortly before
// may be lost and should be verified. The state is the one the client reloads
// anyway (each second while it is used, and on errors). fn runs in its own
// goroutine, never twice at once; changes during a run cause one more.
func (s *Store) OnTopologyChange(fn func()) { s.watch.onChange(fn) }

func (s *Store) key(k catalog.Key) (*catalog.Kind, string, error) {
	kind := s.catalog.Kind(k.Kind)
	if kind == nil {
		return nil, "", fmt.Errorf("the kind %q is not configured", k.Kind)
	}
	if k.ID <= 0 {
		return nil, "", fmt.Errorf("the id %d of a %s is not from 1 on", k.ID, k.Kind)
	}
	return kind, kind.RedisKey(k.ID), nil
}

// within bounds a call: the shorter of the caller's deadline and limit.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, limit)
}
