package invalidation_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/catalog"
	"eshop/pkg/invalidation"
)

// TestFloorNeverGoesDown is invariant 3's half that lives here: whatever order
// stamps arrive in, and however many goroutines bring them, the floor of a key
// is the highest of them.
func TestFloorNeverGoesDown(t *testing.T) {
	f, err := invalidation.NewFloor(1000)
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	const keys, writers, each = 50, 8, 2000
	highest := map[catalog.Key]catalog.Stamp{}
	work := make([][]catalog.Invalidation, writers)
	for w := range work {
		for range each {
			inv := catalog.Invalidation{Key: catalog.Key{Kind: "product", ID: 1 + rnd.Int64N(keys)},
				Stamp: catalog.Stamp{Epoch: rnd.Int64N(3), Version: rnd.Int64N(100), Token: rnd.Int64N(1000)}}
			highest[inv.Key] = highest[inv.Key].Max(inv.Stamp)
			work[w] = append(work[w], inv)
		}
	}
	var wg sync.WaitGroup
	for _, list := range work {
		wg.Go(func() {
			for _, inv := range list {
				before := f.Of(inv.Key)
				f.Raise(inv.Key, inv.Stamp)
				if after := f.Of(inv.Key); after.Less(before) || after.Less(inv.Stamp) {
					t.Errorf("%v: raised to %v, the floor went from %v to %v", inv.Key, inv.Stamp, before, after)
				}
			}
		})
	}
	wg.Wait()
	for key, want := range highest {
		if got := f.Of(key); got != want {
			t.Errorf("%v: the floor is %v, want %v", key, got, want)
		}
		if f.Admits(key, catalog.Stamp{}) || !f.Admits(key, want) {
			t.Errorf("%v: admits nothing %v, admits its own stamp %v; want false, true", key, f.Admits(key, catalog.Stamp{}), f.Admits(key, want))
		}
	}
}

// TestFloorIsBounded: beyond its size it forgets, and counts what it forgot.
func TestFloorIsBounded(t *testing.T) {
	f, err := invalidation.NewFloor(512)
	if err != nil {
		t.Fatal(err)
	}
	const keys = 10_000
	for id := int64(1); id <= keys; id++ {
		f.Raise(catalog.Key{Kind: "product", ID: id}, catalog.Stamp{Token: id})
	}
	if n := f.Len(); n < 400 || n > 600 {
		t.Errorf("it remembers %d keys, want about 512", n)
	}
	if got := uint64(f.Len()) + f.Evicted(); got != keys {
		t.Errorf("remembered and forgotten are %d together, want %d", got, keys)
	}
}

// TestMarks: the latest comes first, with its highest stamp and the time at which
// that became known; what is not wanted is left out.
func TestMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := invalidation.NewFloor(100)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		key := func(id int64) catalog.Key { return catalog.Key{Kind: "product", ID: id} }
		for _, raise := range []struct{ id, token int64 }{{1, 10}, {2, 11}, {3, 12}, {1, 13}, {2, 5}} {
			time.Sleep(time.Second)
			f.Raise(key(raise.id), catalog.Stamp{Token: raise.token})
		}
		got := f.Marks(func(k catalog.Key) bool { return k.ID != 3 })
		want := []invalidation.Mark{
			{Key: key(1), Stamp: catalog.Stamp{Token: 13}, At: began.Add(4 * time.Second)},
			{Key: key(2), Stamp: catalog.Stamp{Token: 11}, At: began.Add(2 * time.Second)},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("marks (-want +got):\n%s", diff)
		}
	})
}
