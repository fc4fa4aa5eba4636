package rediscluster

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// clientOptions are the settings that matter when a node dies. The library's
// defaults keep a dead master in use for a minute (PITFALL 19).
func clientOptions(cfg Config, replicas bool) *redis.ClusterOptions {
	options := &redis.ClusterOptions{
		Addrs:      cfg.Addrs,
		ClientName: "eshop",
		TLSConfig:  cfg.TLS,
		ReadOnly:   replicas,

		ClusterStateReloadInterval: time.Second,
		FailingTimeoutSeconds:      3,
		MaxRedirects:               3,
		MinRetryBackoff:            8 * time.Millisecond,
		MaxRetryBackoff:            128 * time.Millisecond,
		DialerRetries:              1,
		DialTimeout:                300 * time.Millisecond,
		ReadTimeout:                300 * time.Millisecond,
		WriteTimeout:               300 * time.Millisecond,
		ContextTimeoutEnabled:      true,

		// The bound is hard: PoolSize connections a node, and a caller that finds
		// none free waits no longer than PoolTimeout.
		PoolSize:        cfg.PoolSize,
		MaxActiveConns:  cfg.PoolSize,
		PoolTimeout:     300 * time.Millisecond,
		ConnMaxIdleTime: 5 * time.Minute,

		Protocol:                 2,
		DisableIdentity:          true,
		DisableRoutingPolicies:   true, // every command here has one key; its slot routes it
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.Password != nil {
		options.CredentialsProvider = func() (string, string) { return cfg.Username, cfg.Password() }
	}
	return options
}

// newClient returns NewClient for the clients of the masters' nodes: each new
// connection asks which process it has reached. One that may not run INFO is as
// good as any other.
func newClient(t *topology) func(*redis.Options) *redis.Client {
	return func(o *redis.Options) *redis.Client {
		addr := o.Addr
		o.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
			if info, err := conn.Info(ctx, "server").Result(); err == nil {
				t.connected(addr, info)
			}
			return ctx.Err()
		}
		return redis.NewClient(o)
	}
}
