// Package rediscluster is the shared cache (L2): documents in a Redis Cluster,
// read from replicas and written by compare-and-set only. It is the one home of
// go-redis.
//
// # What is stored
//
// Under the kind's prefix and the id, a hash: b body, e epoch, v version, t
// token, f name of the version field, s state ("live" or "gone"), p pulled at in
// unix ms. Numbers are decimal text of 0 to 2^63-1. The body is handed through
// byte for byte. A plain string is a value of the replaced system: it is read as
// a live document with the version from its body, token 0 and epoch 0. Anything
// else counts as absent, is counted, and is replaced by the next write.
//
// # The rules of a write (invariant 1)
//
// One Lua script (compare-and-set.lua) decides, on Redis 7 and on the embedded
// server alike. Stamps are (epoch, version, token), compared in this order as
// exact 64-bit numbers.
//
//  1. Over a missing key or a plain string every write is accepted, epoch 0 (or
//     the token, if forced). A tombstone over a string takes the version out of
//     it; over nothing it has the version and field of the caller, if any.
//  2. Put: the new stamp is (stored epoch, version, token), accepted if it is
//     above the stored one. Over a tombstone the token must be above it too: a
//     pull from before the deletion does not bring the document back.
//  3. If the stored version came from another field (none counts as one), the
//     versions cannot be compared: accepted if the token is above the stored
//     one; the token becomes the epoch, so the stamp still rises.
//  4. Tombstone: keeps the stored version, field and epoch; accepted if the token
//     is above the stored one. A higher version that the caller was told of and
//     Redis has lost is kept too (without a field, and of no older epoch).
//  5. Force, ForceTombstone: accepted if the token is above the stored one, which
//     becomes the epoch.
//  6. Whatever the operation, a token that is not above the stored epoch is
//     refused. A writer that knows of a higher epoch than Redis does (a failover
//     lost the force) says so in its stamp, and the write restores it.
//
// A stamp equal to the stored one is refused, so a repeated write does nothing.
// Each accepted write sets the time to live anew, with jitter.
//
// # When nodes fail
//
//   - A replica that has nothing or fails: the master is asked, within the call's
//     deadline. A node that does not answer in 300 ms is passed by for 3 s.
//   - A dead master: writes to its slots fail until the others have elected
//     another one (measured: 4.2 to 4.8 s with cluster-node-timeout 2 s); reads from
//     replicas go on. Network errors, MOVED, READONLY and CLUSTERDOWN make the
//     slots be looked up anew at once, at most every 100 ms (PITFALLS 19, 20).
//   - An answer lost on the way to a write that a retry then finds done: Outcome
//     says accepted and changed, so that the change is told to others.
//   - Failover or a restarted master may have lost acknowledged writes:
//     OnTopologyChange says when to verify.
//
// # Metrics
//
// eshop_redis_calls_total, _errors_total and _seconds by op;
// eshop_redis_writes_total{op,outcome}; eshop_redis_reloads_total{reason};
// eshop_redis_fallbacks_total{reason}; eshop_redis_foreign_values_total;
// eshop_redis_ambiguous_writes_total; eshop_redis_topology_changes_total.
//
//	store.go      Store, New, Close, OnTopologyChange, Topology
//	config.go     Config, Deps, defaults
//	client.go     the settings of the two cluster clients
//	read.go       Get, GetMany
//	decode.go     from a stored value to a Document
//	write.go      Write, WriteMany
//	wire.go       Arguments, ParseOutcome: a write without its way to Redis
//	script.go     compare-and-set.lua
//	ambiguity.go  answers lost on the way
//	watch.go      errors that call for a reload of the slots
//	topology.go   changes of the slots and restarts of nodes
//	ping.go       Ping, PingWrites
//	describe.go   Describe: each node, as it is and as it sees the others
//	refused.go    which flag to look at when Redis refuses this client
//	metrics.go    the metrics
package rediscluster
