package hotcount

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

// TestInvariant12ZooKeeperAway: while ZooKeeper cannot be reached counting goes
// on, and afterwards the lists do, without a restart and without a wrong number.
func TestInvariant12ZooKeeperAway(t *testing.T) {
	onBoth(t, 4, func(t *testing.T, w *world) {
		link := lab.NewLink(t, w.zk[0])
		cfg := w.config("a")
		cfg.ZooKeeper.Servers = []string{link.Addr()}
		p := w.start(cfg)
		l := w.load(500)
		stop := background(t, l.run)
		w.share(p)
		hot := w.steadilyHot()

		link.Cut()
		cut := time.Now()
		w.until("the session is not connected", func() error {
			if p.zk.State() == zookeeper.Connected {
				return errors.New("it is")
			}
			return nil
		})
		before := l.hits.Load()
		w.until("5,000 more hits are counted, 6 s and a session's expiry later", func() error {
			if n := l.hits.Load(); n < before+5000 || time.Since(cut) < 6*time.Second {
				return fmt.Errorf("%d are written", n-before)
			}
			for id, part := range p.holder.holds() {
				if n := part.behind(); n > 100 {
					return fmt.Errorf("partition %d is %d records behind", id, n)
				}
			}
			return nil
		})
		away := w.newestList()
		if away > cut.Add(time.Second).UnixMilli() {
			t.Errorf("a list was published %d ms after the cut", away-cut.UnixMilli())
		}
		link.Heal()
		w.until("every partition has published since", func() error {
			hots, tops := w.seen()
			have := map[int32]bool{}
			for _, list := range tops {
				have[list.Partition] = have[list.Partition] || list.Published > time.Now().Add(-5*time.Second).UnixMilli()
			}
			for p := range int32(w.partitions) {
				if !have[p] {
					return fmt.Errorf("partition %d has not, of %d and %d lists", p, len(hots), len(tops))
				}
			}
			return nil
		})
		stop()
		end := time.Now()
		w.written()
		w.caughtUp(p)
		p.stop()
		hots, tops := w.check()
		w.checkSteady(hots, hot, end)
		t.Logf("%d hot lists and %d rankings are as the log says", len(hots), len(tops))
	})
}

// newestList is when the newest list was published, in ms since 1970.
func (w *world) newestList() (at int64) {
	hots, tops := w.seen()
	for _, list := range hots {
		at = max(at, list.Published)
	}
	for _, list := range tops {
		at = max(at, list.Published)
	}
	return at
}

// TestInvariant12ZooKeeperComesLater: a process that starts without ZooKeeper
// counts by its own rule, says what it waits for, and publishes when it is there.
func TestInvariant12ZooKeeperComesLater(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, w *world) {
		link := lab.NewLink(t, w.zk[0])
		link.Cut()
		cfg := w.config("a")
		cfg.ZooKeeper.Servers = []string{link.Addr()}
		p := w.start(cfg)
		l := w.load(100)
		stop := background(t, l.run)
		w.until("counting", func() error {
			total := int64(0)
			for _, part := range p.holder.holds() {
				if s := part.state.Load(); s != nil {
					total += s.total
				}
			}
			if total < 1000 {
				return fmt.Errorf("%d hits are in the windows", total)
			}
			return nil
		})
		if reasons := p.ready.Reasons(); len(reasons) != 1 || p.ready.OK() {
			t.Errorf("not ready for %q, want ZooKeeper alone", reasons)
		}
		link.Heal()
		w.share(p)
		w.steadilyHot()
		w.until("ready", func() error {
			if !p.ready.OK() {
				return fmt.Errorf("%q", p.ready.Reasons())
			}
			return nil
		})
		stop()
		w.written()
		w.caughtUp(p)
		p.stop()
		w.check()
	})
}

// TestInvariant12KafkaAway: while no broker can be reached the process waits,
// and afterwards counts on without a restart and without a wrong number.
func TestInvariant12KafkaAway(t *testing.T) {
	t.Parallel()
	k := lab.KafkaNew(t, lab.Linked())
	w := newWorld(t, k.Addrs(), lab.ZooKeeper(t).Addrs(), 4)
	p := w.started("a")
	w.share(p)
	l := w.load(500)
	stop := background(t, l.run)
	w.steadilyHot()
	for _, link := range k.Links() {
		link.Cut()
	}
	cut := time.Now()
	w.until("4 s have passed", func() error {
		if time.Since(cut) < 4*time.Second {
			return errors.New("not yet")
		}
		return nil
	})
	for _, link := range k.Links() {
		link.Heal()
	}
	healed := time.Now().UnixMilli()
	w.everyPartitionHas(healed)
	w.until("something is hot again", func() error {
		for _, key := range w.hotNow() {
			if key.Count > 500 {
				return nil
			}
		}
		return fmt.Errorf("%v", w.hotNow())
	})
	stop()
	w.written()
	w.caughtUp(p)
	p.stop()
	hots, tops := w.check()
	t.Logf("%d hot lists and %d rankings are as the log says", len(hots), len(tops))
}
