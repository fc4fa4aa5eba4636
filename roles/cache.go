package roles

import (
	"context"

	"eshop/pkg/config"
	"eshop/pkg/console"
	"eshop/roles/cache"
)

func cacheCommand() command {
	return command{
		name:  "cache",
		short: "Run the cache role: read-through, change feed, rebuild",
		long: `Runs one process of the cache role. It answers the gateways from its memory, from Redis, or by one pull
from the shop's services for all who ask; it follows the change messages on Kafka, stores what changed
in Redis and tells every gateway. Start as many as needed: they share the work, and each can go away.

It needs Redis Cluster, Kafka, ZooKeeper and the shop's services, but starts without them: /-/ready on
the admin listener says what it waits for. Create the topics once with "eshop bootstrap".`,
		examples: []string{
			"on this machine only\neshop cache --redis.addrs 127.0.0.1:7001 --kafka.brokers 127.0.0.1:9092 \\\n    --zookeeper.servers 127.0.0.1:2181 --origin.url http://127.0.0.1:8099 --cache.addr 127.0.0.1:8082",
			"from a file, in a fleet\neshop cache --config /etc/eshop.yaml --cluster.token-file /run/secrets/cluster",
			"what is in effect?\neshop cache --config /etc/eshop.yaml --check-config",
		},
		define: func(set *config.Set, s *settings) {
			s.cache.define(set, "", true)
			s.redis.define(set)
			s.kafka.define(set)
			s.kafka.defineCacheGroup(set)
			s.zookeeper.define(set)
			s.origin.define(set)
			s.security.defineCluster(set)
			s.security.defineAdmin(set)
			s.trace.define(set)
			s.process.define(set, "info")
			s.process.defineShutdown(set)
		},
		prepare: func(s *settings, loaded config.Loaded, _ []string, problems *config.Problems) run {
			first := cachePlan(s, loaded, problems)
			return func(ctx context.Context, p process) error {
				return serve(ctx, p, s, first, cachePlan, func(around surroundings) (part[cache.Config], error) {
					return cache.New(first.cfg, cache.Deps{
						Log: around.log, Registry: around.registry, Catalog: first.cat, Ready: around.ready, Admin: around.admin,
					})
				})
			}
		},
	}
}

func cachePlan(s *settings, loaded config.Loaded, problems *config.Problems) plan[cache.Config] {
	s.needsServers("cache", problems)
	needed("cache", "origin.url", s.origin.url != "", problems)
	to := plan[cache.Config]{cfg: s.cacheConfig(problems), cat: catalogOf(loaded, problems)}
	to.listener = s.adminConfig("cache", "cache.admin-addr", s.cache.adminAddr, problems)
	to.cfg.ClusterToken, to.cfg.Cluster = s.clusterAccess(problems, listen{"cache.addr", s.cache.addr})
	to.listener.ClusterToken = to.cfg.ClusterToken
	to.fleet = console.Config{Members: []console.Member{{Role: "cache", ID: to.cfg.ID}}, Cluster: to.cfg.Cluster, ZooKeeper: to.cfg.ZooKeeper}
	problems.AddOther(to.cfg.Validate())
	return to
}

// needsServers adds a problem for each of the three engines that has no address.
func (s *settings) needsServers(command string, problems *config.Problems) {
	needed(command, "redis.addrs", len(s.redis.addrs) > 0, problems)
	needed(command, "kafka.brokers", len(s.kafka.brokers) > 0, problems)
	needed(command, "zookeeper.servers", len(s.zookeeper.servers) > 0, problems)
}

// cacheConfig maps settings to the role's configuration, but for what it shows other roles.
func (s *settings) cacheConfig(problems *config.Problems) cache.Config {
	s.kafka.topics(problems)
	return cache.Config{
		ID:              identity("cache.id", s.cache.id, problems),
		Addr:            s.cache.addr,
		AdvertiseAddr:   s.cache.advertise,
		L1Bytes:         s.cache.l1Bytes,
		Refresh:         s.cache.refresh,
		Audit:           auditRate(s.cache.audit),
		UnknownRate:     s.cache.unknownRate,
		Redis:           s.redis.config(&s.cache, problems),
		Kafka:           s.kafka.config(problems),
		ZooKeeper:       s.zookeeper.config(problems),
		Origin:          s.origin.config(),
		TopicChange:     s.kafka.topicChange,
		TopicInvalidate: s.kafka.topicInvalidate,
		TopicDead:       s.kafka.topicDead,
		Group:           s.kafka.groupCache,
		Trace:           s.trace.config(problems),
	}
}
