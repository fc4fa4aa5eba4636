// Package lru is the in-process cache tier: least recently used first out,
// bounded by bytes, with an expiry for each entry.
//
// It is hashicorp/golang-lru's simplelru in shards, one mutex each. It has no
// goroutine: an expired entry is dropped when it is asked for or when it is the
// oldest and room is needed, so there is nothing to stop.
//
//	cache.go    Cache: Get, Put, Remove, Purge, Range
//	sample.go   Sample: entries drawn at random
//	shard.go    one shard: accounting and eviction under its lock
//	reason.go   why an entry left
package lru
