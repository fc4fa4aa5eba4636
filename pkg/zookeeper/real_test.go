package zookeeper_test

import (
	"os"
	"testing"

	"eshop/pkg/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// startReal returns the shared ensemble of this run.
func startReal(t *testing.T) []string {
	t.Helper()
	return lab.ZooKeeper(t).Addrs()
}
