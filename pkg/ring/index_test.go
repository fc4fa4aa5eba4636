package ring

import (
	"fmt"
	"sort"
	"testing"
)

// A lookup finds what a binary search of all points finds, for hashes on, just
// before and just after each point and slot.
func TestLookupIsTheFirstPointAtOrAfter(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10} {
		for _, virtual := range []int{1, 2, 3, 256} {
			var all []Member
			for i := range n {
				all = append(all, Member{ID: fmt.Sprint("m", i)})
			}
			r := New(all, virtual)
			near := []uint64{0, 1 << 63, 1<<64 - 1}
			near = append(near, r.points...)
			for i := range r.first {
				near = append(near, uint64(i)<<r.shift)
			}
			for _, at := range near {
				for _, h := range []uint64{at - 1, at, at + 1} {
					want := sort.Search(len(r.points), func(i int) bool { return r.points[i] >= h }) % len(r.points)
					if got := r.at(h); got != want {
						t.Fatalf("%d members of %d points, hash %#x: got point %d, want %d", n, virtual, h, got, want)
					}
				}
			}
		}
	}
}
