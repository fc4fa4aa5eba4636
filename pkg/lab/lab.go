package lab

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// startLimit is how long a call may wait for servers: the keeper's own limit, three tries of it at worst shared with
// another test binary's.
const startLimit = 4 * time.Minute

// callLimit is how long the keeper may take for a small thing. It does not wait for servers in it.
const callLimit = 30 * time.Second

// Main is for TestMain: os.Exit(lab.Main(m)). It runs the tests and lets the keeper of this binary end, waiting until the
// servers are gone. Without it the same happens when the process ends, unobserved.
func Main(m *testing.M) int {
	code := m.Run()
	Close()
	return code
}

// Close ends this binary's use of the shared servers; for a TestMain that calls something else than [Main]. Servers that
// belong to this binary alone are gone when it returns.
func Close() { home.close() }

// Missing says in a few words why servers of the kind ("redis", "zookeeper", "kafka") cannot be started on this machine;
// empty when they can.
func Missing(kind string) string { return server.Missing(kind) }

// require skips the test, or fails it in strict mode, when the machine lacks the programs.
func require(tb testing.TB, kind string) {
	tb.Helper()
	missing := server.Missing(kind)
	if missing == "" {
		return
	}
	text := fmt.Sprintf("no real %s: %s; run testdata/lab-setup.sh", kind, missing)
	if os.Getenv("ESHOP_TEST_STRICT") == "1" {
		tb.Fatal(text)
	}
	tb.Skip(text)
}

// sharedServers returns the shared servers' processes.
func sharedServers(tb testing.TB, kind string) []wire.Node {
	tb.Helper()
	require(tb, kind)
	answer, err := home.ask(wire.Request{Op: wire.Shared, Kind: kind})
	if err != nil {
		tb.Fatalf("use the shared %s: %v", kind, err)
	}
	return answer.Nodes
}

// named counts the names given out, so that two calls in one test differ.
var named atomic.Uint64

// Name returns a name that no other test, test binary or run on the same servers uses: a prefix for topics, groups, Redis
// keys and ZooKeeper roots. It consists of lower-case letters, digits and dashes, at most 60 characters, and begins with a
// letter.
func Name(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	for _, r := range strings.ToLower(tb.Name()) {
		if b.Len() >= 30 {
			break
		}
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' && b.Len() > 0 {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	name := strings.TrimSuffix(b.String(), "-")
	if name == "" {
		name = "t"
	}
	return fmt.Sprintf("%s-%s-%d", name, runMark, named.Add(1))
}

// runMark tells this process from every other that may use the same servers, also one with the same process id earlier.
var runMark = fmt.Sprintf("%x-%x", os.Getpid(), time.Now().UnixMilli()&0xffffffff)
