package ring

import "math"

// OwnerBounded returns the first member at or after hash whose load leaves room
// for one more under the bound ceil(factor × (total load + 1) / members), and
// false if the ring is empty (Mirrokni, Thorup, Zadimoghaddam: "Consistent
// Hashing with Bounded Loads", 2018). load returns the current load of a
// member, in any unit of one request each; it is asked once for each member. A
// factor below 1 counts as 1; +Inf makes it Owner.
//
// There always is such a member: were all at or over the bound, the total would
// be at least the total plus one.
func (r *Ring) OwnerBounded(hash uint64, load func(Member) int64, factor float64) (Member, bool) {
	if len(r.points) == 0 {
		return Member{}, false
	}
	if !(factor >= 1) { // NaN too
		factor = 1
	}
	var few [64]int64 // keeps the usual ring off the heap
	loads := few[:0]
	if len(r.members) > len(few) {
		loads = make([]int64, 0, len(r.members))
	}
	total := 0.0
	for _, m := range r.members {
		// One snapshot: loads that change during the walk could leave nobody under the bound.
		n := max(0, load(m))
		loads = append(loads, n)
		total += float64(n)
	}
	bound := math.Ceil(factor * (total + 1) / float64(len(loads)))
	first := r.at(hash)
	for i := first; ; {
		o := r.owners[i]
		if float64(loads[o]) < bound {
			return r.members[o], true
		}
		if i = r.next(i); i == first { // only beyond 2^53, where floats round
			return r.members[r.owners[first]], true
		}
	}
}
