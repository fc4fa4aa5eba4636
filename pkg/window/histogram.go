package window

import "math/bits"

const (
	linear  = 128 // counts below it have a bucket each
	perStep = 64  // buckets a doubling from there on
	buckets = linear + perStep*(32-7)
)

// histogram holds how many entries have which count. Bucket 0 means nothing: it
// is where entries come from and go to.
type histogram [buckets]struct {
	sum   uint64
	count uint32
}

func bucketOf(count uint32) int {
	if count < linear {
		return int(count)
	}
	step := bits.Len32(count) - 7 // from 1: the lowest bits that do not matter
	return linear + (step-1)*perStep + int(count>>step) - perStep
}

// floorOf returns the lowest count of a bucket.
func floorOf(bucket int) uint32 {
	if bucket < linear {
		return uint32(bucket)
	}
	step, rest := (bucket-linear)/perStep, (bucket-linear)%perStep
	return uint32(perStep+rest) << (step + 1)
}

// move tells of an entry whose count changed.
func (h *histogram) move(from, to uint32) {
	a, b := bucketOf(from), bucketOf(to)
	if a != b {
		h[a].count--
		h[a].sum -= uint64(from)
		h[b].count++
		h[b].sum += uint64(to)
		return
	}
	h[a].sum += uint64(to) - uint64(from)
}

// lowest returns the sum of the k lowest counts: exact, but for the last bucket
// if it is wider than one and taken in part, of which each counts as its mean.
func (h *histogram) lowest(k int64) float64 {
	var sum uint64
	for b := 1; b < buckets && k > 0; b++ {
		n := int64(h[b].count)
		if n > k {
			return float64(sum) + float64(h[b].sum)*float64(k)/float64(n)
		}
		sum += h[b].sum
		k -= n
	}
	return float64(sum)
}

// cutoff returns the lowest count of a bucket such that at least n entries, or
// all, are at or above it.
func (h *histogram) cutoff(n int64) uint32 {
	b := buckets - 1
	for ; b > 1 && n > int64(h[b].count); b-- {
		n -= int64(h[b].count)
	}
	return floorOf(b)
}
