// Package lru is the in-process cache tier: bounded by bytes, with an expiry for
// each entry, and a replacement policy that adapts to what it is asked.
//
// It is in shards, one mutex each for those who change it; a hit takes none. It
// has no goroutine: an expired entry is dropped when it is asked for or when it
// is next to go and room is needed, so there is nothing to stop.
//
// # Policy
//
// An entry comes into a window, then into a main part that is a segmented LRU
// (Karedla, Love, Wherry, 1994), or leaves: a window before a frequency filter is
// W-TinyLFU (Einziger, Friedman, Manes, "TinyLFU", ACM TOS 2017), a window before
// what was used twice is 2Q (Johnson, Shasha, VLDB 1994). Both are one mechanism
// here; a plan says how large the window is and who may pass. An entry of many bytes
// meets its victims one by one, as in "Lightweight Robust Size Aware Cache
// Management" (Einziger, Eytan, Friedman, Manes, ACM TOS 2022). How often those were
// used that left is in a table of fingerprints. A hit only marks an entry; who decides
// what leaves meets the marks, as in CLOCK.
//
// The entries that have proved themselves, the protected ones, are in a list of
// hashicorp/golang-lru. Window and probation, which everything passes through, are
// queues linked through the entries: with a list of the library for each of the
// three, whose maps have to be changed at each step, a get and a put took 207 ns and
// not 130 (BenchmarkRivals, mixed, two goroutines; otter 130).
//
// No plan is best for every workload, so a cache plays what happens to a sample of
// its keys to a miniature of itself for each plan, and follows the one that hits
// most: "Cache Modeling and Optimization using Miniature Simulations" (Waldspurger,
// Saemundsson, Ahmad, Park, USENIX ATC 2017). Nothing is to be tuned.
//
// What was put is always stored unless it is too large, and is there for the next
// use: the policy decides over it later.
//
//	cache.go     Cache: Get, Put, Remove, Purge, Range
//	sample.go    Sample: entries drawn at random
//	shard.go     one shard: accounting under its lock
//	segments.go  the policy: what leaves, under a plan
//	tuner.go     the plans, and the choice between them
//	queue.go     the lists that everything passes through
//	index.go     finds entries without a lock
//	ghosts.go    how often those were used that left
//	reason.go    why an entry left
//	resize.go    another size while it is in use
//	metrics.go   what Prometheus sees of one or several
package lru
