// Package coherence is the rules by which the copies of a document stay in step
// with the origin: plain functions without clock, lock or I/O. The gateway and
// the cache role decide by them, and so does the simulation of both.
//
//	bus.go     Bus: until when the bus vouches for copies (invariant 8)
//	admit.go   Admit, Outranks: which of two copies stays (invariants 1, 3)
//	pull.go    what a pull may write, who is told, and what it is worth unwritten (invariants 1, 2, 5)
package coherence
