package hotcount

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/hotlist"
)

// TestHotIsPublishedAtOnce: a product that crosses the floor is in the published
// list within two evaluations, with counts that belong to its offset and watermark.
func TestHotIsPublishedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(100, 100)
		defer end()
		settle(time.Second)
		begin := time.Now()
		l.feed(counts("gw", 1, begin, 7, 199), begin)
		settle(20 * time.Millisecond)
		if got := r.zk.hotNow(t); len(got.Keys) != 0 {
			t.Errorf("below the floor: got %v, want nothing hot", got.Keys)
		}
		l.feed(request(7), time.Now())
		settle(20 * time.Millisecond)
		got := r.zk.hotNow(t)
		if len(got.Keys) != 1 || got.Keys[0].ID != 7 || got.Keys[0].Count != 200 || got.Offset != 102 || got.Watermark < begin.UnixMilli() {
			t.Errorf("at the floor: got %+v, want product 7 with 200 hits at offset 102", got)
		}
		if n := r.metric("hot_detection_seconds"); n != 1 {
			t.Errorf("%v detections were measured, want 1", n)
		}
		if s := r.h.delays.summary(); s.Count != 1 || s.Last > 20 {
			t.Errorf("the delay is %+v, want one of at most 20 ms", s)
		}
		if n := r.metric("hotcount_events_total"); n != 200 {
			t.Errorf("%v events were counted, want 200", n)
		}
	})
}

// TestInvariant11NothingBeforeRebuilt: while the log is read from the window's
// beginning, nothing is published: it would cool what is hot.
func TestInvariant11NothingBeforeRebuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.claims(hotlist.Hot{Keys: []hotlist.Key{{ID: 7, Count: 500, Since: time.Now().UnixMilli()}}}, nil)
		begin := time.Now()
		l, end := r.assign(0, 10)
		defer end()
		for i := range 9 {
			l.feed(counts("gw", uint64(i+1), begin, 7, 30), begin)
		}
		settle(time.Minute)
		if hots, tops := r.zk.published(); len(hots)+len(tops) > 0 {
			t.Fatalf("a half-built window was published: %v %v", hots, tops)
		}
		l.feed(counts("gw", 10, time.Now(), 7, 200), time.Now())
		settle(50 * time.Millisecond)
		hots, tops := r.zk.published()
		if len(hots) != 1 || len(tops) != 1 || len(hots[0].Keys) != 1 || hots[0].Keys[0].ID != 7 {
			t.Fatalf("after the rebuild: got %v %v, want product 7 hot, once", hots, tops)
		}
	})
}

// TestInvariant11WatermarkOfARebuild: the log before the first record read is not
// known, so no window may reach there, though the newest record is an old one and
// more have come since.
func TestInvariant11WatermarkOfARebuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		begin := time.Now()
		l, end := r.assign(0, 1)
		defer end()
		l.end.Store(2)
		l.feed(request(7), begin.Add(-14*time.Second))
		settle(time.Second)
		if _, tops := r.zk.published(); len(tops) != 1 || tops[0].Watermark != begin.UnixMilli() || tops[0].Total != 0 {
			t.Errorf("published %+v, want an empty window that ends at %d", tops, begin.UnixMilli())
		}
	})
}

// TestRestoredSetDoesNotFlap: what the former holder found hot stays hot down to
// the lower threshold, though nobody here has seen it cross the upper one.
func TestRestoredSetDoesNotFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		since := time.Now().Add(-time.Minute).UnixMilli()
		r.claims(hotlist.Hot{Keys: []hotlist.Key{{ID: 7, Count: 500, Since: since}}}, nil)
		l, end := r.assign(0, 1)
		defer end()
		l.feed(counts("gw", 1, time.Now(), 7, 150), time.Now()) // above half the floor of 200
		settle(time.Second)
		for i := range 40 {
			l.feed(counts("gw", uint64(i+2), time.Now(), 7, 15), time.Now())
			settle(time.Second)
		}
		hots, _ := r.zk.published()
		for _, h := range hots {
			if len(h.Keys) != 1 || h.Keys[0].Since != since {
				t.Errorf("published %+v, want product 7 hot since %d throughout", h.Keys, since)
			}
		}
		if n := r.metric("hotcount_changes_total"); n != 0 {
			t.Errorf("%v changes were counted, want none", n)
		}
	})
}

func TestCoolsAfterTheHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		defer end()
		settle(time.Second)
		l.feed(counts("gw", 1, time.Now(), 7, 1000), time.Now())
		last := time.Now()
		settle(20 * time.Millisecond)
		if got := r.zk.hotNow(t); len(got.Keys) != 1 {
			t.Fatalf("got %v, want product 7 hot", got.Keys)
		}
		for len(r.zk.hotNow(t).Keys) > 0 && time.Since(last) < time.Minute {
			settle(10 * time.Millisecond)
		}
		if cooled := time.Since(last); cooled < 14*time.Second || cooled > 16*time.Second {
			t.Errorf("cooled after %v, want the window of 10 s and the hold of 5 s", cooled)
		}
		if got := r.metric("hotcount_changes_total", "cooled"); got != 1 {
			t.Errorf("%v products have cooled, want 1", got)
		}
	})
}

// TestNoCoolingWhileTheLogIsUnread: the clock moves the window on only when the
// partition has been read to its end.
func TestNoCoolingWhileTheLogIsUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		defer end()
		settle(time.Second)
		l.feed(counts("gw", 1, time.Now(), 7, 1000), time.Now())
		settle(20 * time.Millisecond)
		l.end.Add(1) // there is a record that does not come
		settle(time.Minute)
		if got := r.zk.hotNow(t); len(got.Keys) != 1 || got.Keys[0].Count != 1000 {
			t.Errorf("got %v, want product 7 as it was", got.Keys)
		}
		if lag := r.metric("hotcount_lag_records", "0"); lag != 1 {
			t.Errorf("the lag is %v, want 1", lag)
		}
	})
}

func TestRuleChangesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		defer end()
		settle(time.Second)
		l.feed(counts("gw", 1, time.Now(), 7, 100), time.Now())
		settle(20 * time.Millisecond)
		if got := r.zk.hotNow(t); len(got.Keys) != 0 {
			t.Fatalf("got %v, want nothing hot", got.Keys)
		}
		r.rule(func(rule *hotlist.Rule) { rule.Floor = 50 })
		settle(30 * time.Millisecond)
		if got := r.zk.hotNow(t); len(got.Keys) != 1 {
			t.Errorf("30 ms after the floor was lowered: got %v, want product 7 hot", got.Keys)
		}
	})
}

// TestPublishingSchedule: a list that does not change is published again every
// 10 s, a ranking every 30 s, and one that changes every 5 s.
func TestPublishingSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		defer end()
		settle(61 * time.Second)
		hots, tops := r.zk.published()
		if len(hots) != 7 || len(tops) != 3 {
			t.Errorf("in 61 s without traffic: %d hot lists and %d rankings, want 7 and 3", len(hots), len(tops))
		}
		for i := range 300 {
			l.feed(counts("gw", uint64(i+1), time.Now(), int64(i), 1), time.Now())
			settle(100 * time.Millisecond)
		}
		_, after := r.zk.published()
		if n := len(after) - len(tops); n < 5 || n > 7 {
			t.Errorf("in 30 s of traffic: %d rankings, want 6", n)
		}
		if got := after[len(after)-1]; len(got.Keys) < 90 || got.Total < 90 || got.Total > 100 || got.Rate < 9 || got.Rate > 10 {
			t.Errorf("the last ranking has %d products, %d hits, %v a second, want about 100, 100 and 10", len(got.Keys), got.Total, got.Rate)
		}
		if l.committed.Load() != l.next {
			t.Errorf("committed %d, want %d", l.committed.Load(), l.next)
		}
	})
}

func TestShareOfTheRanking(t *testing.T) {
	var got []int
	for _, parts := range []int{1, 2, 8, 64} {
		got = append(got, share(2000, parts))
	}
	if want := []int{2000, 2000, 550, 112}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestNothingCoolsWhileBrokersHang: without a confirmed end the clock stands, and
// with one it runs again.
func TestNothingCoolsWhileBrokersHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		defer end()
		settle(time.Second)
		l.feed(counts("gw", 1, time.Now(), 7, 500), time.Now())
		settle(time.Second)
		hung := time.Now()
		l.hung.Store(&hung)
		settle(time.Minute)
		if got := r.zk.hotNow(t); len(got.Keys) != 1 || got.Watermark != hung.UnixMilli() {
			t.Errorf("after a minute of silence: got %v at %d, want product 7 at %d", got.Keys, got.Watermark, hung.UnixMilli())
		}
		l.hung.Store(nil)
		settle(30 * time.Second)
		if got := r.zk.hotNow(t); len(got.Keys) != 0 {
			t.Errorf("the brokers answer and have nothing: got %v, want nothing hot", got.Keys)
		}
	})
}

// TestEveryTickEvaluates: ticks and evaluations do not miss each other.
func TestEveryTickEvaluates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		_, end := r.assign(0, 0)
		defer end()
		settle(time.Second)
		p, n := r.h.holds()[0], 0
		for last := p.watermark.Load(); n < 50; n++ {
			settle(tickEvery)
			now := p.watermark.Load()
			if now == last {
				t.Fatalf("tick %d evaluated nothing", n)
			}
			last = now
		}
	})
}
