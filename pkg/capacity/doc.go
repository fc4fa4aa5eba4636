// Package capacity says what a fleet does with a load, and which fleet a load
// takes: it simulates a thousand gateways, a hundred million products and ten
// million requests a second on one core in minutes. It serves tests, and whoever
// has to buy machines. (Package simulation is another thing: it looks for
// interleavings that break a promise.)
//
//	ESHOP_LONG=1 go test ./pkg/capacity -run 'Fleet|Plans' -v -timeout 1h
//
// prints both tables of the README. The same tests without the variable play a
// small fleet in seconds.
//
// # What decides
//
// The production code: ring says who owns a product, with the virtual nodes of the
// roles; accesslog.Partition which partition counts it; window, with hotlist's
// rule and the memory of hotcount, what is hot; lru, with the budgets of the two
// roles, what is in memory. A copy's soft TTL, the refresh in the background, the
// age at which the cache role pulls again follow the roles' rules, which are
// written down here once more because no package may import a role.
//
// # How a fleet fits on one core
//
// Nothing is scaled where it can be had whole:
//
//   - Requests for each product come independently of the others, so those of one
//     gateway are a stream of their own: its own products at their full rates, and
//     the hot ones at its part of theirs. A few gateways are played whole, with
//     every product and every byte; the others are like them.
//   - The load of the owners is the sum of the shares of all products on the ring,
//     each looked up. It is the mean load: what chance adds within one second, about
//     1/sqrt(requests), is left out.
//   - Hotcount counts every request of the whole stream, which is drawn exactly
//     (zipf.go), product by product, for a window and two seconds.
//
// What is too much even so is thinned out: one process of the cache role, and the
// gateways of plans, see one of 2^k of their products, chosen by a hash, in a
// memory that is as much smaller (SHARDS, see newGateway). Misses are counted, not
// hits: they belong to many products, each a small part, so a sample tells their
// number well; whether the few at the top are in it matters to the hits alone.
//
// # What is left out
//
//   - Pages have one form and one size, documents one size. A page shows a product and
//     its shop. Nobody asks for what does not exist.
//   - The popularity of products does not shift but where a surge does. A cache that
//     adapts has nothing to adapt to.
//   - Requests that wait for one load or one hop share it in the product. Here
//     everything is instant, which has the same number of misses and more hops.
//   - Changes: a change ends the copies of one product, which at a change a day
//     and product costs less than a hit in 10,000. Plans count its messages.
//   - The time that records, lists and membership take on their way through Kafka
//     and ZooKeeper. The time until a product is hot is that of hotcount's rule, from
//     the first request to the end of the sweep that had enough of them.
//   - A lost gateway is gone from all rings at once.
//   - Queues and bounds: what a background queue drops, admission refuses.
//   - In Redis is what has been asked for within its TTL: it is large enough and
//     loses nothing, and requests are a Poisson process. So the cache role hears of
//     documents that have grown old, hardly ever of any that are missing; its memory
//     is for the day on which Redis is away, and its hit ratio here says little.
//   - A window chooses its own seed, so where it is short of memory, two runs may
//     differ in the last of the hot products. All else is a function of the seed.
//
// # Files
//
//	fleet.go     Fleet: what is simulated; numbered rings
//	zipf.go      Zipf: which product is asked for; alias.go the same for any weights
//	survey.go    every product's owner before and after a change; Balance
//	hot.go       hotcount: what is hot, and how soon
//	gateway.go   one gateway's memory and its requests
//	cache.go     one process of the cache role; readrate.go how often it is told
//	levels.go    Levels: where requests are answered in steady traffic
//	simulate.go  Simulate: all of it, the loss of gateways, a new one, a surge
//	costs.go     Costs, Machine: what plans reckon with
//	plan.go      Plan: machines of each role for a load
//	table.go     both as Markdown
package capacity
