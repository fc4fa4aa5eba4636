package ring

import "github.com/cespare/xxhash/v2"

// Hash returns the position of a document on the ring. It allocates nothing.
// Every process of a fleet must agree on it, so it never changes.
func Hash(kind string, id int64) uint64 {
	return mix(xxhash.Sum64String(kind) + uint64(id)*0x9e3779b97f4a7c15)
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood 2014): a bijection
// that lets every input bit change about half of the output bits.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
