package guide_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eshop/pkg/embedded/origin"
	"eshop/pkg/lab"
)

// TestThreeMachines goes from a laptop to three machines. Their addresses are of the loopback network, and the block that
// names addresses is the only one that is not run as it stands.
func TestThreeMachines(t *testing.T) {
	laptop := machine{dir: sources(t)}
	shop, err := origin.Start(t.Context(), origin.Config{}, origin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shop.Close() })
	env := []string{
		"REDIS=" + strings.Join(lab.Redis(t).Addrs(), ","), "KAFKA=" + strings.Join(lab.Kafka(t).Addrs(), ","),
		"ZOOKEEPER=" + strings.Join(lab.ZooKeeper(t).Addrs(), ","), "SHOP=" + shop.URL(),
	}
	var machines []machine
	for i := range 3 {
		machines = append(machines, machine{dir: t.TempDir(), env: append([]string{fmt.Sprintf("ME=127.0.7.%d", i+1)}, env...)})
	}
	began := time.Now()
	var outputs []string
	var roles []*lab.Process
	for _, b := range blocks(t, "From a laptop to three machines") {
		switch {
		case b.where == "on the laptop":
			laptop.run(t, b.text)
			for _, m := range machines {
				for _, file := range []string{"eshop", "cluster-token", "admin-token"} {
					if out, err := exec.CommandContext(t.Context(), "cp", "-p", filepath.Join(laptop.dir, file), m.dir).CombinedOutput(); err != nil {
						t.Fatalf("copy %s: %v: %s", file, err, out)
					}
				}
			}
		case b.where == "on each machine, with your addresses":
			for _, name := range []string{"ME", "REDIS", "KAFKA", "ZOOKEEPER", "SHOP"} {
				if !strings.Contains(b.text, "export "+name+"=") {
					t.Errorf("the addresses lack %s", name)
				}
			}
		case b.where == "on one machine":
			outputs = append(outputs, machines[0].run(t, b.text))
		case b.where == "on each machine" && strings.Contains(b.text, ".pid; done") && strings.Contains(b.text, "&"):
			for _, m := range machines {
				roles = append(roles, m.start(t, b.text))
			}
		case b.where == "on each machine":
			var all []*lab.Process
			began := time.Now()
			for _, m := range machines {
				all = append(all, m.start(t, b.text))
			}
			for _, p := range all {
				if out := finish(t, b.text, began, p); strings.Contains(b.text, "cache-status") && !strings.Contains(out, "eshop; hit") {
					t.Errorf("the page is not in memory:\n%s", out)
				}
			}
		default:
			t.Errorf("it is not said where this is to be done:\n%s", b.text)
		}
	}
	for _, p := range roles {
		p.Wait(time.Minute) // the last block has ended what it started
	}
	t.Logf("it took %.0f s without reading", time.Since(began).Seconds())
	if len(outputs) != 2 || len(roles) != 3 {
		t.Fatalf("got %d blocks on one machine and %d that start roles, want 2 and 3", len(outputs), len(roles))
	}
	for i, wants := range [][]string{{"topic cache-message:", "Nothing was done (--dry-run)", "\n0 failures"}, {"product", `"stamp"`, "a cache process answered on the bus", "3 gateways"}} {
		for _, want := range wants {
			if !strings.Contains(outputs[i], want) {
				t.Errorf("lacks %q:\n%s", want, outputs[i])
			}
		}
	}
	for _, m := range machines {
		for _, role := range []string{"gateway", "hotcount", "cache"} {
			if text, err := os.ReadFile(filepath.Join(m.dir, role+".log")); err != nil || strings.Contains(string(text), "level=ERROR") {
				t.Errorf("the log of %s in %s: %v\n%s", role, m.dir, err, text)
			}
		}
	}
}
