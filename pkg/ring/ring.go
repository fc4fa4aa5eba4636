package ring

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// DefaultVirtualNodes is the number of points of a member. The share of a
// member varies by about 1/sqrt(points): with 256, the fullest of 16 members
// holds less than 1.1 times the mean, and a ring of them takes 80 KiB.
const DefaultVirtualNodes = 256

// Member is one process on the ring. ID alone decides its points, so it keeps
// its keys when its address changes.
type Member struct{ ID, Addr string }

// Ring is an immutable set of members on the circle of 64-bit hashes. The zero
// Ring is empty. It is safe for concurrent use.
type Ring struct {
	members []Member // by ID
	points  []uint64 // sorted
	owners  []int32  // owners[i] is the index in members of points[i]
	// first[i] is the first point at or after i<<shift. The points spread
	// evenly, so the point a hash belongs to is in its slot or soon after: a
	// step or two instead of a dozen mispredicted ones of a binary search.
	first []int32
	shift uint
}

// New places members on a ring with virtualNodes points each (0: the default).
// Their order does not matter; of members with the same ID the one with the
// lowest address counts.
func New(members []Member, virtualNodes int) *Ring {
	if virtualNodes <= 0 {
		virtualNodes = DefaultVirtualNodes
	}
	r := &Ring{members: slices.Clone(members)}
	slices.SortFunc(r.members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Addr, b.Addr))
	})
	r.members = slices.CompactFunc(r.members, func(a, b Member) bool { return a.ID == b.ID })

	type point struct {
		at    uint64
		owner int32
	}
	points := make([]point, 0, len(r.members)*virtualNodes)
	for i, m := range r.members {
		seed := xxhash.Sum64String(m.ID)
		for v := range virtualNodes {
			// A member's points depend on nothing but its ID: the basis of minimal movement.
			points = append(points, point{mix(seed + uint64(v)*0x9e3779b97f4a7c15), int32(i)})
		}
	}
	// Two members' points on one spot are ordered by ID, so that all processes agree.
	slices.SortFunc(points, func(a, b point) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.owner, b.owner))
	})
	r.points, r.owners = make([]uint64, len(points)), make([]int32, len(points))
	for i, p := range points {
		r.points[i], r.owners[i] = p.at, p.owner
	}
	r.index()
	return r
}

// Members returns the members by ID.
func (r *Ring) Members() []Member { return slices.Clone(r.members) }

// Len returns the number of members.
func (r *Ring) Len() int { return len(r.members) }

// Owner returns the member of the first point at or after hash, and false if
// the ring is empty. It allocates nothing.
func (r *Ring) Owner(hash uint64) (Member, bool) {
	if len(r.points) == 0 {
		return Member{}, false
	}
	return r.members[r.owners[r.at(hash)]], true
}

// Owners returns the first n distinct members at or after hash in ring order,
// fewer if the ring has fewer. The first is the Owner.
func (r *Ring) Owners(hash uint64, n int) []Member {
	n = min(n, len(r.members))
	if n <= 0 {
		return nil
	}
	found := make([]int32, 0, n)
	out := make([]Member, 0, n)
	for i := r.at(hash); len(out) < n; i = r.next(i) { // ends: every member has a point
		if o := r.owners[i]; !slices.Contains(found, o) {
			found = append(found, o)
			out = append(out, r.members[o])
		}
	}
	return out
}

// at returns the index of the first point at or after hash, round the circle.
func (r *Ring) at(hash uint64) int {
	i := int(r.first[hash>>r.shift])
	for i < len(r.points) && r.points[i] < hash {
		i++
	}
	if i == len(r.points) {
		return 0
	}
	return i
}

// index fills first, one slot for each point on the mean.
func (r *Ring) index() {
	size := bits.Len(uint(len(r.points)))
	r.shift = uint(64 - size)
	r.first = make([]int32, 1<<size)
	p := 0
	for i := range r.first {
		for p < len(r.points) && r.points[p] < uint64(i)<<r.shift {
			p++
		}
		r.first[i] = int32(p)
	}
}

func (r *Ring) next(i int) int {
	if i++; i < len(r.points) {
		return i
	}
	return 0
}
