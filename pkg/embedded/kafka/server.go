package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Topic is created at the start unless it is there already.
type Topic struct {
	Name       string
	Partitions int32             // [1]
	Config     map[string]string // retention.ms, retention.bytes, …; on top of the defaults of the server
}

// Config of the server. Zero values mean the default in brackets.
type Config struct {
	Addr           string        // [127.0.0.1:0]
	DataDir        string        // kept over restarts; [a temporary one, removed by Close]
	Topics         []Topic       // seeded
	Partitions     int32         // of a topic that a producer creates by writing to it [4]
	Retention      time.Duration // of records [24 h]
	RetentionBytes int64         // of one partition [32 MiB]
	CleanEvery     time.Duration // how often retention is applied [2 s]
}

// Deps are optional collaborators.
type Deps struct {
	Log *slog.Logger // nil discards
}

// Server is a running broker.
type Server struct {
	cluster *kfake.Cluster
	ln      *listener
	addr    string
	log     *slog.Logger
	release func() error
	temp    string // the directory to remove, or ""
	stop    context.CancelFunc
	wg      sync.WaitGroup
	once    sync.Once
	err     error
}

const segmentBytes = 8 << 20

// Start binds the address, takes the lock of the data directory, loads it and
// creates the missing topics. The server runs until Close; ctx bounds the start only.
func Start(ctx context.Context, cfg Config, deps Deps) (*Server, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start the embedded kafka: %w", err)
	}
	cfg.defaults()
	s := &Server{log: deps.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.open(cfg); err != nil {
		return nil, errors.Join(err, s.undo())
	}
	return s, nil
}

func (c *Config) defaults() {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.Partitions <= 0 {
		c.Partitions = 4
	}
	if c.Retention <= 0 {
		c.Retention = 24 * time.Hour
	}
	if c.RetentionBytes <= 0 {
		c.RetentionBytes = 32 << 20
	}
	if c.CleanEvery <= 0 {
		c.CleanEvery = 2 * time.Second
	}
}

func (s *Server) open(cfg Config) error {
	dir := cfg.DataDir
	if dir == "" {
		temp, err := os.MkdirTemp("", "eshop-kafka-")
		if err != nil {
			return fmt.Errorf("make a temporary directory for the embedded kafka: %w", err)
		}
		s.temp, dir = temp, temp
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory of the embedded kafka: %w", err)
	}
	release, err := lock(filepath.Join(dir, "eshop.lock"))
	if err != nil {
		return fmt.Errorf("the embedded kafka needs data directory %s for itself: %w", dir, err)
	}
	s.release = release
	inner, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s for the embedded kafka: %w", cfg.Addr, err)
	}
	s.ln = &listener{Listener: inner, conns: make(map[net.Conn]struct{})}
	s.addr = inner.Addr().String()
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return s.ln, nil }),
		kfake.ClusterID("eshop-embedded"),
		kfake.DataDir(filepath.Join(dir, "log")),
		kfake.AllowAutoTopicCreation(),
		kfake.DefaultNumPartitions(int(cfg.Partitions)),
		kfake.GroupMinSessionTimeout(time.Second),
		// Retention at the broker covers the topics that producers create; see
		// CleanEvery for who applies it (36).
		kfake.BrokerConfigs(map[string]string{
			"log.retention.ms":           fmt.Sprint(cfg.Retention.Milliseconds()),
			"log.retention.bytes":        fmt.Sprint(cfg.RetentionBytes),
			"log.segment.bytes":          fmt.Sprint(min(segmentBytes, max(1<<16, cfg.RetentionBytes/4))),
			"log.cleaner.backoff.ms":     fmt.Sprint(cfg.CleanEvery.Milliseconds()),
			"default.replication.factor": "1",
		}),
	)
	if err != nil {
		return fmt.Errorf("start the embedded kafka on %s with data directory %s: %w", s.addr, dir, err)
	}
	s.cluster = cluster
	for _, t := range cfg.Topics {
		if err := s.seed(t, cfg); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.wg.Go(func() { s.clean(ctx, cfg.CleanEvery) })
	s.log.Info("embedded kafka is up", "addr", s.addr, "dir", dir)
	return nil
}

func (s *Server) seed(t Topic, cfg Config) error {
	if s.cluster.TopicInfo(t.Name) != nil {
		return nil
	}
	conf := map[string]string{
		"retention.ms":    fmt.Sprint(cfg.Retention.Milliseconds()),
		"retention.bytes": fmt.Sprint(cfg.RetentionBytes),
	}
	maps.Copy(conf, t.Config)
	if err := s.cluster.CreateTopic(t.Name, max(1, t.Partitions), conf); err != nil {
		return fmt.Errorf("create topic %s in the embedded kafka: %w", t.Name, err)
	}
	return nil
}

// clean applies retention to every topic. kfake's own cleaner runs only when
// some topic sets retention itself, which one made by a producer does not (36).
func (s *Server) clean(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.cluster.ApplyRetention()
		}
	}
}

// Addr is the bound host:port.
func (s *Server) Addr() string { return s.addr }

// Close stops the server, saves its state and gives the data directory back. It may be called again.
func (s *Server) Close() error {
	s.once.Do(func() { s.err = s.undo() })
	return s.err
}

// undo takes down whatever open has put up.
func (s *Server) undo() error {
	if s.stop != nil {
		s.stop()
	}
	s.wg.Wait()
	if s.cluster != nil {
		s.cluster.Close()
	}
	var problems []error
	if s.ln != nil {
		s.ln.shut()
	}
	if s.release != nil {
		problems = append(problems, s.release())
	}
	if s.temp != "" {
		problems = append(problems, os.RemoveAll(s.temp))
	}
	return errors.Join(problems...)
}
