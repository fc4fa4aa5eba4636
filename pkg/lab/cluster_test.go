package lab_test

import (
	"testing"

	"eshop/pkg/lab"
)

func TestSharedStart(t *testing.T) {
	t.Run("redis", func(t *testing.T) { t.Parallel(); t.Log(lab.Redis(t).Addrs()) })
	t.Run("zookeeper", func(t *testing.T) { t.Parallel(); t.Log(lab.ZooKeeper(t).Addrs()) })
	t.Run("kafka", func(t *testing.T) { t.Parallel(); t.Log(lab.Kafka(t).Addrs()) })
}
