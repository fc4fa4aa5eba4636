package roles

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"eshop/pkg/catalog"
	"eshop/pkg/config"
	"eshop/pkg/console"
	"eshop/pkg/systemd"
	"eshop/roles/gateway"
)

func gatewayCommand() command {
	return command{
		name:  "gateway",
		short: "Run the gateway role: the public listener with its page cache",
		long: `Runs one gateway. It serves product pages from its own memory; a page it does not have it takes from the
gateway that owns it, from Redis, or from the cache role. It follows the invalidations on Kafka, so that
a page is replaced within milliseconds of the change, counts every request for the access log, and keeps
a copy of its own of each product that is hot. Start as many as needed behind a load balancer.

It needs Redis Cluster, Kafka and ZooKeeper, but starts without them: /-/ready on the admin listener says
what it waits for, and a running gateway goes on serving what it has when they are away.`,
		examples: []string{
			"on this machine only\neshop gateway --redis.addrs 127.0.0.1:7001 --kafka.brokers 127.0.0.1:9092 \\\n    --zookeeper.servers 127.0.0.1:2181 --gateway.peer-addr 127.0.0.1:8081",
			"from a file, in a fleet, behind a load balancer that needs 5 s to notice\neshop gateway --config /etc/eshop.yaml --cluster.token-file /run/secrets/cluster --shutdown-delay 5s",
			"with a template of your own, read again whenever it changes\neshop gateway --config /etc/eshop.yaml --gateway.template /etc/product.html",
		},
		define: func(set *config.Set, s *settings) {
			s.gateway.define(set, "", true)
			s.redis.define(set)
			s.kafka.define(set)
			s.kafka.defineAccess(set)
			s.zookeeper.define(set)
			s.security.defineCluster(set)
			s.security.defineAdmin(set)
			s.trace.define(set)
			s.process.define(set, "info")
			s.process.defineShutdown(set)
		},
		prepare: func(s *settings, loaded config.Loaded, _ []string, problems *config.Problems) run {
			first := gatewayPlan(s, loaded, problems)
			return func(ctx context.Context, p process) error {
				sockets, err := systemd.Sockets(systemd.Public, systemd.Peer)
				if err != nil {
					var problems config.Problems // of the units: not to be tried again
					problems.AddError("", err)
					return problems
				}
				return serve(ctx, p, s, first, gatewayPlan, func(around surroundings) (part[gateway.Config], error) {
					return gateway.New(first.cfg, gateway.Deps{
						Log: around.log, Registry: around.registry, Catalog: first.cat, Ready: around.ready, Admin: around.admin,
						Public: sockets[systemd.Public], Peer: sockets[systemd.Peer],
					})
				})
			}
		},
	}
}

func gatewayPlan(s *settings, loaded config.Loaded, problems *config.Problems) plan[gateway.Config] {
	s.needsServers("gateway", problems)
	to := plan[gateway.Config]{cfg: s.gatewayConfig(problems), cat: catalogOf(loaded, problems)}
	templates(to.cfg, to.cat, problems)
	to.listener = s.adminConfig("gateway", "gateway.admin-addr", s.gateway.adminAddr, problems)
	to.cfg.ClusterToken, to.cfg.Cluster = s.clusterAccess(problems, listen{"gateway.peer-addr", s.gateway.peerAddr})
	to.listener.ClusterToken = to.cfg.ClusterToken
	to.fleet = console.Config{Members: []console.Member{{Role: "gateway", ID: to.cfg.ID}}, Cluster: to.cfg.Cluster, ZooKeeper: to.cfg.ZooKeeper}
	problems.AddOther(to.cfg.Validate())
	return to
}

// gatewayConfig maps settings to the role's configuration, but for what it shows other roles.
func (s *settings) gatewayConfig(problems *config.Problems) gateway.Config {
	s.kafka.topics(problems)
	return gateway.Config{
		ID:              identity("gateway.id", s.gateway.id, problems),
		Addr:            s.gateway.addr,
		PeerAddr:        s.gateway.peerAddr,
		TLS:             s.gateway.tls.pair("gateway", false, problems),
		AdvertiseAddr:   s.gateway.advertise,
		L1Bytes:         s.gateway.l1Bytes,
		SoftTTLMin:      s.gateway.softTTL.Min,
		SoftTTLMax:      s.gateway.softTTL.Max,
		MaxStaleness:    s.gateway.maxStaleness,
		Audit:           auditRate(s.gateway.audit),
		Template:        s.gateway.template,
		Redis:           s.redis.config(nil, problems),
		Kafka:           s.kafka.config(problems),
		ZooKeeper:       s.zookeeper.config(problems),
		TopicInvalidate: s.kafka.topicInvalidate,
		TopicAccess:     s.kafka.topicAccess,
		AccessLog:       s.gateway.accessLogConfig(),
		Limits:          s.gateway.limits.config(problems),
		Trace:           s.trace.config(problems),
	}
}

// accessLogConfig reads what checkAccessLog has let through.
func (g *gatewaySettings) accessLogConfig() gateway.AccessLog {
	log := gateway.AccessLog{Mode: g.accessLog, Redact: g.logRedact, Client: g.logClient}
	if n, ok := strings.CutPrefix(g.accessLog, "sampled:1/"); ok {
		log.Mode = "sampled"
		log.Sample, _ = strconv.Atoi(n)
	}
	return log
}

func checkAccessLog(mode string) error {
	switch mode {
	case "counts", "full", "off":
		return nil
	}
	if text, ok := strings.CutPrefix(mode, "sampled:1/"); ok {
		if n, err := strconv.Atoi(text); err == nil && n >= 2 && n <= 1_000_000 {
			return nil
		}
	}
	return errors.New("must be counts, full, off, or sampled:1/N with N from 2 to 1000000")
}

// templates adds a problem for each template file that cannot be used. Without a catalogue, which is a
// problem of its own, it is not known for which pages they are.
func templates(cfg gateway.Config, cat *catalog.Catalog, problems *config.Problems) {
	if cat != nil {
		problems.AddError("", gateway.CheckTemplates(cfg, cat))
	}
}
