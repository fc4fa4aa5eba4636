package ring_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"eshop/pkg/ring"
)

func members(n int) []ring.Member {
	out := make([]ring.Member, n)
	for i := range out {
		out[i] = ring.Member{ID: fmt.Sprintf("gateway-%d", i), Addr: fmt.Sprintf("10.0.0.%d:8081", i)}
	}
	return out
}

func TestEmptyRing(t *testing.T) {
	for name, r := range map[string]*ring.Ring{"zero": {}, "no members": ring.New(nil, 0)} {
		if m, ok := r.Owner(1); ok {
			t.Errorf("%s: Owner is %v", name, m)
		}
		if m, ok := r.OwnerBounded(1, func(ring.Member) int64 { return 0 }, 1.25); ok {
			t.Errorf("%s: OwnerBounded is %v", name, m)
		}
		if got := r.Owners(1, 3); got != nil {
			t.Errorf("%s: Owners are %v", name, got)
		}
		if r.Len() != 0 || len(r.Members()) != 0 {
			t.Errorf("%s: it has %d members", name, r.Len())
		}
	}
}

// Every process builds its ring from what its own watch told it: the order must
// not matter, nor must a member that is listed twice.
func TestOrderDoesNotMatter(t *testing.T) {
	a := members(9)
	b := append(slices.Clone(a), a[3], ring.Member{ID: a[4].ID, Addr: "99.0.0.1:1"})
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	ra, rb := ring.New(a, 0), ring.New(b, 0)
	if !slices.Equal(ra.Members(), rb.Members()) {
		t.Errorf("members: got %v and %v", ra.Members(), rb.Members())
	}
	for range 10_000 {
		h := rnd.Uint64()
		if ma, mb := must(ra.Owner(h)), must(rb.Owner(h)); ma != mb {
			t.Fatalf("hash %d: got the owners %v and %v", h, ma, mb)
		}
	}
}

func must(m ring.Member, ok bool) ring.Member {
	if !ok {
		panic("a ring with members has no owner")
	}
	return m
}

// The default number of points was chosen by this: with it, no member of a
// usual fleet holds more than 1.15 times its share, nor less than 0.85 times.
func TestLoadSpread(t *testing.T) {
	const keys = 200_000
	for _, n := range []int{2, 3, 5, 8, 16} {
		r := ring.New(members(n), 0)
		count := map[string]int{}
		for id := range int64(keys) {
			count[must(r.Owner(ring.Hash("product", id+1))).ID]++
		}
		least, most := keys, 0
		for _, c := range count {
			least, most = min(least, c), max(most, c)
		}
		mean := float64(keys) / float64(n)
		t.Logf("%2d members: least %.3f, most %.3f of the mean", n, float64(least)/mean, float64(most)/mean)
		if len(count) != n || float64(most) > 1.15*mean || float64(least) < 0.85*mean {
			t.Errorf("%d members: %d of them hold between %d and %d keys, the mean is %.0f", n, len(count), least, most, mean)
		}
	}
}

// PITFALL 1: a member that comes or goes moves the keys it gains or loses and
// no others, and about 1/n of all.
func TestPitfall1MinimalMovement(t *testing.T) {
	const keys = 50_000
	for _, n := range []int{2, 5, 16} {
		all := members(n + 1)
		last := all[n].ID
		small, large := ring.New(all[:n], 0), ring.New(all, 0)
		moved := 0
		for id := range int64(keys) {
			h := ring.Hash("product", id+1)
			a, b := must(small.Owner(h)), must(large.Owner(h))
			if a == b {
				continue
			}
			if b.ID != last {
				t.Fatalf("%d members: key %d moved from %s to %s when %s came", n, id+1, a.ID, b.ID, last)
			}
			moved++
		}
		if share := float64(moved) / keys * float64(n+1); share < 0.7 || share > 1.3 {
			t.Errorf("%d members: %d of %d keys moved, %.2f of the newcomer's share", n, moved, keys, share)
		}
	}
}

// An address that changes (a restart on another port) moves nothing.
func TestAddressDoesNotMatter(t *testing.T) {
	a, b := members(5), members(5)
	for i := range b {
		b[i].Addr += "9"
	}
	ra, rb := ring.New(a, 0), ring.New(b, 0)
	for h := uint64(0); h < 1<<63; h += 1 << 50 {
		if got, want := must(rb.Owner(h)).ID, must(ra.Owner(h)).ID; got != want {
			t.Fatalf("hash %d: got the owner %s, want %s", h, got, want)
		}
	}
}

// The owner's stand-ins are those who own the key when the owner is gone.
func TestOwnersAreTheOwnersOfSmallerRings(t *testing.T) {
	all := members(6)
	r := ring.New(all, 0)
	for id := range int64(2000) {
		h := ring.Hash("shop", id+1)
		got := r.Owners(h, 99)
		if len(got) != len(all) {
			t.Fatalf("got %d of %d owners: %v", len(got), len(all), got)
		}
		rest := slices.Clone(all)
		for i, want := range got {
			if o := must(ring.New(rest, 0).Owner(h)); o != want {
				t.Fatalf("key %d, owner %d: got %v, but the ring without the first %d says %v", id+1, i, want, i, o)
			}
			rest = slices.DeleteFunc(rest, func(m ring.Member) bool { return m == want })
		}
		if id > 50 {
			break
		}
	}
	for _, n := range []int{0, -1} {
		if got := r.Owners(1, n); got != nil {
			t.Errorf("%d owners: got %v", n, got)
		}
	}
	if got := r.Owners(1, 2); len(got) != 2 || got[0] != must(r.Owner(1)) || got[0] == got[1] {
		t.Errorf("two owners: got %v", got)
	}
}

// The bounds of the circle belong to its first point.
func TestRoundTheCircle(t *testing.T) {
	r := ring.New(members(3), 4)
	if a, b := must(r.Owner(1<<64-1)), must(r.Owner(0)); a != b {
		t.Errorf("the owner at the end is %v, at the beginning %v", a, b)
	}
}

// Processes of different builds share a fleet, so positions never change.
func TestPositionsAreFixed(t *testing.T) {
	for _, c := range []struct {
		kind string
		id   int64
		want uint64
	}{
		{"product", 1, 0xe34fe80ee2a894ae},
		{"product", 2, 0xe32893e21278b7af},
		{"shop", 1, 0x91c81882ab483559},
		{"product", 1<<63 - 1, 0x3df04367f10e8fa6},
	} {
		if got := ring.Hash(c.kind, c.id); got != c.want {
			t.Errorf("Hash(%q, %d): got %#x, want %#x", c.kind, c.id, got, c.want)
		}
	}
	r := ring.New(members(4), 0)
	var got []string
	for id := range int64(8) {
		got = append(got, must(r.Owner(ring.Hash("product", id+1))).ID)
	}
	want := []string{"gateway-2", "gateway-1", "gateway-3", "gateway-1", "gateway-0", "gateway-1", "gateway-3", "gateway-2"}
	if !slices.Equal(got, want) {
		t.Errorf("owners of products 1 to 8: got %q, want %q", got, want)
	}
}

func TestHashSpreads(t *testing.T) {
	seen := map[uint64]bool{}
	var buckets [64]int
	for _, kind := range []string{"product", "shop", "category"} {
		for id := range int64(20_000) {
			h := ring.Hash(kind, id+1)
			if seen[h] {
				t.Fatalf("%s/%d has the position of another document", kind, id+1)
			}
			seen[h] = true
			buckets[h>>58]++
		}
	}
	for i, n := range buckets {
		if n < 800 || n > 1075 { // mean 937, four standard deviations
			t.Errorf("the %d. part of the circle has %d of 60000 keys", i, n)
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	r := ring.New(members(16), 0)
	load := func(ring.Member) int64 { return 1 }
	if n := testing.AllocsPerRun(100, func() {
		h := ring.Hash("product", 7)
		r.Owner(h)
		r.OwnerBounded(h, load, 1.25)
	}); n != 0 {
		t.Errorf("a lookup allocates %v times", n)
	}
}
