// Package cache is the role that stands between the gateways and the truth: it
// reads through to the origin, applies the shop's change messages and keeps
// Redis from ever going back.
//
// Endpoints (--cache.addr): /v1/doc/<kind>/<id>, /v1/docs (package docapi) and
// the replaced cache service's /getProductInfo and /getShopInfo.
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
// When a dependency is away:
//
//	Redis      answers come from the heap (marked stale) or from the origin, unstored; changes wait
//	Kafka      reads are unaffected; changes wait in the brokers; after --gateway.max-staleness
//	           without heartbeats heap copies are checked against Redis before use
//	ZooKeeper  hits are unaffected; a cold key is pulled without a token and kept for 2 s; changes wait
//	origin     copies in the heap and in Redis are served however old; the breaker opens; changes wait
//
// Metrics: eshop_changes_total, eshop_change_lag_seconds, eshop_redis_repairs_total,
// eshop_l1_*, eshop_cache_*, eshop_bus_leader and those of the packages it uses.
package cache
