package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says where the server listens and what it may hold.
type Config struct {
	Addr    string // host:port, default 127.0.0.1:0
	DataDir string // created if missing; empty: nothing is kept
	// MaxKeys (default 200,000) and MaxBytes (default 256 MiB, an estimate of
	// heap) bound what is held; the keys used longest ago make room.
	MaxKeys  int
	MaxBytes int64
	// MaxClients bounds the connections, default 1,000.
	MaxClients int
	// SnapshotEvery is the time between snapshots while something is written,
	// default 30 s.
	SnapshotEvery time.Duration
}

// Deps are what a Server uses of the process. Nil members are left out.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Server is a running server.
type Server struct {
	*guard
	log      *slog.Logger
	lock     *os.File
	stop     context.CancelFunc
	done     chan struct{}
	once     sync.Once
	closeErr error
	saved    uint64 // value of guard.writes in the last snapshot; run and Close only
}

const tick = time.Second

// Start starts a server and returns once it answers. ctx bounds the start only;
// the server runs until Close. A damaged snapshot is put aside and said in the
// log: what it held can be pulled again. A directory that another process uses
// is an error.
func Start(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start the embedded redis: %w", err)
	}
	s := &Server{log: deps.Log, done: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = 200_000
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 256 << 20
	}
	if cfg.MaxClients <= 0 {
		cfg.MaxClients = 1000
	}
	if cfg.SnapshotEvery <= 0 {
		cfg.SnapshotEvery = 30 * time.Second
	}
	if err := s.start(cfg, deps.Registry); err != nil {
		if s.lock != nil {
			err = errors.Join(err, s.lock.Close())
		}
		return nil, fmt.Errorf("start the embedded redis on %s: %w", cfg.Addr, err)
	}
	return s, nil
}

func (s *Server) start(cfg Config, reg prometheus.Registerer) error {
	mini := miniredis.NewMiniRedis()
	s.guard = &guard{mini: mini, db: mini.DB(0), cfg: cfg, usage: newUsage(), sessions: map[*server.Peer]*session{}}
	if cfg.DataDir != "" {
		if err := s.open(cfg.DataDir); err != nil {
			return err
		}
	}
	// Until the guard is in its place a client that was waiting for the port is
	// told to come again: one served without it would pass for a script for good.
	mini.SetError("LOADING Redis is loading the dataset in memory")
	if err := mini.StartAddr(cfg.Addr); err != nil {
		return err
	}
	s.srv = mini.Server()
	err := s.prepare(reg)
	if err != nil {
		mini.Close()
		return err
	}
	s.srv.SetPreHook(s.hook)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.run(ctx)
	return nil
}

// open takes the directory and loads its snapshot.
func (s *Server) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "redis.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := lockFile(lock); err != nil {
		return fmt.Errorf("the directory %s is in use by another process: %w", dir, err)
	}
	began := time.Now()
	keys, err := s.load(dir)
	switch {
	case errors.Is(err, errSnapshot):
		aside := filepath.Join(dir, snapshotName+".damaged")
		if e := os.Rename(filepath.Join(dir, snapshotName), aside); e != nil {
			return errors.Join(err, e)
		}
		s.db.FlushDB()
		s.usage = newUsage()
		s.log.Warn("embedded redis: the snapshot is damaged, starting empty", "error", err, "kept", aside)
	case err != nil:
		return err
	case keys > 0:
		s.log.Info("embedded redis: snapshot loaded", "keys", keys, "seconds", time.Since(began).Seconds())
	}
	s.writes.Store(0)
	return nil
}

func (s *Server) prepare(reg prometheus.Registerer) error {
	self, err := newNode(s.mini.Addr())
	if err != nil {
		return err
	}
	s.self = self
	for _, cmd := range []string{"READONLY", "READWRITE", "ASKING"} {
		if err := s.srv.Register(cmd, func(c *server.Peer, _ string, _ []string) { c.WriteOK() }); err != nil {
			return err
		}
	}
	if reg == nil {
		return nil
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	for _, c := range []prometheus.Collector{
		gauge("eshop_embedded_redis_keys", "Keys held by the embedded Redis.", func() float64 { n, _ := s.usage.size(); return float64(n) }),
		gauge("eshop_embedded_redis_bytes", "Estimated heap held by the embedded Redis.", func() float64 { _, b := s.usage.size(); return float64(b) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "eshop_embedded_redis_evictions_total", Help: "Keys deleted to make room."},
			func() float64 { return float64(s.evicted.Load()) }),
	} {
		if err := reg.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// Addr returns the bound host:port.
func (s *Server) Addr() string { return fmt.Sprintf("%s:%d", s.self.host, s.self.port) }

// Evicted returns how many keys were deleted to make room.
func (s *Server) Evicted() uint64 { return s.evicted.Load() }

// run moves miniredis's clock and writes snapshots.
func (s *Server) run(ctx context.Context) {
	defer close(s.done)
	clock := time.Now()
	saved := clock
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		s.mini.FastForward(now.Sub(clock))
		clock = now
		s.reconcile()
		timer.Reset(max(tick, 50*time.Since(now)))
		if s.cfg.DataDir != "" && now.Sub(saved) >= s.cfg.SnapshotEvery {
			saved = now
			if err := s.snapshot(); err != nil {
				s.log.Error("embedded redis: the snapshot was not written; the last one stays", "error", err)
			}
		}
	}
}

// snapshot saves if something was written since the last time.
func (s *Server) snapshot() error {
	writes := s.writes.Load()
	if writes == s.saved {
		return nil
	}
	if err := s.save(s.cfg.DataDir); err != nil {
		return err
	}
	s.saved = writes
	return nil
}

// Close stops the server, waits for its goroutines and writes the last snapshot.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.stop()
		<-s.done
		s.mini.Close()
		if s.lock != nil {
			s.closeErr = errors.Join(s.snapshot(), s.lock.Close())
		}
	})
	return s.closeErr
}
