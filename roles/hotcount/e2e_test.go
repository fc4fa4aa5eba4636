package hotcount

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"eshop/pkg/hotlist"
)

// TestInvariant11Fleet: processes join and leave in turn under load, 3 times in a
// normal run, 20 times when ESHOP_LONG is set. Every list that was ever published
// is what the log says for its offset and watermark: nothing was lost and nothing
// counted twice. What is hot all the time is in every list.
func TestInvariant11Fleet(t *testing.T) {
	moves := 3
	if os.Getenv("ESHOP_LONG") != "" {
		moves = 20
	}
	onBoth(t, 4, func(t *testing.T, w *world) {
		l := w.load(500)
		stop := background(t, l.run)
		a := w.started("a")
		w.share(a)
		hot := w.steadilyHot()
		here := []*process{a}
		for move := range moves {
			if move%2 == 0 {
				here = append(here, w.started(fmt.Sprint("joined-", move)))
			} else {
				here[0].stop()
				here = here[1:]
			}
			w.share(here...)
		}
		stop()
		end := time.Now()
		w.written()
		w.caughtUp(here...)
		for _, p := range here {
			p.stop()
		}
		hots, tops := w.check()
		w.checkSteady(hots, hot, end)
		t.Logf("%d moves; %d hits in %d records; %d hot lists and %d rankings are as the log says", moves, l.hits.Load(), l.records.Load(), len(hots), len(tops))
		if len(tops) < 2*w.partitions {
			t.Errorf("only %d rankings were published", len(tops))
		}
	})
}

// TestStandby: a process for which no partition is left is ready, and takes over
// when another one leaves. Lists of partitions that the topic does not have go.
func TestStandby(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, w *world) {
		zk := w.session(w.zk)
		for _, node := range []string{"hot/7", "top/7"} {
			if err := zk.Create(t.Context(), node, []byte(`{"generation":1,"partition":7}`)); err != nil {
				t.Fatal(err)
			}
		}
		a := w.started("a")
		w.share(a)
		w.until("the lists of partition 7 are gone", func() error {
			for _, dir := range []string{"hot", "top"} {
				if names, err := zk.Children(t.Context(), dir); err != nil || slices.Contains(names, "7") {
					return fmt.Errorf("%s: %v %w", dir, names, err)
				}
			}
			return nil
		})
		b := w.started("b")
		if a.holds()+b.holds() > 1 {
			t.Errorf("%d and %d partitions are held, of one", a.holds(), b.holds())
		}
		a.stop()
		w.share(b)
		b.stop()
		w.share(w.started("c"))
	})
}

// steadilyHot waits until the product that a load asks for most is hot, and returns
// it. Another one may be the hottest for a moment, while the partitions are not all
// counted as far.
func (w *world) steadilyHot() int64 {
	w.t.Helper()
	const most = 1 // of product
	w.until("the product most asked for is hot", func() error {
		if hot := w.hotNow(); hot[most].Count < 500 {
			return fmt.Errorf("hot are %+v", hot)
		}
		return nil
	})
	return most
}

// checkSteady fails when a list of the product's partition lacks it after it
// was first there and before the load ended.
func (w *world) checkSteady(hots []hotlist.Hot, id int64, end time.Time) {
	w.t.Helper()
	was := map[int32]bool{}
	lists := 0
	for _, list := range hots {
		is := false
		for _, k := range list.Keys {
			is = is || k.ID == id
		}
		if was[list.Partition] && !is && list.Watermark < end.UnixMilli() {
			w.t.Errorf("product %d is hot all the time, but the list %+v lacks it", id, list)
		}
		was[list.Partition] = was[list.Partition] || is
		if is {
			lists++
		}
	}
	if lists == 0 { // how many are seen is chance: a watch tells of the newest
		w.t.Errorf("product %d was in no list", id)
	}
}

// caughtUp waits until the processes have counted the whole log.
func (w *world) caughtUp(processes ...*process) {
	w.t.Helper()
	w.until("everything is counted", func() error {
		for _, p := range processes {
			for id, part := range p.holder.holds() {
				if n := part.behind(); n > 0 {
					return fmt.Errorf("partition %d is %d records behind", id, n)
				}
			}
		}
		return nil
	})
}
