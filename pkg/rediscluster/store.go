package rediscluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"eshop/pkg/catalog"
)

// Store reads and writes documents. It is safe for concurrent use.
type Store struct {
	cfg     Config
	life    atomic.Int64 // Config.TTL
	catalog *catalog.Catalog
	log     *slog.Logger
	script  *redis.Script
	metrics *metrics
	strings *stringSighting

	topology *topology

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
	// The library has one logger for the process and writes a line to stderr for
	// each failed dial. The watcher counts and logs the same, within bounds.
	logging.Disable()
	s := &Store{cfg: cfg, catalog: cat, log: log, script: newScript(compareAndSet), strings: &stringSighting{}}
	s.life.Store(int64(cfg.TTL))
	if s.metrics, err = newMetrics(deps.Registry); err != nil {
		return nil, err
	}
	s.topology = newTopology(log, s.metrics)
	s.reads = redis.NewClusterClient(clientOptions(cfg, true))
	masters := clientOptions(cfg, false)
	masters.NewClient = newClient(s.topology)
	s.masters = redis.NewClusterClient(masters)
	watch(cfg, s.reads, s.topology, s.metrics)
	watch(cfg, s.masters, s.topology, s.metrics)
	return s, nil
}

// SetTTL changes Config.TTL for writes to come: a second at least.
func (s *Store) SetTTL(ttl time.Duration) { s.life.Store(int64(max(ttl, minTTL))) }

// Close closes all connections and waits for a running topology callback.
func (s *Store) Close() error {
	s.topology.close()
	err := errors.Join(s.reads.Close(), s.masters.Close())
	if err != nil {
		return fmt.Errorf("close the redis clients: %w", err)
	}
	return nil
}

// OnTopologyChange registers fn to be called when slots have got another master,
// or when a master was restarted (a new run_id at its address): writes
// acknowledged shortly before may be lost then and should be verified. The first call starts to
// reload the slots every second, until Close. fn runs in a goroutine of its own,
// never twice at once, 200 ms after the change; changes until it returns cause
// one more call. Close waits for it.
func (s *Store) OnTopologyChange(fn func()) { s.topology.onChange(fn, s.masters.ReloadState) }

// Topology says when a change of it, as OnTopologyChange tells them, was last
// noticed, and when a node last told who has which slots; zero: never. A change is
// noticed before anything is read or written by it, but for a read that a node
// redirects.
func (s *Store) Topology() (changed, loaded time.Time) {
	return instant(s.topology.changedAt.Load()), instant(s.topology.loadedAt.Load())
}

func instant(nano int64) time.Time {
	if nano == 0 {
		return time.Time{}
	}
	return time.Unix(0, nano)
}

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

// within bounds a call: the caller's deadline, or limit for each of the parts of
// at most size into which n items are split.
func within(ctx context.Context, limit time.Duration, n, size int) (context.Context, context.CancelFunc) {
	parts := (n + size - 1) / size
	return context.WithTimeout(ctx, limit*time.Duration(parts))
}
