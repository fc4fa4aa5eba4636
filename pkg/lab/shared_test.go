package lab_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"eshop/pkg/lab"

	"go.uber.org/goleak"
)

func TestSharedServers(t *testing.T) {
	kinds := []struct {
		name  string
		nodes int
		ask   func(testing.TB) []*lab.Node
	}{
		{"redis", 6, func(tb testing.TB) []*lab.Node { return lab.Redis(tb).Nodes() }},
		{"zookeeper", 3, func(tb testing.TB) []*lab.Node { return lab.ZooKeeper(tb).Nodes() }},
		{"kafka", 3, func(tb testing.TB) []*lab.Node { return lab.Kafka(tb).Nodes() }},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			nodes := k.ask(t)
			if got := len(nodes); got != k.nodes {
				t.Fatalf("got %d nodes, want %d", got, k.nodes)
			}
			again := k.ask(t)
			for i, n := range nodes {
				if got, want := again[i].Pid(), n.Pid(); got != want {
					t.Errorf("node %d of the second asker: got pid %d, want %d", i, got, want)
				}
			}
		})
	}
}

// Every way to disturb a shared server fails the test and leaves the server alone.
func TestSharedServersAreNotTouched(t *testing.T) {
	ways := map[string]func(*lab.Node){
		"kill": (*lab.Node).Kill, "pause": (*lab.Node).Pause, "stop": (*lab.Node).Stop, "restart": (*lab.Node).Restart,
	}
	lab.Redis(t) // skips here where there are none
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			r := record(t, func(tb testing.TB) { way(lab.Redis(tb).Nodes()[0]) })
			if len(r.errors) == 0 || !strings.Contains(r.errors[0], "shared redis") {
				t.Errorf("got errors %q, want one about the shared redis", r.errors)
			}
		})
	}
	lab.Redis(t).WaitReady(soon)
}

// A test binary that uses servers has no goroutine of the lab's.
func TestNoGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	lab.Redis(t)
	p := lab.Start(t, lab.Command{Path: "sleep", Args: []string{"60"}})
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	p.Kill()
}

func TestMissingServer(t *testing.T) {
	kinds := map[string]func(testing.TB){
		"redis":     func(tb testing.TB) { lab.Redis(tb) },
		"zookeeper": func(tb testing.TB) { lab.ZooKeeperNew(tb) },
		"kafka":     func(tb testing.TB) { lab.KafkaNew(tb) },
	}
	for kind, use := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Setenv("PATH", t.TempDir())
			t.Setenv("ESHOP_TEST_STRICT", "")
			r := record(t, use)
			if !strings.Contains(r.skipped, "no real "+kind) || !strings.Contains(r.skipped, "run testdata/lab-setup.sh") || strings.Contains(r.skipped, "\n") {
				t.Errorf("skipped with %q, want one line that names the kind and the script", r.skipped)
			}
			t.Setenv("ESHOP_TEST_STRICT", "1")
			r = record(t, use)
			if !strings.Contains(r.fatal, "no real "+kind) || r.skipped != "" {
				t.Errorf("strict: fatal %q, skipped %q, want a failure that names the kind", r.fatal, r.skipped)
			}
		})
	}
}

func TestMissingKafkaJars(t *testing.T) {
	if os.Getenv("ESHOP_TEST_STRICT") != "1" && lab.Missing("kafka") != "" {
		t.Skip(lab.Missing("kafka"))
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if got := lab.Missing("kafka"); !strings.Contains(got, "jars") {
		t.Errorf("got %q, want a word about the jars", got)
	}
}

func TestName(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z][a-z0-9-]{0,59}$`)
	var names []string
	for _, sub := range []string{"plain", "Größe/§ 7 of 9", strings.Repeat("long", 40), "/", "7"} {
		t.Run(sub, func(t *testing.T) {
			for range 2 {
				n := lab.Name(t)
				if !valid.MatchString(n) {
					t.Errorf("got %q, want %s", n, valid)
				}
				if slices.Contains(names, n) {
					t.Errorf("got %q a second time", n)
				}
				names = append(names, n)
			}
		})
	}
}
