package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"eshop/pkg/catalog"
	"eshop/pkg/credential"
	"eshop/pkg/docapi"
	"eshop/pkg/embedded"
	"eshop/pkg/invalidation"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/lifecycle"
	"eshop/pkg/membership"
	"eshop/pkg/rediscluster"
	"eshop/pkg/ring"
	"eshop/pkg/zookeeper"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }),
		// a pool's probe of a dead server ends within a second of the pool's own end
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"),
		// These have one goroutine for the process, for ever: a metrics ticker, the clock of the Date header.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// These sleep for the idle time of their workers and connections, all of which are closed, and then end.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

// Load and LoadMany make the fake a source for the real wire contract.
func (f *fakeCache) Load(ctx context.Context, req docapi.Request) (docapi.Reply, error) {
	return f.Get(ctx, req)
}
func (f *fakeCache) LoadMany(ctx context.Context, reqs []docapi.Request) []docapi.Result {
	return f.GetMany(ctx, reqs)
}

// world is servers, a cache process that a test moves by hand, and gateways.
type world struct {
	t         testing.TB
	name      string
	cat       *catalog.Catalog
	redis     rediscluster.Config
	kafka     kafka.Config
	zk        zookeeper.Config
	store     *rediscluster.Store
	cache     *fakeCache
	publisher *invalidation.Publisher
}

// running starts fn and stops it, checked, at the end of the test.
func (w *world) running(name string, fn func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				w.t.Errorf("%s: %v", name, err)
			}
		case <-time.After(20 * time.Second):
			w.t.Errorf("%s does not stop", name)
		}
	})
}

// onBoth runs a body on embedded and on real servers.
func onBoth(t *testing.T, body func(t *testing.T, w *world)) {
	t.Run("embedded", func(t *testing.T) { body(t, newWorld(t, embedded.Config{})) })
	t.Run("real", func(t *testing.T) {
		body(t, newWorld(t, embedded.Config{RedisAddrs: lab.Redis(t).Addrs(), Kafka: kafka.Config{Brokers: lab.Kafka(t).Addrs()}, ZooKeeperServers: lab.ZooKeeper(t).Addrs()}))
	})
}

func newWorld(t *testing.T, given embedded.Config) *world {
	t.Helper()
	w := &world{t: t, name: lab.Name(t), cache: &fakeCache{docs: map[catalog.Key]docapi.Reply{}, fail: map[catalog.Key]bool{}}}
	kinds := catalog.DefaultKinds()
	for i := range kinds {
		kinds[i].Prefix = w.name + ":" + kinds[i].Prefix
	}
	var err error
	if w.cat, err = catalog.New(kinds, nil); err != nil {
		t.Fatal(err)
	}
	given.TopicChange, given.Catalog = w.name+".change", w.cat
	servers, err := embedded.Start(t.Context(), given, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Errorf("close the embedded servers: %v", err)
		}
	})
	w.redis.Addrs, w.kafka.Brokers, w.zk = given.RedisAddrs, given.Kafka.Brokers, zookeeper.Config{Servers: given.ZooKeeperServers, Root: "/" + w.name}
	if servers.Redis != nil {
		w.redis.Addrs, w.kafka.Brokers, w.zk.Servers = []string{servers.Redis.Addr()}, []string{servers.Kafka.Addr()}, []string{servers.ZooKeeper.Addr()}
	}
	if _, err = kafka.EnsureTopics(t.Context(), w.kafka, []kafka.Topic{{Name: w.name, Partitions: 2}}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	if w.store, err = rediscluster.New(w.redis, w.cat, rediscluster.Deps{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })

	l := httptest.NewServer(docapi.NewHandler(docapi.HandlerConfig{Tokens: credential.NewTokens("secret")}, w.cat, w.cache))
	t.Cleanup(l.Close)
	zk, err := zookeeper.New(w.zk, zookeeper.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	w.running("zookeeper", zk.Run)
	group := membership.New(membership.Config{Role: "cache", Self: &ring.Member{ID: "cache-1", Addr: l.Listener.Addr().String()}}, membership.Deps{Session: zk})
	w.running("cache member", group.Run)

	producer, err := kafka.NewProducer(kafka.ProducerConfig{Config: w.kafka, ManualPartition: true}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	w.running("producer", producer.Run)
	w.publisher = invalidation.NewPublisher(w.name, producer, func() []kafka.PartitionStatus { return []kafka.PartitionStatus{{Partition: 0}, {Partition: 1}} }, nil)
	w.running("heartbeats", func(ctx context.Context) error {
		w.publisher.Beat(ctx, "cache-1", 200*time.Millisecond)
		return nil
	})
	return w
}

// gateway starts one and waits until it is ready.
func (w *world) gateway(id string) *Role {
	w.t.Helper()
	ready := new(lifecycle.Ready)
	r, err := New(w.config(id), Deps{Catalog: w.cat, Ready: ready, Registry: prometheus.NewRegistry()})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := r.Listen(); err != nil {
		w.t.Fatal(err)
	}
	w.running(id, r.Run)
	w.until(id+" is ready", func() (bool, string) { return len(ready.Conditions()) > 3 && ready.OK(), fmt.Sprint(ready.Reasons()) })
	return r
}

// config is that of a gateway that audits nothing: tests of other things must not
// meet what it finds.
func (w *world) config(id string) Config {
	return Config{ID: id, Addr: "127.0.0.1:0", PeerAddr: "127.0.0.1:0", ClusterToken: "secret", TopicInvalidate: w.name, TopicAccess: w.name + ".access",
		Redis: w.redis, Kafka: w.kafka, ZooKeeper: w.zk, Audit: -1}
}

func (w *world) until(what string, met func() (bool, string)) {
	w.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		ok, state := met()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("not so in time: %s; %s", what, state)
		}
		time.Sleep(2 * time.Millisecond) // the poll of this loop
	}
}

func (w *world) put(docs ...catalog.Document) {
	w.t.Helper()
	for _, d := range docs {
		if out, err := w.store.Write(w.t.Context(), rediscluster.Put, d); err != nil || !out.Accepted {
			w.t.Fatalf("write %v: %+v, %v", d.Key, out, err)
		}
	}
}

func (w *world) announce(d catalog.Document) {
	w.t.Helper()
	inv := catalog.Invalidation{Key: d.Key, Stamp: d.Stamp, State: d.State.String()}
	if err := w.publisher.Publish(w.t.Context(), inv); err != nil {
		w.t.Fatal(err)
	}
}

type webPage struct {
	code   int
	body   string
	status string
	header http.Header
}

func fetch(t testing.TB, r *Role, target string) webPage {
	t.Helper()
	resp, err := http.Get("http://" + r.Addr() + target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return webPage{resp.StatusCode, string(body), resp.Header.Get("Cache-Status"), resp.Header}
}

// The whole role on real clients: a page from Redis, over the hop, a change, a
// purge, an unknown product, a repair.
func TestRun(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.put(product(1, 10, "5599.0"), shop(11, "Shop three"))
		gateways := []*Role{w.gateway("gw-1"), w.gateway("gw-2")}
		for _, g := range gateways {
			w.until("both know each other", func() (bool, string) { r := g.peers.Ring(); return r != nil && r.Len() == 2, "" })
			w.until("the bus vouches", func() (bool, string) { return !g.trust().Behind(time.Now().UnixNano()), "" })
		}
		peers := 0
		for _, g := range gateways {
			p := fetch(t, g, "/product?productId=7&shopId=3")
			if p.code != 200 || !strings.Contains(p.body, "5599.0") || !strings.Contains(p.body, "Shop three") {
				t.Fatalf("%s: %d %s", g.cfg.ID, p.code, p.body)
			}
			if strings.Contains(p.status, "peer;") {
				peers++
			}
		}
		if peers != 1 {
			t.Errorf("%d of two gateways asked the owner, want 1", peers)
		}

		next := product(2, 20, "4999")
		w.put(next)
		start := time.Now()
		w.announce(next)
		for _, g := range gateways {
			w.until("the change shows", func() (bool, string) {
				p := fetch(t, g, "/product?productId=7&shopId=3")
				return strings.Contains(p.body, `"productPrice">4999<`), p.status
			})
		}
		t.Logf("announced to shown by both: %v", time.Since(start))

		// A change that Redis lost: the announcement's stamp is above what it has.
		lost := product(3, 30, "3999")
		w.cache.set(lost)
		w.announce(lost)
		for _, g := range gateways {
			w.until("the repair shows", func() (bool, string) {
				p := fetch(t, g, "/product?productId=7&shopId=3")
				return strings.Contains(p.body, `"productPrice">3999<`), p.status
			})
		}

		if p := fetch(t, gateways[0], "/product/404404"); p.code != 404 {
			t.Errorf("an unknown product: %d", p.code)
		}
		for _, g := range gateways {
			text, err := json.Marshal(g.explain(t.Context(), keyP7))
			if err != nil || !strings.Contains(string(text), `"floor":"0.3.30"`) || !strings.Contains(string(text), `"redisMaster"`) {
				t.Errorf("explain: %s, %v", text, err)
			}
			if text, err := json.Marshal(g.status()); err != nil || !strings.Contains(string(text), `"watermark"`) {
				t.Errorf("status: %s, %v", text, err)
			}
			g.l1.purge(keyP7)
		}
		if p := fetch(t, gateways[0], "/product?productId=7&shopId=3"); p.code != 200 || strings.Contains(p.status, "eshop; hit; ttl=1") && !strings.Contains(p.status, "peer") {
			t.Errorf("after a purge: %d, %s", p.code, p.status)
		}
	})
}

// Nothing answers: the role is alive, says what it waits for, and stops at once.
func TestUnreachableAtTheStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	w := &world{t: t}
	w.redis.Addrs, w.kafka.Brokers, w.zk.Servers = []string{dead}, []string{dead}, []string{dead}
	ready := new(lifecycle.Ready)
	r, err := New(w.config("gw-1"), Deps{Ready: ready})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	w.running("gateway", r.Run)
	if _, err := json.Marshal(r.status()); err != nil { // the admin API may ask from the first moment; see -race
		t.Error(err)
	}
	w.until("it says what it waits for", func() (bool, string) { return len(ready.Reasons()) >= 4, fmt.Sprint(ready.Reasons()) })
	for _, name := range []string{"redis", "kafka", "zookeeper", "cache members"} {
		if !strings.Contains(fmt.Sprint(ready.Reasons()), name) {
			t.Errorf("the reasons do not name %s: %v", name, ready.Reasons())
		}
	}
	if p := fetch(t, r, "/product/7"); p.code != 503 || p.header.Get("Retry-After") == "" {
		t.Errorf("a page without any server: %d, Retry-After %q; want 503 with one", p.code, p.header.Get("Retry-After"))
	}
}

func TestOccupiedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for flag, change := range map[string]func(*Config){
		"--gateway.addr":      func(c *Config) { c.Addr = l.Addr().String() },
		"--gateway.peer-addr": func(c *Config) { c.PeerAddr = l.Addr().String() },
	} {
		g := newRig(t, func(c *Config, _ *Deps) { change(c) })
		if err := g.Listen(); err == nil || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), l.Addr().String()) {
			t.Errorf("%s: %v, want an error that names flag and address", flag, err)
		}
	}
}

func TestConfig(t *testing.T) {
	_, err := newRole(Config{Addr: "x", PeerAddr: ":0", L1Bytes: 1, SoftTTLMin: 2, SoftTTLMax: 1}, Deps{})
	for _, want := range []string{"--gateway.id", "--gateway.addr", "--cluster.token-file", "--gateway.l1-bytes", "--gateway.soft-ttl"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the problems do not name %s: %v", want, err)
		}
	}
	if _, err := newRole(Config{ID: "a", Addr: ":0", PeerAddr: ":0", ClusterToken: "t"}, Deps{}); err != nil {
		t.Errorf("a fleet with a token: %v", err)
	}
}
