// Package coalesce lets many callers that want the same thing at the same time
// share one load of it.
//
// A load belongs to nobody: it runs on its own goroutine, on a context that is
// detached from every caller and has its own deadline. So a first caller that
// goes away or whose load panics harms nobody, and each caller waits only as
// long as its own context allows. Waiters are woken by the result; nothing
// polls. Everything is bounded: callers per key, callers in all, running loads.
// Keys that are wanted together are loaded together (DoMany), without anybody who
// wants one of them having to wait for the rest.
//
//	group.go    Group: joining, waiting, running
//	errors.go   ErrOverloaded, PanicError, ErrExited
package coalesce
