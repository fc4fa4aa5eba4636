package hotlist

import (
	"cmp"
	"maps"
	"slices"
)

// Ranking returns at most n distinct ids in the order in which to warm a cache:
// first what is hot or pinned, then the others of all top lists, each by count,
// descending. A ban keeps a key from being hot, not from being warmed. The view
// may be nil.
func Ranking(tops []Top, view *View, n int) []int64 {
	counts := map[int64]int64{}
	for _, t := range tops {
		for _, k := range t.Keys {
			counts[k.ID] = max(counts[k.ID], k.N)
		}
	}
	hot := map[int64]int64{}
	if view != nil {
		for id, k := range view.Hot {
			hot[id] = max(k.Count, counts[id])
			delete(counts, id)
		}
	}
	ranking := append(byCount(hot), byCount(counts)...)
	return ranking[:max(0, min(n, len(ranking)))]
}

func byCount(counts map[int64]int64) []int64 {
	return slices.SortedFunc(maps.Keys(counts), func(a, b int64) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}
