// Package audit compares copies that a process serves from its heap with Redis
// and with the origin, all the time and at a bounded rate, and says how far the
// product is from what it promises. It finds; the rest of the product does not
// rely on it.
//
// # What counts as stale
//
// A copy that requests are answered with, unmarked, while the master of Redis
// holds a later document with other content, or the origin does. That happens to
// every changed document for the milliseconds until its invalidation arrives; the
// histogram eshop_staleness_seconds tells for how long:
//
//   - against="redis": since the later document was pulled, by the clock of who
//     pulled it. If there were several, since the latest: a lower bound.
//   - against="origin": since the version, where it is a time between the last
//     pull and now; else since the last pull, which is an upper bound.
//
// A later stamp over the same content is not stale. Neither is a copy that is
// marked when it is served, or that the bus ended while the auditor looked.
// A stale copy is ended at once, as the bus would have ended it.
//
// # What counts as a violation
//
// eshop_consistency_violations_total must stay 0:
//
//   - invariant="1": the master of a key holds an older copy than this auditor saw
//     there before: a lower stamp, with a token that is not higher and a pull that
//     is not later. It is still there a second later, the slots were asked for in
//     between, and the topology of Redis has not changed since half a minute
//     before the later copy was last seen.
//   - invariant="3": a copy below the floor of this process is served, unmarked, at
//     three looks, a second apart.
//
// No violation, but repaired and counted as such (eshop_redis_repairs_total with
// cause="audit"), is a master that holds less than a copy here: a failover or a
// restart may lose acknowledged writes. Nothing at all is a document that was
// evicted or deleted in Redis, or pulled anew after that: its token is higher.
// Negative entries are not looked at; they live for seconds.
//
// # Cost
//
// Config.Rate copies a second are drawn, each entry of the heap as likely as any
// other, and read from the masters in one round trip, with a quarter as many of
// those seen before. Every OriginShare-th is compared with the origin too. While
// Redis or the origin is away, so is the auditor, for up to half a minute.
//
//	audit.go     Config, Deps, Auditor, Run
//	judge.go     Copy, and what Redis says of one
//	step.go      one round: draw, read, judge, heal
//	origin.go    the comparison with the origin
//	sighting.go  what was seen on the masters; violations
//	metrics.go   metrics and status
package audit
