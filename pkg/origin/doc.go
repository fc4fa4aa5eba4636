// Package origin reads documents from the shop's own services over HTTP.
//
// Each pull has a deadline and goes through a bulkhead (so many requests at
// once, so many waiting) and a breaker (after too many failures nothing is sent
// for a while, then a few probes), and past whoever may hold a kind back. Concurrent pulls of one kind that has a
// batch form are collapsed into one request.
//
// A pull reads the origin after it was called, never before: it may join a
// request that waits to be sent, but none that was sent. Callers rely on it
// when they take a fencing token first and pull then.
//
//	config.go   Config, its defaults and checks
//	client.go   Client: Pull, Close
//	many.go     PullMany
//	batch.go    the window in which concurrent pulls are collapsed
//	probe.go    Probe, ProbeBatch: a look past all of these
//	fetch.go    one or several documents by one request
//	guard.go    bulkhead and breaker
//	http.go     the HTTP exchange: deadline, size limit, redirects
//	answer.go   what counts as a document
//	errors.go   typed errors
//	limits.go   what of Config can be changed, and with it
//	metrics.go  metrics
package origin
