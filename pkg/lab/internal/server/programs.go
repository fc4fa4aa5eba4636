package server

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"eshop/pkg/lab/internal/wire"
)

// ZooKeeperJar is where Debian's libzookeeper-java puts the server.
const ZooKeeperJar = "/usr/share/java/zookeeper.jar"

// KafkaLibs is the folder of Kafka's jars, filled by testdata/lab-setup.sh.
func KafkaLibs() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the folder of Kafka's jars: %w", err)
	}
	return filepath.Join(cache, "eshop-lab", "kafka-3.9.2"), nil
}

// Missing says in a few words what this machine lacks for servers of the kind; empty when nothing.
func Missing(kind string) string {
	if runtime.GOOS != "linux" {
		return "real servers are started on Linux only"
	}
	if kind == wire.Redis {
		if _, err := exec.LookPath("redis-server"); err != nil {
			return "redis-server is not installed"
		}
		return ""
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "java is not installed"
	}
	if kind == wire.ZooKeeper {
		if _, err := os.Stat(ZooKeeperJar); err != nil {
			return ZooKeeperJar + " is not installed"
		}
		return ""
	}
	libs, err := KafkaLibs()
	if err != nil {
		return err.Error()
	}
	if _, err := os.Stat(filepath.Join(libs, ".complete")); err != nil {
		return "Kafka's jars are not in " + libs
	}
	return ""
}
