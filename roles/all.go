package roles

import (
	"context"
	"errors"
	"fmt"
	"net"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/config"
	"eshop/pkg/embedded"
	"eshop/pkg/lifecycle"
	"eshop/pkg/reload"
	"eshop/roles/all"

	"github.com/prometheus/client_golang/prometheus"
)

func allCommand() command {
	return command{
		name:  "all",
		short: "Run every role in one process, on embedded servers",
		long: `Runs a gateway, a cache and a hotcount role in one process. Whatever it is given no address for, it starts itself, on
this machine only: a small Redis, Kafka and ZooKeeper, and a sample shop with 1000 products whose edits
show on the pages at once. Once all is ready it prints one line for each listener; redis-cli, kcat, a
ZooKeeper shell and further eshop roles can join there. The console is on the admin listener.`,
		examples: []string{
			"a shop on this machine\neshop all",
			"change a product and see it\ncurl -X PUT http://127.0.0.1:8099/products/7 -d '{\"name\":\"Lamp\",\"price\":19.5,\"shopId\":1}'\ncurl -H 'Accept: application/json' 'http://127.0.0.1:8080/product?productId=7'",
			"watch a product turn hot, at http://127.0.0.1:8090/\neshop all --demo-traffic",
			"keep the data\neshop all --data-dir ./data",
			"on a Redis Cluster of your own\neshop all --redis.addrs 127.0.0.1:7001,127.0.0.1:7002",
		},
		define: func(set *config.Set, s *settings) {
			s.embedded.define(set)
			s.gateway.define(set, "127.0.0.1", false)
			s.cache.define(set, "127.0.0.1", false)
			s.hotcount.define(set, false)
			s.redis.define(set)
			s.kafka.define(set)
			s.kafka.defineAccess(set)
			s.kafka.defineCacheGroup(set)
			s.kafka.defineHotcountGroup(set)
			s.zookeeper.define(set)
			s.origin.define(set)
			s.security.defineCluster(set)
			s.security.defineAdmin(set)
			s.trace.define(set)
			s.process.define(set, "info")
			s.process.defineAdmin(set)
			s.process.defineShutdown(set)
		},
		prepare: func(s *settings, loaded config.Loaded, _ []string, problems *config.Problems) run {
			first := allPlan(s, loaded, problems)
			return func(ctx context.Context, p process) error {
				registry, ready := prometheus.NewRegistry(), new(lifecycle.Ready)
				if err := admin.RegisterProcess(registry, first.listener.Build, "all", ready.OK); err != nil {
					return err
				}
				log, level := p.leveled(s.process.logLevel, s.process.logFormat)
				err := all.Run(ctx, first.cfg, all.Deps{
					Log: log, Registry: registry, Catalog: first.cat, Ready: ready, Stdout: p.stdout, Settings: p.settings,
					Reread: func() (all.Config, *catalog.Catalog, reload.Next, error) {
						r := p.reread()
						to := allPlan(r.s, r.loaded, &r.problems)
						next, err := r.next(level)
						return to.cfg, to.cat, next, err
					},
				})
				return s.embedded.nameFlag(err)
			}
		},
	}
}

func allPlan(s *settings, loaded config.Loaded, problems *config.Problems) plan[all.Config] {
	to := plan[all.Config]{cat: catalogOf(loaded, problems), listener: s.adminConfig("all", "admin.addr", s.process.adminAddr, problems)}
	token, pair := s.clusterAccess(problems, listen{"gateway.peer-addr", s.gateway.peerAddr}, listen{"cache.addr", s.cache.addr})
	to.cfg = all.Config{
		Gateway:     s.gatewayConfig(problems),
		Cache:       s.cacheConfig(problems),
		Hotcount:    s.hotcountConfig(problems),
		DemoTraffic: s.embedded.demoTraffic,
		Admin:       to.listener,
		Embedded: embedded.Config{
			RedisAddrs: s.redis.addrs, ZooKeeperServers: s.zookeeper.servers,
			OriginURL: s.origin.url,
			RedisAddr: s.embedded.redisAddr, KafkaAddr: s.embedded.kafkaAddr,
			ZooKeeperAddr: s.embedded.zookeeperAddr, OriginAddr: s.embedded.sampleAddr,
			DataDir: s.embedded.dataDir, TopicChange: s.kafka.topicChange, Catalog: to.cat,
		},
		Topics:        (&layout{partitions: 4, replication: 3}).topics(&s.kafka),
		ShutdownDelay: s.process.delay, ShutdownTimeout: s.process.timeout,
	}
	cfg := &to.cfg
	templates(cfg.Gateway, to.cat, problems)
	cfg.Embedded.Kafka = cfg.Cache.Kafka
	cfg.Gateway.ClusterToken, cfg.Cache.ClusterToken, cfg.Admin.ClusterToken = token, token, token
	cfg.Gateway.Cluster, cfg.Cache.Cluster = pair, pair
	problems.AddOther(errors.Join(cfg.Gateway.Validate(), cfg.Cache.Validate(), cfg.Hotcount.Validate()))
	return to
}

// nameFlag adds to the error of an occupied address which flag moves the embedded server elsewhere:
// the servers themselves know nothing of flags.
func (e *embeddedSettings) nameFlag(err error) error {
	var failed *net.OpError
	if !errors.As(err, &failed) || failed.Op != "listen" || failed.Addr == nil {
		return err
	}
	for _, l := range []listen{
		{"embedded.redis-addr", e.redisAddr}, {"embedded.kafka-addr", e.kafkaAddr},
		{"embedded.zookeeper-addr", e.zookeeperAddr}, {"origin.sample-addr", e.sampleAddr},
	} {
		if addr, resolveErr := net.ResolveTCPAddr("tcp", l.addr); resolveErr == nil && addr.Port != 0 && addr.String() == failed.Addr.String() {
			return fmt.Errorf("%w (--%s sets this address)", err, l.flag)
		}
	}
	return err
}
