package cache

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/certificate"
	"eshop/pkg/kafka"
	"eshop/pkg/lifecycle"
	"eshop/pkg/membership"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/tracing"
	"eshop/pkg/zookeeper"
)

// Config of the cache role. Zero values mean the defaults given.
type Config struct {
	// ID of this process in the fleet, unique among the cache processes.
	ID string
	// Addr the role listens on (":8082"); AdvertiseAddr is what gateways are
	// told (default: the bound address, with the host's name for an unspecified one).
	Addr, AdvertiseAddr string
	// ClusterToken every caller must present (of several, one a line, each is taken),
	// Cluster the pair for mutual TLS between roles: one of them at least is required
	// when Addr is not loopback.
	ClusterToken string
	Cluster      certificate.Config

	// L1Bytes bounds the heap tier (128 MiB), NegativeBytes the ids known to be
	// absent (8 MiB).
	L1Bytes, NegativeBytes int64
	// TTL after which the heap tier looks into Redis again (10 min, jittered by
	// a quarter); HardTTL until which it may serve when Redis is away (24 h).
	TTL, HardTTL time.Duration
	// NegativeTTL of an absent id (5 s).
	NegativeTTL time.Duration
	// UnknownRate is how many pulls a second may end in 404 (200; ten seconds' worth
	// can be saved up) before ids that Redis does not have are refused.
	UnknownRate float64
	// Refresh is the age after which a document that is read is pulled again in
	// the background (1 h, jittered by a quarter).
	Refresh time.Duration
	// FillTimeout of one load, lock and pull included (4 s).
	FillTimeout time.Duration
	// LockWait is how long a fill waits for another process's pull (2 s).
	LockWait time.Duration
	// MaxStaleness of the bus's watermark (30 s).
	MaxStaleness time.Duration
	// Heartbeat is the leader's interval on the bus (1 s).
	Heartbeat time.Duration
	// AnnounceLimit is how long a change whose document the origin answers badly, or
	// that announces more than the origin
	// shows (a version, a deletion) is retried before it goes to the dead letters (30 s).
	AnnounceLimit time.Duration
	// Parallel changes handled at once (32).
	Parallel int

	// PrewarmTop bounds the products of the ranking that a prewarm fills Redis
	// with (50000, which is also the most).
	PrewarmTop int
	// PrewarmParallel batches under way at once (4), each of PrewarmBatch
	// documents (128) or less.
	PrewarmParallel, PrewarmBatch int
	// PrewarmRate bounds how many documents a second a prewarm asks of the origin (10000).
	PrewarmRate int
	// PrewarmCheck is how often the holder of the prewarm's lock looks whether
	// Redis is empty, to start one by itself (10 s). Negative: never.
	PrewarmCheck time.Duration

	// Audit is how many copies a second the auditor compares with Redis (10), one
	// of AuditOrigin of them with the origin too (100). Negative: none.
	Audit, AuditOrigin int
	// ReconcileEvery is how often recently changed documents are compared with
	// Redis without an occasion (5 min, jittered by a quarter), ReconcileRate how
	// many a second (2000).
	ReconcileEvery time.Duration
	ReconcileRate  int

	Redis     rediscluster.Config
	Kafka     kafka.Config
	ZooKeeper zookeeper.Config
	Origin    origin.Config
	// Trace is what is traced of requests and changes, and where it is sent (nowhere).
	// Service and Instance are filled in.
	Trace tracing.Config

	// Topics and the consumer group.
	TopicChange, TopicInvalidate, TopicDead, Group string
}

func (c *Config) complete() error {
	c.L1Bytes = cmp.Or(c.L1Bytes, 128<<20)
	c.NegativeBytes = cmp.Or(c.NegativeBytes, 8<<20)
	c.TTL = cmp.Or(c.TTL, 10*time.Minute)
	c.HardTTL = cmp.Or(c.HardTTL, 24*time.Hour)
	c.NegativeTTL = cmp.Or(c.NegativeTTL, 5*time.Second)
	c.UnknownRate = cmp.Or(c.UnknownRate, 200)
	c.Refresh = cmp.Or(c.Refresh, time.Hour)
	c.FillTimeout = cmp.Or(c.FillTimeout, 4*time.Second)
	c.LockWait = cmp.Or(c.LockWait, 2*time.Second)
	c.MaxStaleness = cmp.Or(c.MaxStaleness, 30*time.Second)
	c.Heartbeat = cmp.Or(c.Heartbeat, time.Second)
	c.AnnounceLimit = cmp.Or(c.AnnounceLimit, 30*time.Second)
	c.Parallel = cmp.Or(c.Parallel, 32)
	c.PrewarmTop = cmp.Or(c.PrewarmTop, maxPlan)
	c.PrewarmParallel = cmp.Or(c.PrewarmParallel, 4)
	c.PrewarmBatch = cmp.Or(c.PrewarmBatch, 128)
	c.PrewarmRate = cmp.Or(c.PrewarmRate, 10_000)
	c.PrewarmCheck = cmp.Or(c.PrewarmCheck, 10*time.Second)
	c.ReconcileEvery = cmp.Or(c.ReconcileEvery, 5*time.Minute)
	c.ReconcileRate = cmp.Or(c.ReconcileRate, 2000)
	c.Addr = cmp.Or(c.Addr, ":8082")
	c.TopicChange = cmp.Or(c.TopicChange, "cache-message")
	c.TopicInvalidate = cmp.Or(c.TopicInvalidate, "cache-invalidate")
	c.TopicDead = cmp.Or(c.TopicDead, "cache-message-dead")
	c.Group = cmp.Or(c.Group, "eshop-cache")
	var bad []error
	if c.ID == "" {
		bad = append(bad, errors.New("the cache role needs an id"))
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		bad = append(bad, fmt.Errorf("--cache.addr %q is not host:port: %w", c.Addr, err))
	} else if c.ClusterToken == "" && !c.Cluster.Given() && !membership.OnLoopback(c.Addr) {
		bad = append(bad, fmt.Errorf("--cache.addr %q is reachable from other machines: set --cluster.token-file or --cluster.tls-cert, or listen on 127.0.0.1", c.Addr))
	}
	if c.PrewarmTop < 1 || c.PrewarmTop > maxPlan {
		bad = append(bad, fmt.Errorf("a prewarm of %d products is not possible: 1 to %d", c.PrewarmTop, maxPlan))
	}
	if c.ReconcileEvery < 0 || c.ReconcileRate < 1 {
		bad = append(bad, fmt.Errorf("a comparison of recently changed documents with Redis every %v, %d a second, does not get on", c.ReconcileEvery, c.ReconcileRate))
	}
	if c.PrewarmParallel < 1 || c.PrewarmBatch < 1 || c.PrewarmRate < 1 {
		bad = append(bad, fmt.Errorf("a prewarm of %d batches of %d documents at once, %d a second, does not get on", c.PrewarmParallel, c.PrewarmBatch, c.PrewarmRate))
	}
	return errors.Join(bad...)
}

// Deps are the role's collaborators.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	Catalog  *catalog.Catalog
	Ready    *lifecycle.Ready
	// Admin gets the role's part of the admin API; nil: none.
	Admin *admin.Server
}
