package audit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"eshop/pkg/audit"
	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/invalidation"
	"eshop/pkg/rediscluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func key(id int64) catalog.Key { return catalog.Key{Kind: "product", ID: id} }

// doc is a live document whose content is its version's.
func doc(id, version, token int64) catalog.Document {
	return catalog.Document{Key: key(id), State: catalog.Live, Stamp: catalog.Stamp{Version: version, Token: token},
		Body: fmt.Appendf(nil, `{"v":%d}`, version), Pulled: time.Now()}
}

func gone(id, version, token int64) catalog.Document {
	return catalog.Document{Key: key(id), State: catalog.Tombstone, Stamp: catalog.Stamp{Version: version, Token: token}, Pulled: time.Now()}
}

// shop is Redis, the origin, and one process with a heap and a bus, all of which
// a test moves by hand.
type shop struct {
	*audit.Auditor
	tb       testing.TB
	registry *prometheus.Registry
	floor    *invalidation.Floor

	mu              sync.Mutex
	master          map[catalog.Key]catalog.Document
	origin          map[catalog.Key]catalog.Document
	heap            map[catalog.Key]catalog.Document
	changed, loaded time.Time
	down            bool
	calls, pulls    int
	token           int64 // the last one given out
	repaired        []catalog.Key
	reading         func() // called before a read of Redis, without the lock
}

func open(tb testing.TB, cfg audit.Config) *shop {
	tb.Helper()
	s := &shop{tb: tb, registry: prometheus.NewRegistry(), master: map[catalog.Key]catalog.Document{},
		origin: map[catalog.Key]catalog.Document{}, heap: map[catalog.Key]catalog.Document{}}
	var err error
	if s.floor, err = invalidation.NewFloor(1000); err != nil {
		tb.Fatal(err)
	}
	s.Auditor, err = audit.New(cfg, audit.Deps{Log: log(tb), Registry: s.registry, Heap: s, Redis: s, Floor: s.floor, Changed: s.Changed, Revalidate: s.revalidate, Repair: s.repair})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func log(tb testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

// run audits until the test, or the function it returns, ends it.
func (s *shop) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.tb.Errorf("Run: %v", err)
		}
	})
	s.tb.Cleanup(stop)
	return stop
}

func (s *shop) Sample(n int) (copies []audit.Copy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []catalog.Document
	for _, d := range s.heap {
		all = append(all, d)
	}
	for range min(n, 100*len(all)) {
		d := all[rand.IntN(len(all))]
		copies = append(copies, audit.Copy{Key: d.Key, Stamp: d.Stamp, Sum: audit.Sum(d), Layer: "document", Verified: d.Pulled, Served: func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			held, ok := s.heap[d.Key]
			return ok && held.Stamp == d.Stamp
		}})
	}
	return copies
}

func (s *shop) Forget(key catalog.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.heap, key)
}

func (s *shop) Changed(inv catalog.Invalidation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.heap[inv.Key]; ok && inv.Supersedes(d.Stamp) {
		delete(s.heap, inv.Key)
	}
}

var errDown = errors.New("connection refused")

func (s *shop) GetMany(_ context.Context, keys []catalog.Key, from rediscluster.From) []rediscluster.Result {
	if from != rediscluster.FromMaster {
		s.tb.Error("the auditor read a replica")
	}
	if s.reading != nil {
		s.reading()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	out := make([]rediscluster.Result, len(keys))
	for i, k := range keys {
		out[i].Document = catalog.Document{Key: k}
		if s.down {
			out[i].Err = errDown
		} else if d, ok := s.master[k]; ok {
			out[i].Document = d
		}
	}
	return out
}

func (s *shop) Topology() (changed, loaded time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed, s.loaded
}

func (s *shop) revalidate(_ context.Context, key catalog.Key, _ catalog.Stamp) (docapi.Reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pulls++
	d, ok := s.origin[key]
	if !ok {
		return docapi.Reply{}, &docapi.Unavailable{Reason: "the origin fails"}
	}
	return docapi.Reply{Document: d, Layer: docapi.LayerOrigin}, nil
}

// repair stores what the master has lost under a new token.
func (s *shop) repair(_ context.Context, key catalog.Key, _, expected catalog.Stamp) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repaired = append(s.repaired, key)
	s.token++
	d := doc(key.ID, expected.Version, s.token)
	d.Stamp.Epoch = expected.Epoch
	s.master[key] = d
	return nil
}

// do changes the shop under its lock.
func (s *shop) do(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// value is the sum of the counters, or of the observations, with a name and
// certain labels.
func (s *shop) value(name string, labels ...string) (sum float64) {
	s.tb.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			has := 0
			for _, l := range m.GetLabel() {
				for _, want := range labels {
					if l.GetName()+"="+l.GetValue() == want {
						has++
					}
				}
			}
			if f.GetName() == name && has == len(labels) {
				sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// seconds is the sum of the observed ages.
func (s *shop) seconds(against string) (sum float64) {
	s.tb.Helper()
	families, err := s.registry.Gather()
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "eshop_staleness_seconds" && m.GetLabel()[0].GetValue() == against {
				sum += m.GetHistogram().GetSampleSum()
			}
		}
	}
	return sum
}

func (s *shop) violations() float64 { return s.value("eshop_consistency_violations_total") }
