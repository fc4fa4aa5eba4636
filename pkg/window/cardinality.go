package window

import (
	"math"
	"math/bits"
)

// parts is how many HyperLogLogs make a window; one more is being filled.
const parts = 20

// cardinality estimates the distinct keys of the tail in the window and up to a
// twentieth of a span before it: a ring of HyperLogLogs of a twentieth each, and their
// union, which follows each add, so that an estimate costs some hundred ns.
type cardinality struct {
	registers []uint8 // parts+1 times m
	union     []uint8
	filled    [parts + 1]bool
	empty     bool    // all parts are
	values    [66]int // how many registers of the union have each value
	m         int     // registers, a power of two
	bits      uint    // 1<<bits == m
	length    int64   // slices of a part
	part      int64   // number of the current part
}

func newCardinality(m int, slices int64) cardinality {
	c := cardinality{
		registers: make([]uint8, (parts+1)*m), union: make([]uint8, m), empty: true,
		m: m, bits: uint(bits.TrailingZeros(uint(m))), length: (slices + parts - 1) / parts,
	}
	c.values[0] = m
	return c
}

// add tells of a key.
func (c *cardinality) add(hash uint64) {
	at := int(c.part % (parts + 1))
	c.filled[at], c.empty = true, false
	i := int(hash) & (c.m - 1)
	value := uint8(bits.LeadingZeros64(hash|uint64(c.m-1)) + 1) // 1 to 65-bits
	if r := &c.registers[at*c.m+i]; *r < value {
		*r = value
	}
	if old := c.union[i]; old < value {
		c.union[i] = value
		c.values[old]--
		c.values[value]++
	}
}

// turn goes to the part of a slice and forgets those older than a span.
func (c *cardinality) turn(number int64) {
	part := number / c.length
	if part == c.part {
		return
	}
	for i := max(c.part+1, part-parts); i <= part; i++ {
		if at := int(i % (parts + 1)); c.filled[at] {
			c.filled[at] = false
			clear(c.registers[at*c.m:][:c.m])
		}
	}
	c.part = part
	if !c.empty {
		c.unite()
	}
}

func (c *cardinality) unite() {
	clear(c.union)
	c.empty = true
	for at, filled := range c.filled {
		if !filled {
			continue
		}
		c.empty = false
		for i, r := range c.registers[at*c.m:][:c.m] {
			c.union[i] = max(c.union[i], r)
		}
	}
	clear(c.values[:])
	for _, r := range c.union {
		c.values[r]++
	}
}

// estimate is Ertl's improved estimator (arXiv:1702.01284, algorithm 6), which
// needs no correction for small or large numbers.
func (c *cardinality) estimate() int64 {
	m, last := float64(c.m), 65-c.bits
	if c.values[0] == c.m {
		return 0
	}
	z := m * tau(1-float64(c.values[last])/m)
	for k := last - 1; k >= 1; k-- {
		z = (z + float64(c.values[k])) / 2
	}
	z += m * sigma(float64(c.values[0])/m)
	return int64(math.Round(m * m / (2 * math.Ln2 * z)))
}

func sigma(x float64) float64 {
	z := x
	for y := 1.0; ; y *= 2 {
		x *= x
		before := z
		if z += x * y; z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	z := 1 - x
	for y := 1.0; ; {
		x = math.Sqrt(x)
		before := z
		y /= 2
		if z -= (1 - x) * (1 - x) * y; z == before {
			return z / 3
		}
	}
}
