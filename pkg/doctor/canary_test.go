package doctor_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/doctor"
	"eshop/pkg/invalidation"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
)

// tree reads all nodes under the root, with their data.
func (w *world) tree(t *testing.T) map[string]string {
	t.Helper()
	nodes := make(map[string]string)
	w.session(t, func(ctx context.Context, s *zookeeper.Session) error {
		queue := []string{""}
		for len(queue) > 0 {
			path := queue[0]
			queue = queue[1:]
			data, _, err := s.Get(ctx, path)
			if err != nil {
				return err
			}
			nodes[path] = string(data)
			children, err := s.Children(ctx, path)
			if err != nil {
				return err
			}
			for _, c := range children {
				queue = append(queue, strings.TrimPrefix(path+"/"+c, "/"))
			}
		}
		return nil
	})
	return nodes
}

// gateway is what a gateway makes of the bus.
type gateway struct {
	mu      sync.Mutex
	changed []catalog.Invalidation
	gaps    []string
}

func (g *gateway) Changed(inv catalog.Invalidation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed = append(g.changed, inv)
}

func (g *gateway) Unverified(reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gaps = append(g.gaps, reason)
}

// TestCanaryLeavesNothingBehind: after it ZooKeeper has the nodes it had, Redis
// has no key of it, and who listens on the bus has heard of no change and holds no
// watermark the later for it.
func TestCanaryLeavesNothingBehind(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		before := w.tree(t)
		listener := &gateway{}
		floor, err := invalidation.NewFloor(16)
		if err != nil {
			t.Fatal(err)
		}
		bus, err := invalidation.NewSubscriber(invalidation.Config{Kafka: w.cfg.Kafka, Topic: w.cfg.TopicInvalidate}, floor, listener, invalidation.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		w.run(t, t.Context(), bus.Run, func() {
			r := w.examine(t)
			for _, step := range []string{"lock", "write", "guard", "read", "bus", "remove"} {
				if f, _ := find(r, "canary."+step, ""); f.Severity != doctor.OK {
					t.Errorf("%s: got %+v, want ok", step, f)
				}
			}
			if f, _ := find(r, "canary.feed", ""); f.Severity != doctor.Skipped || f.Found != "no cache process runs" {
				t.Errorf("feed: got %+v, want it skipped", f)
			}
			until(t, "the bus is read to its end", func() bool {
				var read int64
				for _, p := range bus.Status() {
					read += p.Next
				}
				return read >= 3 // one message a partition
			})
			if w := bus.Watermark(); w.After(time.Unix(1, 0)) {
				t.Errorf("the watermark is %v: the canary vouches for the bus", w)
			}
		})
		if len(listener.changed) > 0 || len(listener.gaps) > 0 || floor.Len() > 0 {
			t.Errorf("who listens on the bus has heard of %v, lost %q and remembers %d keys", listener.changed, listener.gaps, floor.Len())
		}
		if after := w.tree(t); !maps.Equal(before, after) {
			t.Errorf("nodes in ZooKeeper:\nbefore %q\nafter  %q", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
		}
	})
}

// TestCanaryOnTheFeed: a cache process that answers is waited for, one that is
// registered and does not answer is a failure. Redis and ZooKeeper are left as
// they were all the same.
func TestCanaryOnTheFeed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.put(t, "members/cache/c1", []byte("{}"))
		w.put(t, "members/gateway/g1", []byte("{}"))
		before := w.tree(t)
		short := *w
		short.cfg.Timeout = 5 * time.Second
		r := short.examine(t)
		if f, _ := find(r, "canary.feed", ""); f.Severity != doctor.Failure || !strings.Contains(f.Found, "no cache process has answered") {
			t.Errorf("nobody answers: got %+v, want a failure", f)
		}
		if f, _ := find(r, "canary.remove", ""); f.Severity != doctor.OK {
			t.Errorf("after the failure: got %+v, want it removed", f)
		}
		if after := w.tree(t); !maps.Equal(before, after) {
			t.Errorf("nodes in ZooKeeper:\nbefore %q\nafter  %q", before, after)
		}
	})
}

// TestNoCanary: every step is reported as skipped.
func TestNoCanary(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.cfg.Canary = false
		r := w.examine(t)
		for _, f := range r.Findings {
			if f.Area() == "canary" && (f.Severity != doctor.Skipped || f.Found != "--no-canary") {
				t.Errorf("got %+v, want it skipped", f)
			}
		}
	})
}

// TestCanaryKeysAreNobodys: the kind and its keys belong to no configuration.
func TestCanaryKeysAreNobodys(t *testing.T) {
	if catalog.Default().Kind(doctor.CanaryKind) != nil {
		t.Errorf("%s is a kind", doctor.CanaryKind)
	}
	store, err := rediscluster.New(rediscluster.Config{Addrs: []string{dead}}, catalog.Default(), rediscluster.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Discard(t.Context(), catalog.Key{Kind: doctor.CanaryKind, ID: 1}); err == nil {
		t.Error("a role's store knows the canary's kind")
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline, tick := time.NewTimer(30*time.Second), time.NewTicker(5*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}
