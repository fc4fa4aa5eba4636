package doctor_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/doctor"
	"eshop/pkg/lab"
)

// injection is one thing that is wrong, and what is to be said of it.
type injection struct {
	name     string
	inject   func(t *testing.T, w *world)
	check    string
	on       func(w *world) string // nil: nothing, or whatever it is about
	severity doctor.Severity
	found    string // part of it
	mend     string // part of it
	real     bool   // the embedded servers cannot be wrong in this way
}

const dead = "127.0.0.1:1" // nothing listens on the first port

func misconfigurations() []injection {
	change := func(w *world) string { return w.cfg.TopicChange }
	access := func(w *world) string { return w.cfg.TopicAccess }
	invalidate := func(w *world) string { return w.cfg.TopicInvalidate }
	product := func(*world) string { return "product" }
	shift := func(by time.Duration) func(t *testing.T, w *world) {
		return func(_ *testing.T, w *world) { w.now = func() time.Time { return time.Now().Add(by) } }
	}
	secret := func(mode os.FileMode) func(t *testing.T, w *world) {
		return func(t *testing.T, w *world) {
			path := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(path, []byte("very-secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			w.cfg.Own.Secrets = []doctor.Secret{{Flag: "cluster.token-file", Path: path}}
		}
	}
	origin := func(how func(w http.ResponseWriter, r *http.Request) bool) func(t *testing.T, w *world) {
		return func(t *testing.T, w *world) { w.shop.misbehave(t, how) }
	}
	unknown := func(status int, body string) func(t *testing.T, w *world) {
		return origin(func(w http.ResponseWriter, r *http.Request) bool {
			if len(r.URL.RawQuery) < 20 {
				return false
			}
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return true
		})
	}
	node := func(bytes int) func(t *testing.T, w *world) {
		return func(t *testing.T, w *world) { w.put(t, "hot/7", make([]byte, bytes)) }
	}
	return []injection{
		{name: "wrong Redis address", check: "redis.reachable", severity: doctor.Failure, found: "0 of 1 nodes answer", mend: "redis-cli -h 127.0.0.1 -p 1 PING",
			inject: func(_ *testing.T, w *world) { w.cfg.Redis.Addrs = []string{dead} }},
		{name: "one wrong Redis address of several", check: "redis.reachable", severity: doctor.Failure, found: "not " + dead,
			inject: func(_ *testing.T, w *world) { w.cfg.Redis.Addrs = append([]string{dead}, w.cfg.Redis.Addrs...) }},
		{name: "clock 3 s off", check: "redis.clock", severity: doctor.Warning, found: "3s behind", mend: "timedatectl", inject: shift(3 * time.Second)},
		{name: "clock 20 s off", check: "zookeeper.clock", severity: doctor.Failure, found: "20s ahead", mend: "chronyc", inject: shift(-20 * time.Second)},

		{name: "wrong Kafka address", check: "kafka.reachable", severity: doctor.Failure, found: "0 of 1 brokers answer", mend: "kafka-broker-api-versions.sh --bootstrap-server " + dead,
			inject: func(_ *testing.T, w *world) { w.cfg.Kafka.Brokers = []string{dead} }},
		{name: "topic missing", check: "kafka.topic", on: invalidate, severity: doctor.Failure, found: "there is no such topic", mend: "eshop bootstrap --kafka.brokers",
			inject: func(t *testing.T, w *world) { w.cfg.TopicInvalidate = lab.Name(t) }},
		{name: "one partition", check: "kafka.partitions", on: change, severity: doctor.Warning, found: "1 partition", mend: "--alter --partitions 12",
			inject: func(t *testing.T, w *world) { w.topic(t, &w.cfg.TopicChange, 1, 3, nil) }},
		{name: "replication 1", check: "kafka.replication", on: access, severity: doctor.Failure, found: "replication factor 1 of 3 brokers", mend: "kafka-reassign-partitions.sh", real: true,
			inject: func(t *testing.T, w *world) { w.topic(t, &w.cfg.TopicAccess, 3, 1, nil) }},
		{name: "acknowledged by one broker", check: "kafka.min-insync", on: change, severity: doctor.Warning, found: "min.insync.replicas is 1 of 3", mend: "min.insync.replicas=2", real: true,
			inject: func(t *testing.T, w *world) {
				w.topic(t, &w.cfg.TopicChange, 3, 3, map[string]string{"min.insync.replicas": "1"})
			}},
		{name: "no broker may be away", check: "kafka.min-insync", on: change, severity: doctor.Warning, found: "min.insync.replicas is 3 of 3", mend: "min.insync.replicas=2", real: true,
			inject: func(t *testing.T, w *world) {
				w.topic(t, &w.cfg.TopicChange, 3, 3, map[string]string{"min.insync.replicas": "3"})
			}},
		{name: "invalidations kept shorter than replayed", check: "kafka.retention", on: invalidate, severity: doctor.Failure, found: "kept for 1m, at least 5m", mend: "--add-config retention.ms=",
			inject: func(t *testing.T, w *world) {
				w.topic(t, &w.cfg.TopicInvalidate, 3, 3, map[string]string{"retention.ms": "60000"})
			}},
		{name: "access log kept shorter than a window", check: "kafka.retention", on: access, severity: doctor.Failure, found: "kept for 10s, at least 15s",
			inject: func(t *testing.T, w *world) {
				w.topic(t, &w.cfg.TopicAccess, 3, 3, map[string]string{"retention.ms": "10000"})
			}},
		{name: "changes kept for two hours", check: "kafka.retention", on: change, severity: doctor.Warning, found: "kept for 2h, 1d would be prudent",
			inject: func(t *testing.T, w *world) {
				w.topic(t, &w.cfg.TopicChange, 3, 3, map[string]string{"retention.ms": "7200000"})
			}},
		{name: "retention by bytes", check: "kafka.retention", on: access, severity: doctor.Warning, found: "only the last 1048576 bytes", mend: "retention.bytes=-1",
			inject: func(t *testing.T, w *world) {
				w.topic(t, &w.cfg.TopicAccess, 3, 3, map[string]string{"retention.ms": "86400000", "retention.bytes": "1048576"})
			}},
		{name: "compacted topic", check: "kafka.cleanup", on: change, severity: doctor.Failure, found: "cleanup.policy is compact", mend: "cleanup.policy=delete",
			inject: func(t *testing.T, w *world) {
				w.topic(t, &w.cfg.TopicChange, 3, 3, map[string]string{"cleanup.policy": "compact"})
			}},
		{name: "changes stamped by the broker", check: "kafka.timestamp", on: change, severity: doctor.Warning, found: "LogAppendTime", mend: "CreateTime",
			inject: func(t *testing.T, w *world) {
				w.topic(t, &w.cfg.TopicChange, 3, 3, map[string]string{"message.timestamp.type": "LogAppendTime"})
			}},
		{name: "batches too large", check: "kafka.message-size", on: invalidate, severity: doctor.Failure, found: "max.message.bytes is 100000", mend: "max.message.bytes=1048588",
			inject: func(t *testing.T, w *world) {
				w.topic(t, &w.cfg.TopicInvalidate, 3, 3, map[string]string{"max.message.bytes": "100000"})
			}},
		{name: "lagging group", check: "kafka.lag", on: func(w *world) string { return w.cfg.GroupCache }, severity: doctor.Failure, found: "3 records", mend: "kafka-consumer-groups.sh",
			inject: func(t *testing.T, w *world) { w.lag(t, 10*time.Minute) }},
		{name: "group two minutes behind", check: "kafka.lag", on: func(w *world) string { return w.cfg.GroupCache }, severity: doctor.Warning, found: "older than 1m",
			inject: func(t *testing.T, w *world) { w.lag(t, 2*time.Minute) }},
		{name: "topics made by a misspelt name", check: "kafka.auto-create", severity: doctor.Warning, found: "auto.create.topics.enable is true", mend: "auto.create.topics.enable=false", real: true,
			inject: func(*testing.T, *world) {}},

		{name: "wrong ZooKeeper address", check: "zookeeper.reachable", severity: doctor.Failure, found: "0 of 1 servers answer", mend: "zkServer.sh status",
			inject: func(_ *testing.T, w *world) { w.cfg.ZooKeeper.Servers = []string{dead} }},
		{name: "one server of the ensemble named", check: "zookeeper.ensemble", severity: doctor.Warning, found: "3 servers, of which --zookeeper.servers names 1", real: true,
			inject: func(_ *testing.T, w *world) { w.cfg.ZooKeeper.Servers = w.cfg.ZooKeeper.Servers[:1] }},
		{name: "session timeout not granted", check: "zookeeper.session", severity: doctor.Warning, found: "of 1m30s was asked for and 1m granted", mend: "maxSessionTimeout=90000",
			inject: func(_ *testing.T, w *world) { w.cfg.ZooKeeper.SessionTimeout = 90 * time.Second }},
		{name: "root missing", check: "zookeeper.root", severity: doctor.Failure, found: "node does not exist", mend: "eshop bootstrap",
			inject: func(t *testing.T, w *world) { w.cfg.ZooKeeper.Root = "/" + lab.Name(t) }},
		{name: "nodes missing", check: "zookeeper.nodes", severity: doctor.Warning, found: "/degrade", mend: "eshop bootstrap",
			inject: func(_ *testing.T, w *world) { w.cfg.Nodes = append(w.cfg.Nodes, "degrade") }},
		{name: "big node", check: "zookeeper.sizes", severity: doctor.Warning, found: "/hot/7 with 600000 bytes", mend: "zkCli.sh stat", inject: node(600_000)},
		{name: "node at the limit", check: "zookeeper.sizes", severity: doctor.Failure, found: "/hot/7 with 1000000 bytes", inject: node(1_000_000)},
		{name: "gateways without caches", check: "zookeeper.members", severity: doctor.Warning, found: "no cache process", mend: "eshop cache",
			inject: func(t *testing.T, w *world) { w.put(t, "members/gateway/g1", []byte("{}")) }},

		{name: "origin down", check: "origin.answers", on: product, severity: doctor.Failure, found: "connection refused", mend: "curl -si 'http://" + dead + "/getProductInfo?productId=1'",
			inject: func(_ *testing.T, w *world) { w.cfg.Origin.BaseURL = "http://" + dead }},
		{name: "origin failing", check: "origin.answers", on: product, severity: doctor.Failure, found: "500 Internal Server Error",
			inject: origin(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true })},
		{name: "origin that hangs", check: "origin.answers", on: product, severity: doctor.Failure, found: "deadline exceeded",
			inject: func(t *testing.T, w *world) {
				w.cfg.Origin.Timeout = 200 * time.Millisecond
				w.shop.misbehave(t, func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true })
			}},
		{name: "origin slow", check: "origin.latency", on: product, severity: doctor.Warning, found: "one document takes", mend: "--origin.timeout",
			inject: func(t *testing.T, w *world) {
				w.cfg.Origin.Timeout = time.Second
				w.shop.misbehave(t, func(_ http.ResponseWriter, r *http.Request) bool {
					timer := time.NewTimer(300 * time.Millisecond)
					defer timer.Stop()
					select {
					case <-timer.C:
					case <-r.Context().Done():
					}
					return false
				})
			}},
		{name: "origin without a version", check: "origin.version", on: product, severity: doctor.Warning, found: "none of modifiedTime", mend: "version-fields",
			inject: origin(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("productId") != "1" {
					return false
				}
				fmt.Fprint(w, `{"id":1,"modifiedTime":"last Tuesday"}`)
				return true
			})},
		{name: "origin answers another product", check: "origin.answers", on: product, severity: doctor.Failure, found: "the document has the id 2",
			inject: origin(func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, `{"id":2}`); return true })},
		{name: "sample unknown", check: "origin.answers", on: product, severity: doctor.Warning, found: "does not know product 12345", mend: "--sample product=ID",
			inject: func(_ *testing.T, w *world) { w.cfg.Samples = map[string]int64{"product": 12345} }},
		{name: "no batch form", check: "origin.batch", on: product, severity: doctor.Warning, found: "404", mend: "batch-url",
			inject: origin(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Has("productIds") {
					http.NotFound(w, r)
				}
				return r.URL.Query().Has("productIds")
			})},
		{name: "batch without ids", check: "origin.batch", on: product, severity: doctor.Warning, found: "does each element name its id",
			inject: origin(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Has("productIds") {
					fmt.Fprint(w, `[{"productId":1}]`)
				}
				return r.URL.Query().Has("productIds")
			})},
		{name: "unknown product answered with 200", check: "origin.unknown", on: product, severity: doctor.Failure, found: `answered with 200 and "{\"error\":\"not found\"}"`, mend: "must answer 404", inject: unknown(200, `{"error":"not found"}`)},
		{name: "unknown product answered with a page", check: "origin.unknown", on: product, severity: doctor.Failure, found: "200 and no document", inject: unknown(200, "<html>")},
		{name: "unknown product answered with 500", check: "origin.unknown", on: product, severity: doctor.Failure, found: "answered with 500", inject: unknown(500, "")},
		{name: "unknown product answered with 400", check: "origin.unknown", on: product, severity: doctor.Warning, found: "answered with 400", inject: unknown(400, "")},

		{name: "token file readable by all", check: "settings.secrets", severity: doctor.Warning, found: "--cluster.token-file may be read by everybody (0644)", mend: "chmod 600", inject: secret(0o644)},
		{name: "token file writable by all", check: "settings.secrets", severity: doctor.Failure, found: "may be written by others (0666)", mend: "chmod 600", inject: secret(0o666)},
		{name: "no token beyond loopback", check: "settings.cluster-token", severity: doctor.Failure, found: "others can reach --cache.addr :8082", mend: "--cluster.token-file",
			inject: func(_ *testing.T, w *world) { w.cfg.Own.Internal = []string{"--cache.addr :8082"} }},
		{name: "a certificate about to expire", check: "settings.certificates", severity: doctor.Warning, found: "/b.pem of --cluster.tls-cert expires at", mend: "-in /b.pem",
			inject: func(_ *testing.T, w *world) {
				w.cfg.Own.Certificates = []doctor.Certificate{{Flag: "gateway.tls-cert", Path: "/a.pem", Expires: time.Now().Add(60 * 24 * time.Hour)},
					{Flag: "cluster.tls-cert", Path: "/b.pem", Expires: time.Now().Add(13 * 24 * time.Hour)}}
			}},
		{name: "admin listener beyond loopback", check: "settings.admin", severity: doctor.Warning, found: "others can reach --gateway.admin-addr :8090",
			inject: func(_ *testing.T, w *world) { w.cfg.Own.Admin = []string{"--gateway.admin-addr :8090"} }},
		{name: "no admin token", check: "settings.admin", severity: doctor.Warning, found: "no --admin.token-file", mend: "--admin.token-file",
			inject: func(_ *testing.T, w *world) { w.cfg.Own.AdminToken = false }},
		{name: "caches larger than half the machine", check: "settings.memory", severity: doctor.Warning, found: "3072 MiB of 4096 MiB", mend: "--gateway.l1-bytes",
			inject: func(_ *testing.T, w *world) { w.cfg.Own.Memory = 3 << 30 }},
		{name: "caches larger than the machine", check: "settings.memory", severity: doctor.Failure, found: "8192 MiB of 4096 MiB",
			inject: func(_ *testing.T, w *world) { w.cfg.Own.Memory = 8 << 30 }},
		{name: "too few files", check: "settings.files", severity: doctor.Warning, found: "1024 files may be open here, 2024 are needed", mend: "LimitNOFILE=2024",
			inject: func(_ *testing.T, w *world) { w.cfg.Own.Machine = func() (int64, uint64) { return 4 << 30, 1024 } }},
		{name: "a setting that a role refuses", check: "settings.roles", severity: doctor.Failure, found: "--kafka.username: is needed with --kafka.sasl", mend: "--check-config",
			inject: func(_ *testing.T, w *world) {
				w.cfg.Own.Problems = []string{"--kafka.username: is needed with --kafka.sasl"}
			}},
		{name: "a kind that takes the canary's keys", check: "canary.lock", severity: doctor.Skipped, found: "would be mistaken for others",
			inject: func(t *testing.T, w *world) {
				kinds := append(catalog.DefaultKinds(), catalog.Kind{Name: "bird", Prefix: "eshop-doctor-canary-", URL: "/b?{id}"})
				cat, err := catalog.New(kinds, nil)
				if err != nil {
					t.Fatal(err)
				}
				w.cfg.Catalog = cat
			}},
	}
}

// said collects a line for each injection, for the eye: go test -v shows them.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) add(name string, f doctor.Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(f.Found) > 150 {
		f.Found = f.Found[:150] + "…"
	}
	s.lines = append(s.lines, fmt.Sprintf("| %s | %s | `%s` | %s |", name, f.Severity, f.Check, f.Found))
}

func (s *said) show(t *testing.T) {
	t.Logf("\n| injected | severity | check | what doctor said |\n| --- | --- | --- | --- |\n%s", strings.Join(s.lines, "\n"))
}

// TestMisconfigurations injects one thing after the other and looks whether it is
// found, and found only then.
func TestMisconfigurations(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		right := w.examine(t)
		right0 := *w
		var all said
		for _, m := range misconfigurations() {
			if m.real && len(w.cfg.Kafka.Brokers) == 1 {
				continue
			}
			t.Run(m.name, func(t *testing.T) {
				wrong := right0
				wrong.cfg.Nodes = append([]string(nil), right0.cfg.Nodes...)
				if area, _, _ := strings.Cut(m.check, "."); area == "settings" || area == "origin" {
					wrong.cfg.Redis.Addrs, wrong.cfg.Kafka.Brokers, wrong.cfg.ZooKeeper.Servers = nil, nil, nil // as they were before
				}
				m.inject(t, &wrong)
				expect(t, m, right, wrong.examine(t), &wrong, &all)
			})
		}
		all.show(t)
	})
}

// expect compares the findings of a check before and after.
func expect(t *testing.T, m injection, right, wrong doctor.Report, w *world, all *said) {
	t.Helper()
	on := ""
	if m.on != nil {
		on = m.on(w)
	}
	got, ok := find(wrong, m.check, on)
	if !ok || got.Severity != m.severity || !strings.Contains(got.Found, m.found) || !strings.Contains(got.Mend, m.mend) {
		t.Errorf("got %+v, want %s of %s with %q, mended by %q", got, m.severity, m.check, m.found, m.mend)
	}
	if got.Severity != doctor.Skipped && (got.Why == "" || got.Mend == "") {
		t.Errorf("%+v does not say why it matters, or how it is mended", got)
	}
	if before, _ := find(right, m.check, on); m.name != "topics made by a misspelt name" && before.Severity == m.severity && strings.Contains(before.Found, m.found) {
		t.Errorf("it was said before, too: %+v", before)
	}
	if f, _ := find(wrong, "canary.remove", ""); f.Severity == doctor.Failure {
		t.Errorf("the canary left something: %+v", f)
	}
	all.add(m.name, got)
}
