package hotcount

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/hotlist"
)

// TestZooKeeperAwayHoldsNothingUp: counting goes on while nothing can be
// published, and what is published afterwards is the newest.
func TestZooKeeperAwayHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		defer end()
		settle(time.Second)
		begin := time.Now()
		before, _ := r.zk.published()
		r.zk.fail(errAway)
		for i := range 600 { // a minute
			l.feed(counts("gw", uint64(i+1), time.Now(), 7, 100), time.Now())
			settle(100 * time.Millisecond)
		}
		if n := r.metric("hotcount_events_total"); n != 60_000 {
			t.Errorf("%v events were counted while ZooKeeper was away, want 60000", n)
		}
		r.zk.fail(nil)
		settle(time.Second)
		hots, tops := r.zk.published()
		hots = hots[len(before):]
		if len(hots) == 0 || len(hots) > 2 || len(hots[0].Keys) != 1 || hots[0].Keys[0].Count < 9_700 || hots[0].Published < begin.Add(45*time.Second).UnixMilli() {
			t.Errorf("after the outage: got %v, want the list of the last 10 s with product 7 and about 10000 hits", hots)
		}
		if len(tops) != 2 || tops[1].Total < 9_700 {
			t.Errorf("after the outage: got %d rankings, want one more, with about 10000 hits", len(tops))
		}
		if n := r.metric("hot_detection_seconds"); n != 1 {
			t.Errorf("%v detections were measured, want 1", n)
		}
	})
}

// TestClaimIsTriedUntilItSucceeds: counting does not wait for the claim, and the
// hot set begins as the former holder left it.
func TestClaimIsTriedUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.claims(hotlist.Hot{}, errAway)
		l, end := r.assign(0, 0)
		defer end()
		settle(11 * time.Second)
		l.feed(counts("gw", 1, time.Now(), 7, 500), time.Now())
		settle(time.Second)
		if s := r.h.holds()[0].state.Load(); s == nil || s.total != 500 || s.published {
			t.Errorf("while the claim fails: got %+v, want a window with 500 hits of which nothing is published", s)
		}
		r.claims(hotlist.Hot{Keys: []hotlist.Key{{ID: 9, Count: 300, Since: 1}}}, nil)
		settle(time.Second)
		hots, _ := r.zk.published()
		if len(hots) == 0 || len(hots[0].Keys) != 2 {
			t.Errorf("got %v, want product 7 and the former holder's 9", hots)
		}
	})
}

// TestSupersededStops: a process that another one has replaced writes nothing
// more. If the group leaves it the partition all the same, it claims it anew.
func TestSupersededStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		defer end()
		settle(time.Second)
		before, _ := r.zk.published()
		r.zk.fail(fmt.Errorf("publish hot/0: %w", hotlist.ErrSuperseded))
		l.feed(counts("gw", 1, time.Now(), 7, 500), time.Now())
		settle(time.Second)
		r.zk.fail(nil)
		r.claims(hotlist.Hot{Keys: []hotlist.Key{{ID: 9, Count: 300, Since: 1}}}, nil)
		settle(claimAgain - 2*time.Second)
		if hots, _ := r.zk.published(); len(hots) != len(before) {
			t.Errorf("%d lists were published after another holder had been found", len(hots)-len(before))
		}
		p := r.h.holds()[0]
		if s := p.status(0); s.Publishing || p.state.Load().published {
			t.Errorf("the status says that it publishes: %+v", s)
		}
		l.feed(counts("gw", 2, time.Now(), 7, 500), time.Now())
		settle(3 * time.Second)
		got, now := r.zk.hotNow(t), r.metric("hotcount_changes_total")
		if len(got.Keys) != 1 || got.Keys[0].ID != 7 || !p.state.Load().published || now > 3 {
			t.Errorf("still held after %v: got %v and %v changes, want product 7, which was found here", claimAgain, got, now)
		}
	})
}

// TestBurstIsOneList: keys that turn hot while a list is on its way share the next one.
func TestBurstIsOneList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.rule(func(rule *hotlist.Rule) { rule.Factor = 0 })
		l, end := r.assign(0, 0)
		defer end()
		settle(time.Second)
		before, _ := r.zk.published()
		for i := range 100 { // one a millisecond
			l.feed(counts("gw", uint64(i+1), time.Now(), int64(i+1), 500), time.Now())
			settle(time.Millisecond)
		}
		settle(100 * time.Millisecond)
		hots, _ := r.zk.published()
		if n := len(hots) - len(before); n > 7 || len(hots[len(hots)-1].Keys) != 100 {
			t.Errorf("%d lists in 100 ms, the last with %d keys; want about 5, 100", n, len(hots[len(hots)-1].Keys))
		}
		if n := r.metric("hot_detection_seconds"); n != 100 {
			t.Errorf("%v detections were measured, want 100", n)
		}
	})
}
