package zookeeper_test

import (
	"testing"

	"go.uber.org/goleak"

	"eshop/pkg/embedded/zookeeper"
	"eshop/pkg/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(withLab{m}) }

// withLab ends the use of the real servers before goroutines are counted.
type withLab struct{ m *testing.M }

func (w withLab) Run() int { return lab.Main(w.m) }

func start(tb testing.TB, cfg zookeeper.Config) *zookeeper.Server {
	tb.Helper()
	s, err := zookeeper.Start(tb.Context(), cfg, zookeeper.Deps{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}
