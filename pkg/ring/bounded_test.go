package ring_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"eshop/pkg/ring"
)

// Whatever is hot, no member gets more than factor times the mean, and with no
// load at all the owner is the owner.
func TestBoundHolds(t *testing.T) {
	for _, factor := range []float64{1, 1.1, 1.25, 2} {
		r := ring.New(members(7), 0)
		load := map[string]int64{}
		total := int64(0)
		rnd := rand.New(rand.NewPCG(3, 4))
		for i := range 5000 {
			h := ring.Hash("product", 1) // one very hot key…
			if i%4 == 0 {
				h = rnd.Uint64() // …among others
			}
			m, ok := r.OwnerBounded(h, func(m ring.Member) int64 { return load[m.ID] }, factor)
			if !ok {
				t.Fatal("no owner")
			}
			load[m.ID]++
			total++
			if bound := int64(math.Ceil(factor * float64(total) / 7)); load[m.ID] > bound {
				t.Fatalf("factor %v: %s has %d of %d requests, the bound is %d", factor, m.ID, load[m.ID], total, bound)
			}
		}
	}
}

func TestBoundedIsTheOwnerUnderTheBound(t *testing.T) {
	r := ring.New(members(7), 0)
	for _, c := range []struct {
		name   string
		load   func(ring.Member) int64
		factor float64
	}{
		{"no load", func(ring.Member) int64 { return 0 }, 1.25},
		{"equal loads", func(ring.Member) int64 { return 1000 }, 1.25},
		{"negative loads count as none", func(ring.Member) int64 { return -5 }, 1},
		{"an infinite factor", func(m ring.Member) int64 { return int64(len(m.ID)) * int64(m.ID[8]) }, math.Inf(1)},
	} {
		for h := uint64(0); h < 1<<63; h += 1 << 55 {
			want, _ := r.Owner(h)
			if got, ok := r.OwnerBounded(h, c.load, c.factor); !ok || got != want {
				t.Fatalf("%s: got %v, want the owner %v", c.name, got, want)
			}
		}
	}
}

// A key that spills over goes to the next in ring order, and only keys of the
// overloaded member move.
func TestSpillGoesToTheNextInRingOrder(t *testing.T) {
	r := ring.New(members(5), 0)
	for id := range int64(500) {
		h := ring.Hash("product", id+1)
		owners := r.Owners(h, 2)
		got, _ := r.OwnerBounded(h, func(m ring.Member) int64 {
			if m == owners[0] {
				return 1000
			}
			return 10
		}, 1.25)
		if got != owners[1] {
			t.Fatalf("key %d: its owner is full, got %v, want the next in order %v", id+1, got, owners[1])
		}
	}
}

func TestOddFactorsAndLoads(t *testing.T) {
	r := ring.New(members(100), 8) // more members than the stack array holds
	for _, factor := range []float64{math.NaN(), 0, -1, math.Inf(-1)} {
		if _, ok := r.OwnerBounded(5, func(m ring.Member) int64 { return int64(len(m.ID)) }, factor); !ok {
			t.Errorf("factor %v: no owner", factor)
		}
	}
	if _, ok := r.OwnerBounded(5, func(ring.Member) int64 { return math.MaxInt64 }, 1); !ok {
		t.Error("with the largest loads there is no owner")
	}
}
