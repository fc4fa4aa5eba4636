package hotcount

import (
	"slices"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

// TestBoardOfLists: what others have published is put together by id; the newer
// of a partition's two lists tells of it.
func TestBoardOfLists(t *testing.T) {
	r := &Role{cfg: Config{ID: "me"}, shared: &shared{delays: &delays{}}}
	r.holder = newHolder(r.shared, 1<<20)
	if b := r.board(); len(b.parts) != 0 || b.view == nil || b.share(1) != 0 {
		t.Errorf("nothing known: %+v", b)
	}
	r.shared.view.Store(&hotlist.View{
		Lists: []hotlist.Hot{
			{Partition: 0, Holder: "a", Generation: 5, Watermark: 2000, Published: 2001, Keys: []hotlist.Key{{ID: 1, Count: 60, Since: 7}, {ID: 3, Count: 50, Since: 8}}},
			{Partition: 1, Holder: "b", Generation: 6, Watermark: 1000, Published: 1001},
		},
		Pins: map[int64]hotlist.Mark{2: {By: "x", At: 9}, 4: {By: "x", At: 9}, 3: {By: "x", At: 9}},
		Bans: map[int64]hotlist.Mark{1: {By: "x", At: 9}},
	})
	r.tops.Store(&[]hotlist.Top{
		{Partition: 0, Holder: "old", Generation: 4, Watermark: 1500, Span: 10_000, Total: 100, Distinct: 3, Rate: 10, Lag: 1, Keys: hotlist.Counts{{ID: 1, N: 55}, {ID: 2, N: 40}}},
		{Partition: 1, Holder: "b", Generation: 6, Watermark: 3000, Published: 3001, Span: 10_000, Total: 200, Distinct: 4, Rate: 20, Lag: 2, Keys: hotlist.Counts{{ID: 2, N: 5}, {ID: 9, N: 70}}},
	})
	b := r.board()
	if b.total != 300 || b.distinct != 7 || b.rate != 30 || b.lag != 3 || b.watermark != 2000 {
		t.Errorf("got %+v", b)
	}
	if p := b.parts; len(p) != 2 || p[0].holder != "a" || p[0].generation != 5 || p[0].lag != 1 || p[1].watermark != 3000 || !p[1].at.Equal(time.UnixMilli(3001)) {
		t.Errorf("partitions: %+v", p)
	}
	if want := (hotlist.Counts{{ID: 9, N: 70}, {ID: 1, N: 60}, {ID: 3, N: 50}, {ID: 2, N: 45}}); !slices.Equal(b.top, want) {
		t.Errorf("top: got %v, want %v", b.top, want)
	}
	want := []hotState{{3, 50, 5, 8, "pin"}, {2, 45, 4.5, 9, "pin"}, {4, 0, 0, 9, "pin"}}
	if !slices.Equal(b.hot, want) {
		t.Errorf("hot: got %v, want %v", b.hot, want)
	}
	if b.share(30) != 0.1 {
		t.Errorf("the share of 30 in 300 is %v", b.share(30))
	}
}

func TestHistory(t *testing.T) {
	var h history
	for i := range 100 {
		b := &board{rates: map[int64]float64{}}
		for id := range int64(snapshotTop + 20) {
			b.top = append(b.top, hotlist.Count{ID: id, N: 1})
			b.rates[id] = float64(i)
		}
		for id := range int64(10) {
			b.hot = append(b.hot, hotState{id: 1000 + id, rate: float64(i)})
		}
		if i == 90 {
			b.hot = b.hot[1:] // cooled and far from the top, for a second
		}
		h.record(b)
	}
	if got := h.of(1001); len(got) != historyLength || got[0] != 40 || got[historyLength-1] != 99 {
		t.Errorf("got %v, want 40 to 99", got)
	}
	if got := h.of(1000); len(got) != 9 {
		t.Errorf("a product that was forgotten has %d values, want 9", len(got))
	}
	if len(h.of(snapshotTop-1)) != historyLength || h.of(snapshotTop) != nil {
		t.Error("the most frequent products are not those remembered")
	}
	b := &board{rates: map[int64]float64{}}
	for id := range int64(2 * historyKeys) {
		b.hot = append(b.hot, hotState{id: id})
	}
	h.record(b)
	if len(h.rates) != historyKeys {
		t.Errorf("%d products are remembered, want %d", len(h.rates), historyKeys)
	}
}

func TestDelays(t *testing.T) {
	var d delays
	if got := d.summary(); got != (delaySummary{}) {
		t.Errorf("none: got %+v", got)
	}
	for i := range 2 * delaysKept {
		d.add(time.Duration(i) * time.Millisecond)
	}
	if got, want := d.summary(), (delaySummary{Last: 1999, P50: 1499, P99: 1989, Count: 2000}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
