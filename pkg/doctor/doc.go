// Package doctor looks at all that eshop depends on and says what is wrong, what
// that leads to, and which command mends it. It judges what pkg/rediscluster,
// pkg/kafka, pkg/zookeeper and pkg/origin find; no client library is used here.
//
// The dependencies are looked at side by side, each within its own time. One that
// does not answer is one failure, and its other checks are skipped because of it.
// A look changes nothing that outlives it; the canary removes what it wrote, and
// what a killed one leaves goes by itself: its node in ZooKeeper with the session,
// its document in Redis after a minute.
//
// # The report as JSON
//
//	{"failures": 1, "warnings": 2, "ok": 40, "skipped": 3, "findings": [
//	  {"check": "kafka.retention", "on": "cache-invalidate", "severity": "failure",
//	   "found": "…", "why": "…", "mend": "…"}, …]}
//
// severity is ok, warning, failure or skipped. check and its meaning stay as they
// are between releases; further checks and fields may come. on, why and mend are
// left out when there is nothing to say. No field holds a secret. The checks:
//
//	settings   roles cluster-token admin secrets certificates memory files
//	redis      reachable cluster state slots views replicas hosts node-timeout full-coverage
//	           reads-when-down version memory persistence clock
//	kafka      reachable version controller auto-create; of each topic: topic partitions
//	           replication leaders min-insync retention cleanup timestamp message-size; of
//	           each group: lag
//	zookeeper  reachable words leader ensemble session root nodes sizes members clock
//	origin     of each kind: answers latency version batch unknown
//	canary     lock write guard read bus feed remove
//
// The brokers' clocks are not among them: Kafka has no question that a broker
// answers with its own time.
//
//	finding.go         Finding, Severity, Report
//	doctor.go          Config, Deps, Run
//	table.go           the report for people and for programs
//	clock.go           clocks of others against the own one
//	redis.go           nodes, slots, replicas; redis_settings.go: their settings
//	kafka.go           brokers and groups; topics.go: the four topics
//	zookeeper.go       servers, session, nodes
//	origin.go          the shop's services
//	own.go             settings and machine of the own processes; files_unix.go, files_other.go: open files
//	canary.go          the way of a change, gone once
package doctor
