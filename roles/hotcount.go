package roles

import (
	"context"

	"eshop/pkg/config"
	"eshop/pkg/console"
	"eshop/pkg/hotlist"
	"eshop/roles/hotcount"
)

func hotcountCommand() command {
	return command{
		name:  "hotcount",
		short: "Run the hotcount role: count hits, find hot products, show them",
		long: `Runs one process of the hotcount role. It counts the access log in a sliding window, finds the products
that are hot, and tells every gateway by ZooKeeper, so that each serves its own copy of them until they
have cooled. Several processes share the partitions of the topic; one that dies is replaced within
seconds, and the counts are made anew from the log.

What is hot is at /hot on the admin listener, beside the console. Rule, pins and bans are kept in ZooKeeper: changed there, they
hold for all processes at once; the flags of the rule matter only until one is stored.`,
		examples: []string{
			"on this machine only\neshop hotcount --kafka.brokers 127.0.0.1:9092 --zookeeper.servers 127.0.0.1:2181",
			"from a file, in a fleet\neshop hotcount --config /etc/eshop.yaml",
			"what is hot?\ncurl -s http://127.0.0.1:8092/api/hot",
			"keep a product hot before its sale starts\ncurl -X POST -H \"Authorization: Bearer $(cat /etc/eshop/admin-token)\" 'http://127.0.0.1:8092/api/pin?id=7'",
		},
		define: func(set *config.Set, s *settings) {
			s.hotcount.define(set, true)
			s.kafka.define(set)
			s.kafka.defineAccess(set)
			s.kafka.defineHotcountGroup(set)
			s.zookeeper.define(set)
			s.security.defineCluster(set)
			s.security.defineAdmin(set)
			s.process.define(set, "info")
			s.process.defineShutdown(set)
		},
		prepare: func(s *settings, loaded config.Loaded, _ []string, problems *config.Problems) run {
			first := hotcountPlan(s, loaded, problems)
			return func(ctx context.Context, p process) error {
				return serve(ctx, p, s, first, hotcountPlan, func(around surroundings) (part[hotcount.Config], error) {
					return hotcount.New(first.cfg, hotcount.Deps{Log: around.log, Registry: around.registry, Ready: around.ready, Admin: around.admin})
				})
			}
		},
	}
}

// hotcountPlan has no use for the kinds, but what is wrong with them is wrong with the file.
func hotcountPlan(s *settings, loaded config.Loaded, problems *config.Problems) plan[hotcount.Config] {
	needed("hotcount", "kafka.brokers", len(s.kafka.brokers) > 0, problems)
	needed("hotcount", "zookeeper.servers", len(s.zookeeper.servers) > 0, problems)
	catalogOf(loaded, problems)
	to := plan[hotcount.Config]{cfg: s.hotcountConfig(problems), listener: s.adminConfig("hotcount", "hotcount.admin-addr", s.hotcount.adminAddr, problems)}
	// For its console only: it has no listener that demands either.
	to.listener.ClusterToken, to.fleet.Cluster = s.clusterAccess(problems)
	to.fleet.Members, to.fleet.ZooKeeper = []console.Member{{Role: "hotcount", ID: to.cfg.ID}}, to.cfg.ZooKeeper
	problems.AddOther(to.cfg.Validate())
	return to
}

// hotcountConfig maps settings to the role's configuration.
func (s *settings) hotcountConfig(problems *config.Problems) hotcount.Config {
	s.kafka.topics(problems)
	rule := hotlist.DefaultRule()
	rule.Floor, rule.Factor, rule.Top = int64(s.hotcount.floor), s.hotcount.factor, s.hotcount.top
	rule.Hold, rule.Window = hotlist.Duration(s.hotcount.hold), hotlist.Duration(s.hotcount.window)
	return hotcount.Config{
		ID:          identity("hotcount.id", s.hotcount.id, problems),
		Kafka:       s.kafka.config(problems),
		ZooKeeper:   s.zookeeper.config(problems),
		TopicAccess: s.kafka.topicAccess,
		Group:       s.kafka.groupHotcount,
		Rule:        rule,
		Memory:      s.hotcount.memory,
	}
}
