package rediscluster_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"eshop/pkg/catalog"
	"eshop/pkg/embedded/redis"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
)

type tests struct{ *testing.M }

func (t tests) Run() int { return lab.Main(t.M) }

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(tests{m}, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")) // ends within a second of its pool
}

// long selects the big form of tests that have one.
func long() bool { return os.Getenv("ESHOP_LONG") == "1" }

// onBoth runs a body against the embedded server and against a real cluster.
func onBoth(t *testing.T, body func(t *testing.T, addrs []string)) {
	t.Run("embedded", func(t *testing.T) { body(t, []string{embedded(t).Addr()}) })
	t.Run("cluster", func(t *testing.T) { body(t, lab.Redis(t).Addrs()) })
}

func embedded(t testing.TB) *redis.Server {
	t.Helper()
	s, err := redis.Start(context.Background(), redis.Config{}, redis.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// shop is a catalogue whose Redis keys are this test's own.
func shop(t testing.TB) *catalog.Catalog {
	t.Helper()
	kinds := catalog.DefaultKinds()
	name := lab.Name(t)
	for i := range kinds {
		kinds[i].Prefix = name + "_" + kinds[i].Name + "_"
	}
	c, err := catalog.New(kinds, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t testing.TB, cfg rediscluster.Config, cat *catalog.Catalog) (*rediscluster.Store, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	s, err := rediscluster.New(cfg, cat, rediscluster.Deps{Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, reg
}

func product(id int64) catalog.Key { return catalog.Key{Kind: "product", ID: id} }

// doc is a live document whose version comes from the field modifiedTime.
func doc(id int64, version, token int64, body string) catalog.Document {
	return catalog.Document{Key: product(id), State: catalog.Live, Body: []byte(body), Field: "modifiedTime",
		Stamp: catalog.Stamp{Version: version, Token: token}}
}

func write(t testing.TB, s *rediscluster.Store, op rediscluster.Op, d catalog.Document) rediscluster.Outcome {
	t.Helper()
	o, err := s.Write(t.Context(), op, d)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func get(t testing.TB, s *rediscluster.Store, k catalog.Key, from rediscluster.From) catalog.Document {
	t.Helper()
	d, err := s.Get(t.Context(), k, from)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// metric sums the series of a counter or gauge whose labels hold all of the
// given name, value pairs.
func metric(t testing.TB, reg *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			has := map[string]string{}
			for _, l := range m.GetLabel() {
				has[l.GetName()] = l.GetValue()
			}
			for i := 0; i < len(labels); i += 2 {
				if has[labels[i]] != labels[i+1] {
					continue series
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func until(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	lab.Until(t, limit, func(context.Context) error {
		if ok() {
			return nil
		}
		return fmt.Errorf("still waiting until %s", what)
	})
}
