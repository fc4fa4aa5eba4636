package cache

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/lifecycle"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
)

// Config of the cache role. Zero values mean the defaults given.
type Config struct {
	// ID of this process in the fleet, unique among the cache processes.
	ID string
	// Addr the role listens on (":8082"); AdvertiseAddr is what gateways are
	// told (default: the bound address, with the host's name for an unspecified one).
	Addr, AdvertiseAddr string
	// ClusterToken every caller must present; required when Addr is not loopback.
	ClusterToken string

	// L1Bytes bounds the heap tier (128 MiB), NegativeBytes the ids known to be
	// absent (8 MiB).
	L1Bytes, NegativeBytes int64
	// TTL after which the heap tier looks into Redis again (10 min, jittered by
	// a quarter); HardTTL until which it may serve when Redis is away (24 h).
	TTL, HardTTL time.Duration
	// NegativeTTL of an absent id (5 s).
	NegativeTTL time.Duration
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
	// AnnounceLimit is how long a change that announces more than the origin
	// shows (a version, a deletion) is retried before it goes to the dead letters (30 s).
	AnnounceLimit time.Duration
	// Parallel changes handled at once (32).
	Parallel int

	Redis     rediscluster.Config
	Kafka     kafka.Config
	ZooKeeper zookeeper.Config
	Origin    origin.Config

	// Topics and the consumer group.
	TopicChange, TopicInvalidate, TopicDead, Group string
}

func (c *Config) complete() error {
	setDefault(&c.L1Bytes, 128<<20)
	setDefault(&c.NegativeBytes, 8<<20)
	setDefault(&c.TTL, 10*time.Minute)
	setDefault(&c.HardTTL, 24*time.Hour)
	setDefault(&c.NegativeTTL, 5*time.Second)
	setDefault(&c.Refresh, time.Hour)
	setDefault(&c.FillTimeout, 4*time.Second)
	setDefault(&c.LockWait, 2*time.Second)
	setDefault(&c.MaxStaleness, 30*time.Second)
	setDefault(&c.Heartbeat, time.Second)
	setDefault(&c.AnnounceLimit, 30*time.Second)
	setDefault(&c.Parallel, 32)
	setDefault(&c.Addr, ":8082")
	setDefault(&c.TopicChange, "cache-message")
	setDefault(&c.TopicInvalidate, "cache-invalidate")
	setDefault(&c.TopicDead, "cache-message-dead")
	setDefault(&c.Group, "eshop-cache")
	var bad []error
	if c.ID == "" {
		bad = append(bad, errors.New("the cache role needs an id"))
	}
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		bad = append(bad, fmt.Errorf("--cache.addr %q is not host:port: %w", c.Addr, err))
	} else if c.ClusterToken == "" && !isLoopback(host) {
		bad = append(bad, fmt.Errorf("--cache.addr %q is reachable from other machines: set --cluster.token-file, or listen on 127.0.0.1", c.Addr))
	}
	return errors.Join(bad...)
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
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
