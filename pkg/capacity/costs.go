package capacity

import "time"

// Costs are what a unit of work takes of a machine, and what a server of others
// stands. They are what a plan depends on and a simulation cannot know; each says
// which benchmark gives it.
type Costs struct {
	// Of a gateway, in time of one core, with the kernel's part: what a load
	// generator on real sockets sees, not a handler called in a loop.
	Hit     time.Duration // a page in L1 (BenchmarkHit in roles/gateway is the handler's part)
	Forward time.Duration // a page of another gateway, at the one that got the request
	Answer  time.Duration // the same at the owner that has the page
	Build   time.Duration // render and compress a page of documents in memory (BenchmarkBring)
	Read    time.Duration // a document from Redis (BenchmarkMiss in roles, without Build and Hit)

	// Of the cache role.
	Call     time.Duration // an answer for a gateway, in time of one core
	Pull     time.Duration // lock, token, origin, compare-and-set: core time
	PullTime time.Duration // the same until it is done, 20 ms of which are the origin's
	Pullers  int           // background pulls of a process at once (refreshWorkers in roles/cache)

	// Of hotcount: a product in a record of counts, decoded and counted, in time of
	// one core (BenchmarkDecode in pkg/accesslog, BenchmarkAdd in pkg/window).
	Entry time.Duration

	AnswerBytes  int64   // of an answer on the wire, compressed, with its header
	Tokens       float64 // lock nodes a second that a ZooKeeper ensemble makes and deletes (BenchmarkLock in pkg/zookeeper)
	RedisReads   float64 // documents a second of one Redis server
	RedisBytes   int64   // memory of one
	RedisEntry   int64   // what Redis takes for a document beside its body
	BrokerSends  float64 // batches a second of one Kafka broker, copies included
	BrokerBytes  float64 // bytes a second of one, in and out, copies included
	BatchBytes   int64   // of a batch with one record, beside the record's entries
	EntryBytes   int64   // of a product in a record
	ChangesDaily float64 // changes of a product a day
}

// Assumed returns figures rounded from what the benchmarks showed with pages of
// 10 KiB on a virtual machine of a current server (two cores of 2.6 GHz): a hit took
// 8 to 10 us, a hop 23 to 34 at both gateways together, a miss that Redis answers
// 230, a cold read 450 at the gateway and 330 at the cache role. What one ZooKeeper,
// Redis or Kafka server stands is round on the safe side, and was not measured: it
// shared those cores.
func Assumed() Costs {
	return Costs{
		Hit: 10 * time.Microsecond, Forward: 20 * time.Microsecond, Answer: 14 * time.Microsecond,
		Build: 150 * time.Microsecond, Read: 35 * time.Microsecond,
		Call: 40 * time.Microsecond, Pull: 300 * time.Microsecond, PullTime: 30 * time.Millisecond, Pullers: 8,
		Entry:       100 * time.Nanosecond,
		AnswerBytes: 3000,
		Tokens:      5000, RedisReads: 100_000, RedisBytes: 16 << 30, RedisEntry: 200,
		BrokerSends: 30_000, BrokerBytes: 100e6, BatchBytes: 120, EntryBytes: 5, ChangesDaily: 1,
	}
}

// Machine is one machine of the fleet.
type Machine struct {
	Cores   float64
	Network float64 // bits a second
	// L1Bytes is what a gateway there is given, CacheBytes a cache process
	// (--gateway.l1-bytes, --cache.l1-bytes).
	L1Bytes, CacheBytes int64
	// Load is which part of a machine is used in the usual peak; the rest is for
	// what is not usual, and for the p99.
	Load float64
	// Spare is which part of the machines may be away without that.
	Spare float64
}

// Usual is a machine with 8 cores and 10 Gbit/s, half used, one in ten away.
func Usual() Machine {
	return Machine{Cores: 8, Network: 10e9, L1Bytes: 8 << 30, CacheBytes: 4 << 30, Load: 0.5, Spare: 0.1}
}
