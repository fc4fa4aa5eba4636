package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/certificate"
	"eshop/pkg/config"
	"eshop/pkg/doctor"
	"eshop/pkg/hotlist"
	"eshop/pkg/invalidation"
	"eshop/pkg/membership"
	"eshop/roles/hotcount"
)

// examination is what the flags of doctor say.
type examination struct {
	json, strict, noCanary bool
	samples                []string
	timeout                time.Duration
}

func doctorCommand() command {
	var how examination
	return command{
		name:  "doctor",
		short: "Check every dependency and setting",
		long: `Looks at Redis Cluster, Kafka, ZooKeeper, the shop's services and the settings of the roles, with the same
flags and file that the roles get, and says of everything that is not right what it leads to and which
command mends it. Then a canary goes the way of a change: it takes a lock and a token, is written to Redis by
compare-and-set, announced on the bus, read back from both, and removed; a message is sent through the
change feed and answered by a cache process. It is of a kind of its own, which no role knows and no page shows.

A failure breaks something that eshop promises; a warning hurts when something else fails or grows. What
has no address is skipped. The exit code is 0 without a failure, 1 with one, and 2 for bad usage; with
--strict a warning counts as a failure. --json is for programs; eshop/pkg/doctor has its form.`,
		examples: []string{
			"is everything right?\neshop doctor --config /etc/eshop.yaml",
			"without writing anything, for a monitoring system\neshop doctor --config /etc/eshop.yaml --no-canary --json",
			"look at the shop's services with documents that exist\neshop doctor --config /etc/eshop.yaml --sample product=4711,shop=12",
		},
		define: func(set *config.Set, s *settings) {
			set.Area("Doctor")
			set.Switch(&how.json, "json", false, "write the findings as JSON")
			set.Switch(&how.strict, "strict", false, "end with exit code 1 for warnings, too")
			set.Switch(&how.noCanary, "no-canary", false, "write nothing, not even for a moment")
			set.Words(&how.samples, "sample", "kind=id,...", "documents that the shop's services have; 1 for a kind that is not named")
			set.Duration(&how.timeout, "timeout", 10*time.Second, time.Millisecond, "limit for each dependency, and for the canary")
			for _, name := range []string{"json", "strict", "no-canary", "sample", "timeout"} {
				set.OfInvocation(name)
			}
			s.gateway.define(set, "", true)
			s.cache.define(set, "", true)
			s.hotcount.define(set, true)
			s.redis.define(set)
			s.kafka.define(set)
			s.kafka.defineAccess(set)
			s.kafka.defineCacheGroup(set)
			s.kafka.defineHotcountGroup(set)
			s.zookeeper.define(set)
			s.origin.define(set)
			s.security.defineCluster(set)
			s.security.defineAdmin(set)
			s.process.define(set, "error")
			s.process.defineShutdown(set)
		},
		prepare: func(s *settings, loaded config.Loaded, _ []string, problems *config.Problems) run {
			if len(s.redis.addrs)+len(s.kafka.brokers)+len(s.zookeeper.servers) == 0 && s.origin.url == "" {
				problems.Add("config", "", "or addresses are needed: there is nothing to look at")
			}
			cat := catalogOf(loaded, problems)
			samples := how.sampleIDs(cat, problems)
			return func(ctx context.Context, p process) error {
				cfg := s.doctorConfig(cat)
				cfg.Samples, cfg.Canary, cfg.Timeout = samples, !how.noCanary, how.timeout
				deps := doctor.Deps{Log: p.logger(s.process.logLevel, s.process.logFormat)}
				if isTerminal(p.stderr) {
					deps.Progress = func(areas []string) { fmt.Fprintf(p.stderr, "still looking at %s …\n", strings.Join(areas, ", ")) }
				}
				report := doctor.Run(ctx, cfg, deps)
				if err := ctx.Err(); err != nil {
					return fmt.Errorf("interrupted: %w", context.Cause(ctx))
				}
				return how.conclude(report, p.stdout)
			}
		},
	}
}

// conclude writes the report; its error makes the exit code.
func (e *examination) conclude(report doctor.Report, out io.Writer) error {
	write := report.Table
	if e.json {
		write = report.JSON
	}
	if err := write(out); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	failures, warnings := report.Count(doctor.Failure), report.Count(doctor.Warning)
	switch {
	case failures > 0:
		return fmt.Errorf("%s failed", doctor.Times(failures, "check"))
	case e.strict && warnings > 0:
		return fmt.Errorf("%s ended in a warning (--strict)", doctor.Times(warnings, "check"))
	}
	return nil
}

// sampleIDs reads --sample.
func (e *examination) sampleIDs(cat *catalog.Catalog, problems *config.Problems) map[string]int64 {
	ids := make(map[string]int64)
	for _, sample := range e.samples {
		kind, text, _ := strings.Cut(sample, "=")
		id, err := catalog.ParseID(text)
		switch {
		case err != nil:
			problems.Add("sample", sample, "must be a kind, =, and a whole number from 1 on")
		case cat != nil && cat.Kind(kind) == nil:
			problems.Add("sample", sample, "must begin with one of "+strings.Join(cat.KindNames(), ", "))
		}
		ids[kind] = id
	}
	return ids
}

// doctorConfig maps settings to what is looked at. What keeps a role from
// starting is a finding, not a reason to look at nothing.
func (s *settings) doctorConfig(cat *catalog.Catalog) doctor.Config {
	var wrong config.Problems
	redis, kafka, zookeeper := s.redis.config(&s.cache, &wrong), s.kafka.config(&wrong), s.zookeeper.config(&wrong)
	s.kafka.topics(&wrong)
	hot := s.hotcountConfig(new(config.Problems))
	config.ReadTokens("cluster.token-file", s.security.clusterTokenFile, &wrong)
	config.ReadSecret("admin.token-file", s.security.adminTokenFile, &wrong)
	templates(s.gatewayConfig(new(config.Problems)), cat, &wrong)
	pairs := []certificate.Config{s.gateway.tls.pair("gateway", false, &wrong), s.security.cluster.pair("cluster", true, &wrong)}
	s.gateway.limits.config(&wrong)
	own := doctor.Own{
		ClusterToken: s.security.clusterTokenFile != "", ClusterTLS: s.security.cluster.cert != "", AdminToken: s.security.adminTokenFile != "",
		Secrets: []doctor.Secret{
			{Flag: "cluster.token-file", Path: s.security.clusterTokenFile}, {Flag: "admin.token-file", Path: s.security.adminTokenFile},
			{Flag: "gateway.tls-key", Path: s.gateway.tls.key}, {Flag: "cluster.tls-key", Path: s.security.cluster.key},
			{Flag: "redis.password-file", Path: s.redis.passwordFile}, {Flag: "kafka.password-file", Path: s.kafka.passwordFile},
			{Flag: "zookeeper.auth-file", Path: s.zookeeper.authFile},
		},
		Memory: s.gateway.l1Bytes + s.cache.l1Bytes + s.hotcount.memory, Connections: s.gateway.limits.connections,
		Internal: openListeners(listen{"gateway.peer-addr", s.gateway.peerAddr}, listen{"cache.addr", s.cache.addr}),
		Admin:    openListeners(listen{"gateway.admin-addr", s.gateway.adminAddr}, listen{"cache.admin-addr", s.cache.adminAddr}, listen{"hotcount.admin-addr", s.hotcount.adminAddr}),
	}
	for _, pair := range pairs {
		if !pair.Given() {
			continue
		}
		if expires, err := pair.Expires(); err == nil {
			own.Certificates = append(own.Certificates, doctor.Certificate{Flag: pair.Area + ".tls-cert", Path: pair.Cert, Expires: expires})
		}
	}
	for _, problem := range wrong {
		own.Problems = append(own.Problems, problem.String())
	}
	below := slices.DeleteFunc(nodes(), func(n string) bool { return n == "" })
	return doctor.Config{
		Redis: redis, Kafka: kafka, ZooKeeper: zookeeper, Origin: s.origin.config(), Catalog: cat, Nodes: below,
		TopicChange: s.kafka.topicChange, TopicAccess: s.kafka.topicAccess, TopicInvalidate: s.kafka.topicInvalidate, TopicDead: s.kafka.topicDead,
		GroupCache: s.kafka.groupCache, GroupHotcount: s.kafka.groupHotcount,
		MaxStaleness: s.gateway.maxStaleness, Replay: invalidation.DefaultReplay,
		Window: time.Duration(hot.Rule.Window) + hotcount.Slack, MaxWindow: hotlist.MaxWindow + hotcount.Slack,
		Own: own,
	}
}

// openListeners lists the listeners that other machines can reach.
func openListeners(all ...listen) (found []string) {
	for _, l := range all {
		if !membership.OnLoopback(l.addr) {
			found = append(found, "--"+l.flag+" "+l.addr)
		}
	}
	return found
}

// isTerminal reports whether somebody sits there: a character device other than
// the null device.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	about, err := f.Stat()
	if err != nil || about.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return errors.Is(err, os.ErrNotExist) || err == nil && !os.SameFile(about, null)
}
