// Package admission decides what is worked on when there is more to do than can
// be done, so that memory and waiting times stay bounded and what is refused is
// refused at once, with a reason and a time to come back.
//
// A Gate stands in front of one dependency (a bulkhead): so many calls at once,
// so many that wait. Two gates share nothing: a dependency that hangs fills its
// own and no other's. The rest bounds what one client can take of a process, and
// tells when memory is short.
//
//	gate.go      Gate: slots, the bounded queue, who is next
//	queue.go     the waiting callers, a list
//	refused.go   Refused: reason and time to come back
//	metrics.go   what a gate tells Prometheus
//	client.go    who a client is, behind proxies that are trusted
//	rates.go     Rates: what each client address may spend
//	listener.go  Limit: connections in all and from each address
//	memory.go    Memory: whether the heap nears GOMEMLIMIT
package admission
