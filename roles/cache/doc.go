// Package cache is the role that stands between the gateways and the truth: it
// reads through to the origin, applies the shop's change messages and keeps
// Redis from ever going back.
//
// Endpoints (--cache.addr): /v1/doc/<kind>/<id>, /v1/docs (package docapi) and
// the replaced cache service's /getProductInfo and /getShopInfo; for callers with
// the cluster token or, with Config.Cluster, a certificate (package certificate).
//
// Admin endpoints: /api/explain, /api/purge, and for the prewarm
//
//	POST /api/prewarm  202 and the generation that was asked for; 409 and the state of the one
//	                   under way, wherever it is; 503 without ZooKeeper. Needs the admin token.
//	GET /api/prewarm   the latest generation in any process: state (none, waiting, running,
//	                   finished), counters, products a second, seconds left, what it waits for
//
// and of pkg/degrade, where no role of the process has it yet:
//
//	GET /api/dead-letters?n=    the newest, with what was done about each; POST …/replay and …/discard
//	POST, DELETE /api/degrade   set and end the switches; GET tells which are in effect here
//
// While the switch no-origin is on for a kind (degrade.go), nothing of it is
// pulled: what the heap and Redis hold is served as it is, what neither has is
// 503 with Retry-After. Changes of the kind wait where they are, in their order
// and uncommitted, without taking a handler's place; once 4,096 of them wait in
// one process, those of other kinds wait behind them. Prewarms of the kind wait
// with either switch.
//
// Messages: reads the topic of changes as a consumer group, writes the topic of
// invalidations (and, as the elected leader, its heartbeats), reads that topic
// itself, and puts what it cannot read on the topic of dead letters.
//
// A read goes heap → Redis replica → Redis master → lock, token, origin,
// compare-and-set. A change goes lock and token → origin → compare-and-set →
// invalidation topic → commit. See entry.go for why a slow fill cannot bring an
// old copy back, pull.go for the order of token, pull and write, and change.go
// for why a crash anywhere loses nothing.
//
// A request keeps the id it came with, which stands in errors and in the log, and
// goes on to the origin. With Config.Trace both a read and a change that are traced
// have spans down to Redis, ZooKeeper and the origin (package tracing). A change
// carries its trace in the message's header traceparent; without one, the configured
// share of changes begins a trace. The invalidation that it causes carries it on, so
// that each process that applies it has a span of the same trace:
//
//	apply change
//	  zookeeper token, zookeeper lock, pull, redis compare-and-set
//	  publish invalidation
//	    apply invalidation    in every gateway and cache process
//
// A prewarm fills Redis from the ranking that hotcount publishes, and with what
// the products' pages show beside them: by command, and by itself when nothing of
// the ranking is in Redis. One process of the fleet does it at a time, under the
// lock "prewarm"; another goes on where it stopped. Nodes below the root:
//
//	prewarm/request  the generation that was asked for last, by whom and why
//	prewarm/plan     its products, in their order
//	prewarm/state    how far it is: counters, cursor, marks of what has failed
//
// See prewarm.go for who does it, prewarm_node.go for why a paused process
// cannot turn the state back, prewarm_walk.go for the order in which a plan is
// gone through, and prewarm_fill.go for the batches.
//
// Overload (overload.go): readers' pulls pass a gate (package admission) before
// the lock and the origin's own bulkhead: sixteen for each request that the origin
// may get at once, 4096 that wait; the rest is answered 503 with Retry-After at
// once, or with an old copy. What the heap or Redis has passes no gate. Pulls that
// end in 404 have a rate, UnknownRate, over all clients: when it is spent, ids that
// Redis does not have are refused, 503, until it has come back. An absent id is
// kept in the heap alone, apart (NegativeBytes, NegativeTTL); Redis gets no key for
// it, only the tombstone of a document that it had.
//
// A failover of Redis may lose writes that it has acknowledged. Each process
// compares the recently changed documents it owns with the masters after every
// change of the topology, at its start and every five minutes, and pulls those
// that are older again (reconcile.go). The auditor (audit.go, package audit)
// compares copies of the heap with Redis and the origin all the time. Each repair
// is counted under what found it and logged with kind, id, cause, the stamp found
// and the one expected.
//
// When a dependency is away:
//
//	Redis      answers come from the heap (marked stale) or from the origin, unstored; changes wait
//	Kafka      reads are unaffected; changes wait in the brokers; after 30 s without
//	           heartbeats heap copies are checked against Redis before use. That time needs
//	           no flag: a gateway shows nothing below its own floor, and while its own bus is
//	           silent, after --gateway.max-staleness, it does not take this heap's word
//	ZooKeeper  hits are unaffected; a cold key is pulled without a token and kept for 2 s; changes wait
//	origin     copies in the heap and in Redis are served however old; the breaker opens; changes wait
//
// A prewarm waits, and tells for what, when Redis or ZooKeeper is away, the
// origin's breaker open or its bulkhead full, and when half of the queue of
// announcements waits for Kafka. What fails otherwise is tried again at its end,
// three times, and then left to the next read.
//
// Metrics: eshop_degraded{kind,mode}, eshop_changes_total, eshop_change_lag_seconds, eshop_redis_repairs_total{cause},
// eshop_cache_reconciled_total, eshop_staleness_seconds, eshop_consistency_violations_total,
// eshop_prewarm_documents_total, eshop_prewarm_running, eshop_prewarm_seconds, eshop_l1_*,
// eshop_cache_*, eshop_admission_*{gate="origin"}, eshop_bus_leader and those of the packages it uses.
package cache
