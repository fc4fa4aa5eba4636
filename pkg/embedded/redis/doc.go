// Package redis is the Redis server that `eshop all` starts in its own process
// when no address of a real cluster is given: miniredis, made to look like a
// cluster of one node and kept within bounds (PITFALL 35).
//
// What it adds to miniredis:
//
//   - Keys expire. miniredis keeps time only when it is told to; a ticker moves
//     its clock once a second, so a key lives up to a second too long. A tick
//     walks every key; when one takes longer than 1/50 s the next is put off to
//     50 times its duration, so expiry never uses more than 2 % of the time.
//   - It is bounded like a Redis with maxmemory and maxmemory-policy allkeys-lru:
//     before a command that may add data, the keys used longest ago are deleted
//     until the estimate is within MaxKeys and MaxBytes. So the bound is overrun
//     by no more than the commands under way. A single request of more than
//     MaxBytes is refused with -OOM. Connections are bounded by MaxClients.
//   - It speaks cluster: CLUSTER SLOTS, SHARDS, NODES, INFO, KEYSLOT and the
//     rest that clients and redis-cli ask for; READONLY, READWRITE, ASKING;
//     -CROSSSLOT for a command or a transaction over two slots; database 0 only.
//   - With a DataDir it keeps its data: a snapshot written to a temporary file
//     and renamed, every SnapshotEvery when something was written, and at Close.
//     Like RDB it keeps absolute expiry times, and what was written after the
//     last snapshot is lost if the process is killed. Strings, hashes, lists,
//     sets and sorted sets are kept; streams and HyperLogLogs are not.
//
// Known limits: it is one lock, Lua included (figures in bench_test.go); a few
// dozen bytes for each distinct key name ever used stay allocated after the key
// is gone, because miniredis keeps a version for WATCH; BLPOP and its kin,
// FCALL, SSUBSCRIBE and modules are as miniredis has them.
//
//	server.go    Config, Start, Close, the ticker
//	guard.go     what happens before and after each command
//	keys.go      which arguments of a command are keys; the slot of a key
//	usage.go     the estimate of what is held, and which key was used longest ago
//	cluster.go   CLUSTER and INFO
//	snapshot.go  writing and reading the data directory; lock_unix.go, lock_other.go keep others from it
package redis
