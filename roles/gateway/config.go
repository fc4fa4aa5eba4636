package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/accesslog"
	"eshop/pkg/admin"
	"eshop/pkg/admission"
	"eshop/pkg/catalog"
	"eshop/pkg/certificate"
	"eshop/pkg/kafka"
	"eshop/pkg/lifecycle"
	"eshop/pkg/membership"
	"eshop/pkg/rediscluster"
	"eshop/pkg/tracing"
	"eshop/pkg/zookeeper"
)

// Config of the gateway role. Zero values mean the defaults given.
type Config struct {
	// ID of this process in the fleet, unique among the gateways.
	ID string
	// Addr of the public listener (":8080"), PeerAddr of the one for other
	// gateways (":8081"). AdvertiseAddr is the peer address others are told
	// (default: the bound one, with the host's name for an unspecified one).
	Addr, PeerAddr, AdvertiseAddr string
	// TLS is the pair of the public listener; without it that is plain.
	TLS certificate.Config
	// ClusterToken every internal caller must present (of several, one a line, the
	// first is shown and each is taken), Cluster the pair for mutual TLS between
	// roles: one of them at least is required when PeerAddr is not loopback.
	ClusterToken string
	Cluster      certificate.Config

	// L1Bytes bounds pages, documents and negative entries together (256 MiB).
	L1Bytes int64
	// SoftTTL, jittered between minimum and maximum (600 s, 1200 s), after which
	// a copy is refreshed in the background while it is still served.
	SoftTTLMin, SoftTTLMax time.Duration
	// HardTTL is how long beyond its soft TTL a copy may be served when nothing
	// better can be had (24 h).
	HardTTL time.Duration
	// NegativeTTL of the knowledge that a document does not exist (5 s).
	NegativeTTL time.Duration
	// MaxStaleness of the bus's watermark, beyond which copies are revalidated
	// against Redis before use (30 s).
	MaxStaleness time.Duration
	// RevalidateRate bounds these revalidations, in pages a second (2000).
	RevalidateRate int
	// Refresh is the age since its pull after which a document read from Redis is
	// mentioned to the cache role, which pulls it again (1 h).
	Refresh time.Duration
	// LoadTimeout bounds one load of a page, WaitTimeout how long a request waits
	// for it (5 s, 6 s); PeerTimeout bounds the hop to the owner (1 s).
	LoadTimeout, WaitTimeout, PeerTimeout time.Duration
	// WarmTimeout bounds how long a gateway loads what it will own before it joins
	// the others and is ready (10 s).
	WarmTimeout time.Duration
	// Audit is how many copies a second the auditor compares with Redis (10), one
	// of AuditOrigin of them with the origin too (100). Negative: none.
	Audit, AuditOrigin int
	// RefreshWorkers and RefreshQueue bound background refreshes (4, 4096).
	RefreshWorkers, RefreshQueue int

	// Template is an html/template file for the pages whose type names none;
	// empty: the bundled one.
	Template string

	Limits Limits

	Redis     rediscluster.Config
	Kafka     kafka.Config
	ZooKeeper zookeeper.Config

	// TopicInvalidate is the bus ("cache-invalidate"), TopicAccess what gets the
	// access log ("access-log").
	TopicInvalidate, TopicAccess string

	AccessLog AccessLog

	// Trace is what is traced of requests and invalidations, and where it is sent
	// (nowhere). Service and Instance are filled in.
	Trace tracing.Config
}

// Limits of the public listener; they keep slow and greedy clients harmless.
type Limits struct {
	// HeaderBytes of the request line and all headers (16 KiB), BodyBytes of a
	// body that nobody needs (64 KiB).
	HeaderBytes, BodyBytes int
	// Connections at a time (65536) and from one address (8192). The latter does
	// not bind this machine and trusted proxies; an IPv6 client is its first 64 bits.
	Connections, ConnectionsPerAddress int
	// ReadTimeout of one whole request, WriteTimeout of one whole answer,
	// IdleTimeout between two requests (10 s, 60 s, 75 s).
	ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// Waiting requests at a time, all that L1 could not answer together and for
	// one page (16384 and 8192); above it the answer is 503 at once.
	Waiting, WaitingPerPage int
	// RedisCalls at once and callers that wait for one (256, 4096), the same of the
	// cache role (256, 4096); PeerCalls at once to one other gateway (512), above
	// which a page is loaded here instead.
	RedisCalls, RedisQueue, CacheCalls, CacheQueue, PeerCalls int

	// BatchIDs that one request of the API may name (100), BatchBytes of products
	// that its answer may hold (8 MiB); those beyond it are to be asked for again.
	BatchIDs, BatchBytes int

	// UnknownRate is how many ids that do not exist one address may ask for in a
	// second (20), UnknownBurst how many it may save up (600). Above that it is
	// answered 429 for what neither L1 nor Redis has.
	UnknownRate  float64
	UnknownBurst int
	// AddressBytes bounds the memory for these addresses (8 MiB).
	AddressBytes int64
	// TrustedProxies are addresses and networks whose word about their client's
	// address is taken (none), ClientHeader is where they give it
	// ("X-Forwarded-For", or "Forwarded").
	TrustedProxies []string
	ClientHeader   string
}

// Deps are the role's collaborators.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	Catalog  *catalog.Catalog
	Ready    *lifecycle.Ready
	// Admin gets the role's part of the admin API; nil: none.
	Admin *admin.Server
	// Public and Peer are listeners that are open already and stay so when this
	// process closes them (listen.go). They stand for Config.Addr and PeerAddr.
	// nil: Listen binds those.
	Public, Peer net.Listener
}

func (c *Config) complete() error {
	c.Addr = cmp.Or(c.Addr, ":8080")
	c.PeerAddr = cmp.Or(c.PeerAddr, ":8081")
	c.L1Bytes = cmp.Or(c.L1Bytes, 256<<20)
	c.SoftTTLMin = cmp.Or(c.SoftTTLMin, 600*time.Second)
	c.SoftTTLMax = cmp.Or(c.SoftTTLMax, max(c.SoftTTLMin, 1200*time.Second))
	c.HardTTL = cmp.Or(c.HardTTL, 24*time.Hour)
	c.NegativeTTL = cmp.Or(c.NegativeTTL, 5*time.Second)
	c.MaxStaleness = cmp.Or(c.MaxStaleness, 30*time.Second)
	c.RevalidateRate = cmp.Or(c.RevalidateRate, 2000)
	c.Refresh = cmp.Or(c.Refresh, time.Hour)
	c.LoadTimeout = cmp.Or(c.LoadTimeout, 5*time.Second)
	c.WaitTimeout = cmp.Or(c.WaitTimeout, c.LoadTimeout+time.Second)
	c.PeerTimeout = cmp.Or(c.PeerTimeout, time.Second)
	c.WarmTimeout = cmp.Or(c.WarmTimeout, 10*time.Second)
	c.RefreshWorkers = cmp.Or(c.RefreshWorkers, 4)
	c.RefreshQueue = cmp.Or(c.RefreshQueue, 4096)
	c.TopicInvalidate = cmp.Or(c.TopicInvalidate, "cache-invalidate")
	c.TopicAccess = cmp.Or(c.TopicAccess, "access-log")
	c.Limits.complete()
	var bad []error
	say := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	c.AccessLog.complete(say)
	if c.ID == "" {
		say("the gateway role needs an id (--gateway.id)")
	} else if len(c.ID) > accesslog.MaxGateway {
		say("--gateway.id has %d bytes, above the %d that the access log has room for", len(c.ID), accesslog.MaxGateway)
	}
	if c.L1Bytes < 1<<20 {
		say("--gateway.l1-bytes %d is below 1 MiB", c.L1Bytes)
	}
	if c.SoftTTLMin < 0 || c.SoftTTLMax < c.SoftTTLMin {
		say("--gateway.soft-ttl %v-%v must be positive and in that order", c.SoftTTLMin, c.SoftTTLMax)
	}
	for flag, d := range map[string]time.Duration{"max-staleness": c.MaxStaleness, "hard TTL": c.HardTTL, "negative TTL": c.NegativeTTL,
		"load timeout": c.LoadTimeout, "wait timeout": c.WaitTimeout, "peer timeout": c.PeerTimeout, "time to warm up": c.WarmTimeout} {
		if d <= 0 {
			say("--gateway: the %s %v must be above zero", flag, d)
		}
	}
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		say("--gateway.addr %q is not host:port: %w", c.Addr, err)
	}
	if _, _, err := net.SplitHostPort(c.PeerAddr); err != nil {
		say("--gateway.peer-addr %q is not host:port: %w", c.PeerAddr, err)
	} else if c.ClusterToken == "" && !c.Cluster.Given() && !membership.OnLoopback(c.PeerAddr) {
		say("--gateway.peer-addr %q is reachable from other machines: set --cluster.token-file or --cluster.tls-cert, or listen on 127.0.0.1", c.PeerAddr)
	}
	c.Limits.checkClients(say)
	c.Limits.checkBatch(say)
	return errors.Join(append(bad, c.checkMemory(admission.MemoryLimit()))...)
}

func (l *Limits) complete() {
	l.HeaderBytes = cmp.Or(l.HeaderBytes, 16<<10)
	l.BodyBytes = cmp.Or(l.BodyBytes, 64<<10)
	l.Connections = cmp.Or(l.Connections, 65536)
	l.ReadTimeout = cmp.Or(l.ReadTimeout, 10*time.Second)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 60*time.Second)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 75*time.Second)
	l.Waiting = cmp.Or(l.Waiting, 16384)
	l.WaitingPerPage = cmp.Or(l.WaitingPerPage, 8192)
	l.ConnectionsPerAddress = cmp.Or(l.ConnectionsPerAddress, 8192)
	l.RedisCalls = cmp.Or(l.RedisCalls, 256)
	l.RedisQueue = cmp.Or(l.RedisQueue, 4096)
	l.CacheCalls = cmp.Or(l.CacheCalls, 256)
	l.CacheQueue = cmp.Or(l.CacheQueue, 4096)
	l.PeerCalls = cmp.Or(l.PeerCalls, 512)
	l.BatchIDs = cmp.Or(l.BatchIDs, defaultBatchIDs)
	l.BatchBytes = cmp.Or(l.BatchBytes, 8<<20)
	l.UnknownRate = cmp.Or(l.UnknownRate, 20)
	l.UnknownBurst = cmp.Or(l.UnknownBurst, 600)
	l.AddressBytes = cmp.Or(l.AddressBytes, 8<<20)
	l.ClientHeader = cmp.Or(l.ClientHeader, "X-Forwarded-For")
}
