package lru

import "math/bits"

// ghosts remembers how often keys that left had been used: a table of
// fingerprints, two places for each key. Whoever finds both taken takes that of
// the lesser count, so it forgets what matters least. A key may be taken for
// another with the same fingerprint, once in 32,768 lookups of a key that is not
// there: a count is wrong then, and nothing else.
type ghosts struct {
	slots []ghost // a power of two, or none
}

type ghost struct {
	print       uint16
	freq, epoch uint8
}

// ghostsPerEntry is how many places there are at least for each entry.
const ghostsPerEntry = 4

// grow makes room for the ghosts of a number of entries. The place of a key in
// the larger table is one of those that a copy of the smaller one fills.
func (g *ghosts) grow(entries int) {
	if entries*ghostsPerEntry > len(g.slots) {
		size := max(64, 1<<bits.Len(uint(entries*ghostsPerEntry-1)))
		grown := make([]ghost, 0, size)
		for len(grown) < size {
			grown = append(grown, g.slots[:min(len(g.slots), size-len(grown))]...)
			if len(g.slots) == 0 {
				grown = grown[:size]
			}
		}
		g.slots = grown
	}
}

// odd makes a fingerprint of all of a hash: its first bits are those of the shard.
const odd = 0x9e3779b97f4a7c15

func (g *ghosts) places(hash uint64) (a, b *ghost, print uint16) {
	mask := uint64(len(g.slots) - 1)
	return &g.slots[hash&mask], &g.slots[hash>>24&mask], uint16(hash*odd>>48) | 1
}

// recall returns the count of a key, 0 for one that is not remembered.
func (g *ghosts) recall(hash uint64, epoch uint8) uint8 {
	if len(g.slots) == 0 {
		return 0
	}
	a, b, print := g.places(hash)
	switch print {
	case a.print:
		return aged(a.freq, a.epoch, epoch)
	case b.print:
		return aged(b.freq, b.epoch, epoch)
	}
	return 0
}

// remember sets the count of a key.
func (g *ghosts) remember(hash uint64, freq, epoch uint8) {
	a, b, print := g.places(hash)
	if b.print == print || a.print != print && aged(b.freq, b.epoch, epoch) < aged(a.freq, a.epoch, epoch) {
		a = b
	}
	*a = ghost{print, freq, epoch}
}

// mix spreads a hash that is good in some of its bits only (or is the id itself)
// over all of them: the finalizer of MurmurHash3. Not pkg/ring's, by which a
// configured hash may have been made: the two would not be independent.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
