// Package admission decides what is worked on when there is more to do than can
// be done, so that memory and waiting times stay bounded and what is refused is
// refused at once, with a reason and a time to come back.
//
// A Gate stands in front of one dependency (a bulkhead): so many calls at once,
// so many that wait. Two gates share nothing: a dependency that hangs fills its
// own and no other's.
//
//	gate.go      Gate: slots, the bounded queue, who is next
//	queue.go     the waiting callers, a list
//	refused.go   Refused: reason and time to come back
//	metrics.go   what a gate tells Prometheus
package admission
