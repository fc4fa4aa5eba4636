package window

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Every count is in the bucket that begins at or below it, and buckets do not
// overlap; above 128 they are at most 1/64 wide.
func TestBuckets(t *testing.T) {
	for b := 1; b < buckets; b++ {
		low := floorOf(b)
		if bucketOf(low) != b || bucketOf(low-1) != b-1 {
			t.Fatalf("bucket %d begins at %d, which is in %d, the one before in %d", b, low, bucketOf(low), bucketOf(low-1))
		}
		high := uint64(MaxCount) + 1
		if b+1 < buckets {
			high = uint64(floorOf(b + 1))
		}
		if width := high - uint64(low); low < linear && width != 1 || width > max(uint64(low)/perStep, 1) {
			t.Fatalf("bucket %d begins at %d and is %d wide", b, low, width)
		}
	}
	if got := bucketOf(MaxCount); got != buckets-1 {
		t.Errorf("the highest count is in bucket %d of %d", got, buckets)
	}
}

// The estimate is within 4 standard errors, for ids in order too, and after turns
// it is that of the span and a twentieth.
func TestCardinality(t *testing.T) {
	const m, slices = 4096, 100
	table := newTable(minEntries, 12345)
	for _, n := range []int64{1, 10, 100, 1000, 10_000, 100_000, 1_000_000} {
		c := newCardinality(m, slices)
		for i := range n {
			c.turn(1000 + i*slices/n) // all within a span
			c.add(table.hash(i))
			c.add(table.hash(i))
		}
		if got := c.estimate(); math.Abs(float64(got-n)) > 0.5+4*1.04/math.Sqrt(m)*float64(n) {
			t.Errorf("%d keys: estimated %d", n, got)
		}
		c.turn(1000 + slices + slices/2)
		if got := c.estimate(); math.Abs(float64(got)-float64(n)/2) > 1+0.1*float64(n) {
			t.Errorf("half a span later: estimated %d of %d", got, n/2)
		}
		c.turn(1000 + 2*slices + slices/parts)
		if got := c.estimate(); got != 0 || !c.empty {
			t.Errorf("a span later: estimated %d", got)
		}
	}
}

// An estimate is never below what the sketch was given in the current and the
// last half of a span, and of a key that it was not given it is small.
func TestSketch(t *testing.T) {
	const slices = 100
	rnd := rand.New(rand.NewPCG(3, 4))
	s := newSketch(1000, slices) // 16,000 cells
	truth := map[uint64][2]uint64{}
	for number := int64(50); number < 1000; number++ {
		if number%(slices/2) == 0 {
			for hash, n := range truth {
				if truth[hash] = [2]uint64{n[1], 0}; n[1] == 0 {
					delete(truth, hash)
				}
			}
		}
		s.turn(number)
		for range 200 {
			hash := rnd.Uint64N(1<<13) * 0x9e3779b97f4a7c15
			n := uint32(1 + rnd.IntN(2))
			if rnd.IntN(1000) == 0 {
				n = 100_000
			}
			s.add(hash, n)
			t := truth[hash]
			truth[hash] = [2]uint64{t[0], min(t[1]+uint64(n), cellMax)}
		}
	}
	for hash, n := range truth {
		if got := s.estimate(hash); got < n[0]+n[1] {
			t.Fatalf("estimate %d of a key with %d and %d", got, n[0], n[1])
		}
	}
	high := 0
	for range 1000 {
		if s.estimate(rnd.Uint64()) > 100 {
			high++
		}
	}
	if high > 100 {
		t.Errorf("of 1,000 keys that never were %d are estimated above 100", high)
	}
	s.turn(1000 + 2*slices)
	for _, cell := range s.cells {
		if cell != 0 {
			t.Fatal("a span later the sketch is not empty")
		}
	}
}
