// Package simulation runs the protocol that keeps copies fresh, and the counting
// of the access log, in a world where everything that can go wrong does, and
// checks the invariants of the design after each step. It serves tests only.
//
// What decides is the production code: catalog (stamps, messages), the text of
// rediscluster's compare-and-set.lua on a small store, invalidation (Floor,
// Receiver), coherence (what may replace, be shown, be written), zookeeper (the
// queue of a lock, the term of a session), accesslog and window. What is modelled
// is the order of steps in the two roles, and the servers.
//
// # A schedule
//
// One seed is one schedule. Nothing runs at the same time: a process's work is a
// coroutine that stops before each step, and chance says who goes on. There is no
// wall clock, and two runs of a seed are the same to the letter.
//
// Two cache processes, two gateways, three documents (one without a version), two
// partitions of each topic. The steps:
//
//	change   take a message; make a lock node (its zxid is the token); wait for the lock, in vain
//	         too; ask the origin; hear from it; write into Redis; end the own copies; look at the
//	         floor again; give the lock back; announce on the bus; commit
//	load     heap; read Redis, from the master if the replica is below the floor; lock and pull as
//	         above if that is, or if there is nothing; without ZooKeeper or Redis: a provisional copy
//	request  look into L1; ask a peer, or read Redis and then the cache role; make the copy the
//	         newest; look at the floor again; put it into L1; show it
//	bus      read a record; raise the floor; end the copies that it outdates
//	others   heartbeats on the bus and to ZooKeeper; after a failover, compare Redis with the floor
//
// The adversary may, between any two steps: crash and restart a process, stop it
// and let it go on much later, cut it off from Kafka or ZooKeeper, let clocks
// differ by 2 s either way, take Redis, Kafka, ZooKeeper or the origin away, fail
// over to a replica that has not applied acknowledged writes, keep replicas behind
// (20 s at most), evict keys, lose the answer of a write or of an announcement,
// send a change message twice, late or in another order, mix in malformed ones,
// move the partitions, cut the beginning off the bus. The shop may delete, create
// anew, and go back on purpose (force). A session that has been silent for its
// timeout expires, while its holder may go on and write.
//
// # What is checked
//
//	1   no write makes a stamp in Redis go down
//	2   when all is quiet again, Redis, each heap and each L1 have what the origin has
//	3   nothing below what the bus has told a process is put into its memory or shown unmarked
//	4   a change is committed after the bus has told of it, or it is a dead letter; at the end all are
//	5   no copy anywhere that the origin never had, none in Redis without a token
//	7   of two pulls of a key at the same time, one at most was granted the lock
//	8   nothing is shown unmarked that was out of date on the bus for longer than bound when the
//	    request came. A write that a failover lost does not count until it is restored.
//	11  the counts of a window are those of the log, after any move
//
// Not modelled: pages of several documents, soft and hard limits of age, plain
// strings of the replaced system, an origin that answers from a lagging copy, a
// Redis master that goes on beside its successor, an unclean election of Kafka.
//
//	simulation.go  Runner, Config, the world and its times
//	choice.go      chance: a seed, or a fuzzer's bytes
//	task.go        processes, their steps, crashes
//	adversary.go   what goes wrong
//	calm.go        the end of a schedule
//	check.go       the invariants
//	trace.go       a schedule in words, and what was met in it
//	origin.go      the shop
//	redis.go       master and replica; store.go their memory, script.go the script on it
//	zookeeper.go   sessions, locks, tokens
//	kafka.go       the topics and the group of the change feed
//	bus.go         reading and writing the invalidation topic
//	cache.go       a cache process: its memory and locks; fill.go reads, change.go changes
//	gateway.go     a gateway
//	counting.go    the access log
package simulation
