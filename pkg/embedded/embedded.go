// Package embedded starts the servers that `eshop all` runs in its own process
// when it is given no addresses: Redis, Kafka, ZooKeeper and a sample origin,
// each a server on loopback that the real clients talk to.
//
//	redis      miniredis as a one-node cluster, with the guards it needs
//	kafka      kfake on a data directory, with retention
//	zookeeper  a ZooKeeper-protocol server of our own
//	origin     a sample shop that can be edited over HTTP
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"eshop/pkg/catalog"
	embeddedkafka "eshop/pkg/embedded/kafka"
	"eshop/pkg/embedded/origin"
	"eshop/pkg/embedded/redis"
	"eshop/pkg/embedded/zookeeper"
	"eshop/pkg/kafka"
)

// Config says which servers to start: those whose address is not given.
type Config struct {
	// Given addresses mean that a server of that kind is there already.
	RedisAddrs, ZooKeeperServers []string
	OriginURL                    string
	// Kafka is where the sample origin tells of its edits, whoever runs it; no
	// brokers: the embedded one.
	Kafka kafka.Config
	// Listen addresses of the embedded ones (default 127.0.0.1:0).
	RedisAddr, KafkaAddr, ZooKeeperAddr, OriginAddr string
	// DataDir keeps their state; empty: it ends with the process.
	DataDir string
	// TopicChange is where the sample origin tells of its edits.
	TopicChange string
	Catalog     *catalog.Catalog
	// Registry gets the metrics of the servers and of the sample origin's
	// producer; nil: none are kept.
	Registry prometheus.Registerer
}

// Servers are the running embedded servers; those not started are nil.
type Servers struct {
	Redis     *redis.Server
	Kafka     *embeddedkafka.Server
	ZooKeeper *zookeeper.Server
	Origin    *origin.Server

	stopProducer context.CancelFunc
	producerDone chan error
}

// Start starts the servers side by side and returns once all answer. After an
// error none is left running.
func Start(ctx context.Context, cfg Config, log *slog.Logger) (_ *Servers, err error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if cfg.Catalog == nil {
		cfg.Catalog = catalog.Default()
	}
	s := &Servers{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	dir := func(name string) string {
		if cfg.DataDir == "" {
			return ""
		}
		return filepath.Join(cfg.DataDir, name)
	}
	var g errgroup.Group // not bound to ctx: a started server must reach its field to be closed
	if len(cfg.RedisAddrs) == 0 {
		g.Go(func() (err error) {
			s.Redis, err = redis.Start(ctx, redis.Config{Addr: cfg.RedisAddr, DataDir: dir("redis")}, redis.Deps{Log: log, Registry: cfg.Registry})
			return err
		})
	}
	if len(cfg.Kafka.Brokers) == 0 {
		g.Go(func() (err error) {
			s.Kafka, err = embeddedkafka.Start(ctx, embeddedkafka.Config{Addr: cfg.KafkaAddr, DataDir: dir("kafka")}, embeddedkafka.Deps{Log: log})
			return err
		})
	}
	if len(cfg.ZooKeeperServers) == 0 {
		g.Go(func() (err error) {
			s.ZooKeeper, err = zookeeper.Start(ctx, zookeeper.Config{Addr: cfg.ZooKeeperAddr, DataDir: dir("zookeeper")}, zookeeper.Deps{Log: log})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if cfg.OriginURL != "" {
		return s, nil
	}
	if s.Kafka != nil {
		cfg.Kafka.Brokers = []string{s.Kafka.Addr()}
	}
	return s, s.startOrigin(ctx, cfg, dir("origin"), log)
}

// startOrigin starts the sample origin with a producer for its edits.
func (s *Servers) startOrigin(ctx context.Context, cfg Config, dir string, log *slog.Logger) error {
	cfg.Kafka.ClientID = "eshop-sample-origin"
	producer, err := kafka.NewProducer(kafka.ProducerConfig{Config: cfg.Kafka}, kafka.Deps{Log: log, Registry: cfg.Registry})
	if err != nil {
		return fmt.Errorf("start the sample origin's producer: %w", err)
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stopProducer, s.producerDone = stop, make(chan error, 1)
	go func() { s.producerDone <- producer.Run(run) }()
	publish := func(ctx context.Context, ch catalog.Change) error {
		value, err := cfg.Catalog.EncodeChange(ch)
		if err != nil {
			return err
		}
		return producer.Send(ctx, kafka.Record{Topic: cfg.TopicChange, Key: []byte(ch.Key.String()), Value: value, Time: time.Now()})
	}
	s.Origin, err = origin.Start(ctx, origin.Config{Addr: cfg.OriginAddr, DataDir: dir, Publish: publish, Catalog: cfg.Catalog}, origin.Deps{Log: log})
	return err
}

// Close stops every server that was started, the origin first. It may be
// called again.
func (s *Servers) Close() error {
	if s == nil {
		return nil
	}
	var errs []error
	if s.Origin != nil {
		errs = append(errs, s.Origin.Close())
	}
	if s.stopProducer != nil {
		s.stopProducer()
		errs = append(errs, <-s.producerDone)
		s.stopProducer = nil
	}
	if s.Redis != nil {
		errs = append(errs, s.Redis.Close())
	}
	if s.Kafka != nil {
		errs = append(errs, s.Kafka.Close())
	}
	if s.ZooKeeper != nil {
		errs = append(errs, s.ZooKeeper.Close())
	}
	return errors.Join(errs...)
}
