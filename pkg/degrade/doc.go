// Package degrade is the contract of the switches by which an operator makes the
// fleet do less for some kinds of documents: the nodes' form, who may write
// them, how they are read, and the admin API for them.
//
// # Modes
//
// no-origin: nothing of the kind is pulled from the origin; for a shop whose
// services must be left alone. The cache role holds to it.
//
//   - What is in L1, in Redis or in the cache role's heap is served as it is, by
//     its own time and by the floor as ever: marked stale where it would be.
//   - What has no copy is 503 with Retry-After; as a related document it is
//     missing, and such a page is partial and kept nowhere (invariant 5).
//   - Changes wait: their messages are neither committed nor dropped (invariant
//     4). So nobody hears of them, and what is served may be older than they are:
//     every page that shows the kind says so.
//   - Background refreshes and prewarms of the kind wait.
//
// stale-only: gateways answer from memory, theirs and that of the gateway that
// owns the page; for a Redis or a cache role in trouble. The gateways hold to it.
//
//   - What is in L1 is served whatever its age, up to the hard limit after which L1
//     has nothing, and no copy is refreshed or checked, after a loss on the bus
//     either.
//   - Neither Redis nor the cache role is asked: what is not in memory is 503 with
//     Retry-After, or missing from a page that is partial and kept nowhere. A Redis
//     in trouble is not helped by the reads of those who would be glad of a slow
//     answer.
//   - Changes go on: they are few, and Redis is up to date when the switch ends.
//     A copy that is older than an announced change is served, marked stale, as
//     it is today when nothing better can be had (invariant 3 forbids it
//     unmarked); one that was deleted or purged is never served.
//   - Prewarms of the kind wait, for they are load on Redis; reads do not reach the
//     cache role, so it refreshes nothing.
//
// Both may hold for a kind at once. A page carries the modes of every kind that
// its type shows, as "degraded=<modes>" in the detail of the gateway's member in
// Cache-Status, on hits too and on 503: no page that a switch may have made old is
// unmarked.
//
// When a switch ends, by hand or by its time, everything goes on by itself:
// waiting changes at once, pages that were due with their next request (within a
// second where one has just failed), hot products and prewarms within five
// seconds.
//
// # Nodes below the root
//
//	degrade/<kind>.<mode>   a JSON object: by, since and until (unix ms)
//
// The kind * is every kind. At most 256 nodes count, of at most 4 KiB each; one
// that cannot be read is named in the log once, and left out. Any process with
// access to ZooKeeper may write; the last one stands.
//
// # Time
//
// Every switch has an end, at most 24 hours from its beginning. Each process ends
// it by its own clock and never waits for the node to go; a process that is late
// with its clock ends it when its length has passed since it first saw it. One
// whose clock is ahead by more than the switch's length takes no notice of it. A
// node is deleted by whoever sees it an hour after its end; it may also be
// written over.
//
// While ZooKeeper is away, the switches last known stand until their end, and
// none can be set or cleared. A process that starts then knows of none.
//
// # Files
//
//	switch.go   Modes, Switch, their limits and their form
//	client.go   Set and Clear; reading the nodes, each problem once
//	state.go    what is in effect in this process; following the nodes
//	admin.go    /api/degrade, and what status and explain tell
//	metrics.go  the gauge
package degrade
