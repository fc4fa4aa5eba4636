package gateway

import "time"

// near estimates how often a product was asked for here within about the window
// of the hot rule: a count for each of 2^nearBits values of a hash, halved every
// nearHalf, so that a steady product's is between half a window's hits and a
// whole window's. Products that share a cell are overestimated: that costs a record
// more, or, beside a very hot one, has a product told of once in a slice only.
type near struct {
	cells  []uint32
	halved int64 // when, in units of nearHalf
}

const (
	nearBits = 17 // of the number of cells; 512 KiB
	nearHalf = 5 * time.Second
)

func (n *near) init() { n.cells = make([]uint32, 1<<nearBits) }

// age halves the counts when it is time.
func (n *near) age(now time.Time) {
	at := now.UnixNano() / int64(nearHalf)
	by := at - n.halved
	n.halved = at
	if by <= 0 { // a clock that went back begins anew
		return
	}
	for i, c := range n.cells {
		n.cells[i] = c >> min(by, 31)
	}
}

// add counts hits of a product and returns how many it has had lately.
func (n *near) add(id, hits int64) int64 {
	c := &n.cells[uint64(id)*0x9e3779b97f4a7c15>>(64-nearBits)]
	sum := min(int64(*c)+hits, 1<<31)
	*c = uint32(sum)
	return sum
}

// minNear is where the range below begins at least: what is told at once costs the
// brokers a record. With more than a hundred gateways that share a product's
// requests evenly none of them counts so many before it is hot, and it is found up to a slice later.
const minNear = 2

// nearRange is the range of recent hits here, of a product that is not hot, in
// which hotcount has to hear of each further one at once.
//
// Below it, all gateways together have withheld less than a quarter of the floor
// when traffic is even, and what is withheld comes a sweep after the end of its slice in any case. At
// twice the floor, here alone, hotcount has been told enough: the product is not
// hot because the rule's factor demands more than the floor, or it is banned. It
// may then be found hot a slice later than it could be.
func nearRange(floor int64, gateways int) (from, to int64) {
	const withheld, enough = 4, 2
	from = max(minNear, floor/(withheld*int64(gateways)))
	return from, max(from+1, enough*floor)
}

// A product is heating when its hits of one sweep are at least minHeat and more than
// a heatShare-th of what it has had lately: of a steady one they are a five hundredth
// to a 250th. minHeat keeps chance out: of one hit in a while nothing follows.
const (
	minHeat   = 3
	heatShare = 32
)

// heating reports whether a product with so many recent hits, n of them since the
// last sweep, may be about to cross a threshold. A steady one stays on the side where
// it is, and with a long tail there is always one whose count is in the range; when
// it does cross, or when many gateways share a product's requests so evenly that none
// sees minHeat of them in a sweep, hotcount hears of it with the slice.
func heating(recent, n int64) bool { return n >= minHeat && n*heatShare >= recent }
