package rediscluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config says where the cluster is and how long documents stay in it.
type Config struct {
	// Addrs are host:port of some of the cluster's nodes, at least one; the
	// others are learned from them.
	Addrs    []string
	Username string
	// Password tells the password; nil: there is none. It is asked for each new
	// connection, so that one that was changed needs no restart.
	Password func() string
	TLS      *tls.Config // nil: plain TCP
	// TTL after which a document that nobody wrote again is dropped by Redis;
	// default 90 days. Each write takes it times 1 ± TTLJitter.
	TTL time.Duration
	// TTLJitter is a share from 0 to 0.9, default 0.1, so that documents loaded
	// together do not vanish together. Negative: none.
	TTLJitter float64
	// PoolSize bounds the connections to one node, for reads and for writes
	// each; default 32.
	PoolSize int
	// ReadTimeout and WriteTimeout bound a whole call with all its retries when
	// the caller's context allows longer; defaults 1 s and 3 s. A batch has them
	// for each 256 keys, or 32 writes.
	ReadTimeout  time.Duration
	WriteTimeout time.Duration
}

// Deps are what a Store uses of the process. Nil members are left out.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
}

const (
	defaultTTL          = 90 * 24 * time.Hour
	defaultJitter       = 0.1
	defaultPoolSize     = 32
	defaultReadTimeout  = time.Second
	defaultWriteTimeout = 3 * time.Second

	minTTL = time.Second // PITFALL 22: a shorter one must not silently become something else
)

func (c Config) complete() (Config, error) {
	var bad []error
	if len(c.Addrs) == 0 {
		bad = append(bad, errors.New("redis: no address is given"))
	}
	for _, a := range c.Addrs {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			bad = append(bad, fmt.Errorf("redis: the address %q is not host:port", a))
		}
	}
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	if c.TTL < minTTL {
		bad = append(bad, fmt.Errorf("redis: the TTL %v is shorter than %v", c.TTL, minTTL))
	}
	switch {
	case c.TTLJitter == 0:
		c.TTLJitter = defaultJitter
	case c.TTLJitter < 0:
		c.TTLJitter = 0
	case c.TTLJitter > 0.9:
		bad = append(bad, fmt.Errorf("redis: the TTL jitter %v is above 0.9", c.TTLJitter))
	}
	if c.PoolSize <= 0 {
		c.PoolSize = defaultPoolSize
	}
	if c.ReadTimeout <= 0 {
		c.ReadTimeout = defaultReadTimeout
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = defaultWriteTimeout
	}
	return c, errors.Join(bad...)
}
