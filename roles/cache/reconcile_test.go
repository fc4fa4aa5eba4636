package cache_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/embedded"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
	"eshop/roles/cache"
)

// logged is a log that a test reads while it is written.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

// lines are those that contain all of the texts.
func (l *logged) lines(texts ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.out.String()) {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// reaches waits until the master holds at least a stamp, without any read by a
// cache process.
func (w *world) reaches(limit time.Duration, key catalog.Key, least catalog.Stamp) {
	w.t.Helper()
	w.untilWithin(limit, fmt.Sprintf("Redis holds %v of %v", least, key), func() (bool, string) {
		doc, err := w.store.Get(w.t.Context(), key, rediscluster.FromMaster)
		return err == nil && !doc.Stamp.Less(least), fmt.Sprint(doc.Stamp, err)
	})
}

// Recently changed documents that Redis has lost are found without a read, by one
// process each, whatever took them; what is missing, or was never changed, is
// left alone.
func TestInvariant3SweepRepairs(t *testing.T) {
	onBoth(t, 0, nil, func(t *testing.T, w *world) {
		out := &logged{}
		w.log = out.logger()
		for i := range 2 {
			cfg := w.config(i, w.servers.Origin.URL())
			cfg.ReconcileEvery = 300 * time.Millisecond
			w.start(cfg)
		}
		const first, last = 31, 38
		lost := map[catalog.Key]catalog.Stamp{}
		for id := int64(first); id <= last; id++ {
			old, now := w.change(0, product(id), fmt.Sprint(id*100))
			if id == last { // as if evicted
				w.command("DEL", fmt.Sprintf("%s:product_info_%d", w.name, id))
				continue
			}
			w.lose(old)
			lost[product(id)] = now.Stamp
		}
		for key, least := range lost {
			w.reaches(10*time.Second, key, least)
		}
		repairs := func() float64 {
			return w.metric(0, "eshop_redis_repairs_total", "cause=sweep") + w.metric(1, "eshop_redis_repairs_total", "cause=sweep")
		}
		w.until("the repairs are counted", func() (bool, string) {
			return repairs() >= float64(len(lost)), fmt.Sprint(repairs())
		})
		if n := repairs(); n != float64(len(lost)) {
			t.Errorf("%v repairs of %d lost documents", n, len(lost))
		}
		for i := range 2 {
			if w.metric(i, "eshop_redis_repairs_total", "cause=sweep") == 0 {
				t.Errorf("process %d repaired nothing: the documents are not shared out", i)
			}
		}
		pulls := w.servers.Origin.Count("product", last)
		w.until("the missing one was met again", func() (bool, string) {
			return w.metric(0, "eshop_cache_reconciled_total", "outcome=missing")+w.metric(1, "eshop_cache_reconciled_total", "outcome=missing") > 1, ""
		})
		if n := w.servers.Origin.Count("product", last); n != pulls {
			t.Errorf("a document that is missing in Redis was pulled %d times, want 0", n-pulls)
		}
		for id := first; id < last; id++ {
			if n := len(out.lines("pulled again", "kind=product", fmt.Sprintf("id=%d ", id), "cause=sweep", "found=", "expected=")); n != 1 {
				t.Errorf("%d lines tell of the repair of product %d, want 1", n, id)
			}
		}
	})
}

// What cannot be repaired now is tried again soon, and counted once.
func TestReconciliationTriesAgain(t *testing.T) {
	w := newWorld(t, 1, func(c *cache.Config) { c.ReconcileEvery = 200 * time.Millisecond })
	old, now := w.change(0, product(41), "4100")
	w.servers.Origin.SetFailing(http.StatusInternalServerError)
	w.lose(old)
	w.until("it is found", func() (bool, string) { return w.metric(0, "eshop_cache_reconciled_total", "outcome=open") > 0, "" })
	if n := w.metric(0, "eshop_redis_repairs_total"); n != 0 {
		t.Errorf("%v repairs with the origin away, want 0", n)
	}
	w.servers.Origin.SetFailing(0)
	w.reaches(30*time.Second, product(41), now.Stamp)
	w.until("it is counted", func() (bool, string) { return w.metric(0, "eshop_redis_repairs_total") == 1, "" })
}

// Invariant 3 on real servers: a master acknowledges writes that no replica gets,
// and is killed; the replica that takes over never had them. Without any read,
// the changed document is repaired, counted under the cause, and logged; a copy
// that was only read before, and is as it was, stays.
func TestInvariant3FailoverLosesWrites(t *testing.T) {
	c := lab.RedisNew(t)
	c.WaitReady(20 * time.Second)
	w := newWorldOn(t, embedded.Config{RedisAddrs: c.Addrs()}, 0, nil)
	out := &logged{}
	w.log = out.logger()
	for i := range 2 {
		w.start(w.config(i, w.servers.Origin.URL()))
	}
	key := product(51)
	w.load(0, key)
	ctx := t.Context()
	text, err := c.Do(ctx, c.Nodes()[0], "CLUSTER", "KEYSLOT", w.name+":product_info_51")
	slot, bad := strconv.Atoi(text)
	if err != nil || bad != nil {
		t.Fatalf("the key's slot: %q, %v", text, err)
	}
	victim := c.Master(slot)
	replica := c.Replicas(victim)[0]
	lab.Until(t, 10*time.Second, func(ctx context.Context) error {
		has, err := c.Do(ctx, victim, "DBSIZE")
		got, bad := c.Do(ctx, replica, "DBSIZE")
		if err != nil || bad != nil || has == "0" || got != has {
			return fmt.Errorf("the replica has %q of %q keys, %v, %v", got, has, bad, err)
		}
		return nil
	})
	// The stream to the replica is cut, and while it stands still it cannot take
	// it up again; what it had not read before is gone with the connection.
	replica.Pause()
	if _, err := c.Do(ctx, victim, "CLIENT", "KILL", "TYPE", "replica"); err != nil {
		t.Fatal(err)
	}
	_, now := w.change(0, key, "5151")
	victim.Kill()
	replica.Resume()
	c.WaitMaster(slot, victim, 60*time.Second)
	w.reaches(30*time.Second, key, now.Stamp)

	repairs := func() (sum float64) {
		return w.metric(0, "eshop_redis_repairs_total", "cause=failover") + w.metric(1, "eshop_redis_repairs_total", "cause=failover")
	}
	w.until("the repair is counted", func() (bool, string) { return repairs() > 0, fmt.Sprint(repairs()) })
	if n := repairs(); n != 1 {
		t.Errorf("%v repairs after the failover, want 1", n)
	}
	if lines := out.lines("pulled again", "kind=product", "id=51", "cause=failover", "expected="+now.Stamp.String()); len(lines) != 1 {
		t.Errorf("%d lines tell of the repair, want 1: %q", len(lines), lines)
	}
	got, err := w.roles[1].Load(ctx, docapi.Request{Key: key})
	if err != nil || !strings.Contains(string(got.Document.Body), "5151") {
		t.Errorf("after the repair: %s, %v", got.Document.Body, err)
	}
}
