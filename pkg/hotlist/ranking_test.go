package hotlist_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"eshop/pkg/hotlist"
)

func sorted(names []string) string { return fmt.Sprint(slices.Sorted(slices.Values(names))) }

func TestRanking(t *testing.T) {
	tops := []hotlist.Top{
		{Keys: hotlist.Counts{{1, 100}, {2, 90}, {3, 5}}},
		{Keys: hotlist.Counts{{4, 95}, {5, 90}, {2, 91}}},
	}
	view := &hotlist.View{
		Hot:  map[int64]hotlist.Key{3: {ID: 3, Reason: hotlist.ReasonPin}, 9: {ID: 9, Count: 50}, 8: {ID: 8, Reason: hotlist.ReasonPin}},
		Bans: map[int64]hotlist.Mark{1: {}},
	}
	for _, tc := range []struct {
		tops []hotlist.Top
		view *hotlist.View
		n    int
		want string
	}{
		{tops, view, 100, "[9 3 8 1 4 2 5]"},
		{tops, view, 4, "[9 3 8 1]"},
		{tops, nil, 100, "[1 4 2 5 3]"},
		{nil, view, 100, "[9 3 8]"},
		{nil, nil, 5, "[]"},
		{tops, view, 0, "[]"},
		{tops, view, -1, "[]"},
	} {
		if got := fmt.Sprint(hotlist.Ranking(tc.tops, tc.view, tc.n)); got != tc.want {
			t.Errorf("%d of them: got %s, want %s", tc.n, got, tc.want)
		}
	}
}

// Against picking the next one by looking at all that are left.
func TestRankingAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		count := map[int64]int64{}
		var tops []hotlist.Top
		for range r.IntN(4) {
			var top hotlist.Top
			for range r.IntN(8) {
				k := hotlist.Count{ID: 1 + r.Int64N(12), N: r.Int64N(5)}
				top.Keys = append(top.Keys, k)
				count[k.ID] = max(count[k.ID], k.N)
			}
			tops = append(tops, top)
		}
		view := &hotlist.View{Hot: map[int64]hotlist.Key{}}
		for range r.IntN(5) {
			k := hotlist.Key{ID: 1 + r.Int64N(12), Count: r.Int64N(5)}
			view.Hot[k.ID] = k
		}
		for id, k := range view.Hot {
			count[id] = max(count[id], k.Count)
		}
		n := r.IntN(14)
		var want []int64
		for len(want) < n && len(count) > 0 {
			best := int64(-1)
			for id := range int64(13) {
				if _, left := count[id]; !left {
					continue
				}
				_, hot := view.Hot[id]
				_, bestHot := view.Hot[best]
				if best < 0 || hot && !bestHot || hot == bestHot && count[id] > count[best] {
					best = id
				}
			}
			want = append(want, best)
			delete(count, best)
		}
		if got := hotlist.Ranking(tops, view, n); !slices.Equal(got, want) {
			t.Fatalf("tops %v, hot %v, n %d: got %v, want %v", tops, view.Hot, n, got, want)
		}
	}
}
