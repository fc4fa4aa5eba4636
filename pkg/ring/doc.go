// Package ring maps keys to members by consistent hashing: when a member comes
// or goes, only the keys it gains or loses move.
//
//	ring.go     Ring: Owner and Owners
//	bounded.go  OwnerBounded: consistent hashing with bounded loads
//	hash.go     Hash: the position of a document
package ring
