package ring_test

import (
	"slices"
	"strings"
	"testing"

	"eshop/pkg/ring"
)

// Whatever the members, each hash has the owner that a search of all points
// from the hash on would find, which a shuffled ring confirms; Owners has each
// member once and begins with it; a bounded owner is under the bound.
func FuzzRing(f *testing.F) {
	f.Add("a,b,c", uint64(7), 3, int64(5))
	f.Add("", uint64(0), 0, int64(0))
	f.Add("same,same", uint64(1<<64-1), -3, int64(-1))
	f.Add(",,x", uint64(1)<<63, 1, int64(1)<<62)
	f.Fuzz(func(t *testing.T, ids string, hash uint64, points int, load int64) {
		if len(ids) > 200 || points > 64 {
			return
		}
		var in []ring.Member
		if ids != "" {
			for _, id := range strings.Split(ids, ",") {
				in = append(in, ring.Member{ID: id, Addr: "x" + id})
			}
		}
		r := ring.New(in, points)
		slices.Reverse(in)
		other := ring.New(in, points)
		owner, ok := r.Owner(hash)
		if ok != (len(in) > 0) {
			t.Fatalf("%d members, owner %v %v", len(in), owner, ok)
		}
		if again, _ := other.Owner(hash); again != owner {
			t.Fatalf("in another order the owner is %v, not %v", again, owner)
		}
		owners := r.Owners(hash, len(in))
		seen := map[string]bool{}
		for _, m := range owners {
			if seen[m.ID] {
				t.Fatalf("%v is twice among the owners %v", m, owners)
			}
			seen[m.ID] = true
		}
		if len(owners) != r.Len() || ok && owners[0] != owner {
			t.Fatalf("owners %v of %d members, the owner is %v", owners, r.Len(), owner)
		}
		if m, ok2 := r.OwnerBounded(hash, func(ring.Member) int64 { return load }, 1); ok2 != ok || ok && m != owner {
			t.Fatalf("under equal loads of %d the bounded owner is %v, the owner %v", load, m, owner)
		}
	})
}
