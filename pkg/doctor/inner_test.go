package doctor

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/kafka"
	"eshop/pkg/rediscluster"
)

var update = flag.Bool("update", false, "rewrite what the tests compare with")

// TestReportForms compares both forms of a report with files; -update rewrites them.
func TestReportForms(t *testing.T) {
	var n notes
	n.area = "kafka"
	n.ok("reachable", "%d of %d brokers answer", 3, 3)
	for _, topic := range []string{"cache-message", "access-log"} {
		from := len(n.findings)
		n.ok("partitions", "%d", 12)
		n.say(fail("its partitions are away with one broker", "kafka-reassign-partitions.sh --execute && echo <done>"), "replication", "replication factor 1")
		n.skip("the brokers do not tell it", "cleanup", "timestamp")
		n.on(from, topic)
	}
	n.say(warn("hits are counted late", ""), "lag", "70 records wait")
	c := notes{area: "canary"}
	c.skip("--no-canary", "lock", "write")
	r := Report{Findings: append(n.findings, c.findings...)}
	for name, write := range map[string]func(*strings.Builder) error{
		"report.txt":  func(b *strings.Builder) error { return r.Table(b) },
		"report.json": func(b *strings.Builder) error { return r.JSON(b) },
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestOffset: what is known of a clock is never more than the answer's time allows.
func TestOffset(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, tt := range []struct {
		told     time.Duration // after the question
		took     time.Duration
		severity Severity
	}{
		{0, 0, OK},
		{400 * time.Millisecond, 0, OK},
		{600 * time.Millisecond, 0, Warning},
		{-600 * time.Millisecond, 0, Warning},
		{16 * time.Second, 0, Failure},
		{time.Second, time.Second, OK}, // it may have been told at the end
		{2 * time.Second, time.Second, Warning},
	} {
		d := doctor{Config: Config{MaxStaleness: 30 * time.Second}}
		var n notes
		d.clocks(&n, []reading{{whose: "x", asked: at, told: at.Add(tt.told), answered: at.Add(tt.took)}})
		if got := n.findings[0]; got.Severity != tt.severity {
			t.Errorf("%v after a question of %v: got %s (%s), want %s", tt.told, tt.took, got.Severity, got.Found, tt.severity)
		}
	}
}

// TestCommandLines: commands have the addresses and say how to log in, and no secret.
func TestCommandLines(t *testing.T) {
	d := doctor{Config: Config{
		Redis: rediscluster.Config{Username: "eshop", Password: func() string { return "hidden" }},
		Kafka: kafka.Config{Brokers: []string{"k1:9092"}, SASL: &kafka.SASL{Password: func() string { return "hidden" }}},
	}}
	for want, got := range map[string]string{
		"redis-cli -h r1 -p 7001 --user eshop --askpass PING":          d.redisCLI("r1:7001", "PING"),
		"redis-cli -h 2001:db8::1 -p 7001 --user eshop --askpass PING": d.redisCLI("[2001:db8::1]:7001", "PING"),
		"kafka-configs.sh --bootstrap-server k1:9092 --command-config client.properties --entity-type topics --entity-name t --alter --add-config a=1,b=2": d.kafkaSet("t", "a=1", "b=2"),
	} {
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestMemoryOf: a control group's limit counts where it is the lower one.
func TestMemoryOf(t *testing.T) {
	meminfo := &fstest.MapFile{Data: []byte("MemTotal:        2048 kB\nMemFree: 1 kB\n")}
	for _, tt := range []struct {
		limit string
		want  int64
	}{{"max\n", 2 << 20}, {"1048576\n", 1 << 20}, {"9999999999\n", 2 << 20}} {
		root := fstest.MapFS{"proc/meminfo": meminfo, "sys/fs/cgroup/memory.max": {Data: []byte(tt.limit)}}
		if got := memoryOf(root); got != tt.want {
			t.Errorf("limit %q: got %d, want %d", tt.limit, got, tt.want)
		}
	}
	if got := memoryOf(fstest.MapFS{}); got != 0 {
		t.Errorf("a system that tells nothing: got %d, want 0", got)
	}
}

// TestEvictionByUse: a full cache that evicts what was used longest ago is as it should be.
func TestEvictionByUse(t *testing.T) {
	var n notes
	d := doctor{}
	d.redisMemory(&n, []rediscluster.NodeReport{{Addr: "r1:7001", Info: map[string]string{"maxmemory": "100", "used_memory": "99", "maxmemory_policy": "allkeys-lru", "evicted_keys": "7"}}})
	if got := n.findings[0]; got.Severity != OK || !strings.Contains(got.Found, "7 documents evicted") {
		t.Errorf("got %+v, want ok with the number", got)
	}
}
