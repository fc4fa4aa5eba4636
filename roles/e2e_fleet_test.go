package roles_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"eshop/pkg/catalog"
	"eshop/pkg/embedded"
	"eshop/pkg/embedded/origin"
	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/lifecycle"
	originclient "eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
	"eshop/roles"
	"eshop/roles/cache"
	"eshop/roles/gateway"
	"eshop/roles/hotcount"
)

// runAsEshop makes the test binary behave as eshop itself, so that split
// processes run exactly the code under test.
const runAsEshop = "RUN_TEST_BINARY_AS_ESHOP"

func TestMain(m *testing.M) {
	if os.Getenv(runAsEshop) != "" {
		os.Exit(roles.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }),
		// a pool's probe of a dead server ends within a second of the pool's own end
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"),
		// These have one goroutine for the process, for ever: a metrics ticker, the clock of the Date header.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// These look every ten seconds whether the pool or the client they belong to, both stopped, is idle, and then end.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"))
}

// shape is a way to deploy the same fleet.
type shape struct {
	name        string
	real, split bool
	servers     bool     // no process of the fleet: the test starts them
	gateways    int      // split: how many; 0: fleetGateways
	tls         bool     // clients and roles speak TLS; roles show each other certificates
	flags       []string // split: more of the gateways', cacheFlags of the cache processes'
	cacheFlags  []string
}

var shapes = []shape{
	{name: "in-process on embedded servers"},
	{name: "in-process on real servers", real: true},
	{name: "split processes on embedded servers", split: true},
	{name: "split processes on real servers", real: true, split: true},
	{name: "in-process on embedded servers, with TLS", tls: true},
	{name: "split processes on embedded servers, with TLS", split: true, tls: true},
}

const fleetGateways, fleetCaches = 3, 2

// fleet is three gateways, two cache processes and one that counts, over one set of servers and
// one sample shop, which publishes nothing: the scenarios send the messages.
type fleet struct {
	t        testing.TB
	name     string // prefix of everything on shared servers
	cat      *catalog.Catalog
	redis    []string
	zk       []string
	kafka    kafka.Config
	shop     *origin.Server
	rule     hotlist.Rule
	gateways []string // host:port of the public listeners
	admins   []string // base URLs of the gateways' admin listeners, of split processes
	pids     []int    // of the gateways, of split processes; cachePids of the cache processes
	inner    []string // host:port of the peer, cache and admin listeners, of split processes
	client   *http.Client
	ca       *lab.Authority // nil: everything is plain

	cachePids []int
	processes map[string]*lab.Process // by id, of split ones
	producer  *kafka.Producer
	store     *rediscluster.Store
}

func (f *fleet) topic(name string) string { return f.name + "." + name }

func newFleet(t testing.TB, s shape, rule hotlist.Rule) *fleet {
	t.Helper()
	given := embedded.Config{}
	if s.real {
		given.RedisAddrs, given.Kafka.Brokers, given.ZooKeeperServers = lab.Redis(t).Addrs(), lab.Kafka(t).Addrs(), lab.ZooKeeper(t).Addrs()
	}
	return newFleetOn(t, s, rule, given)
}

// newFleetOn starts embedded servers in place of those that are not given.
func newFleetOn(t testing.TB, s shape, rule hotlist.Rule, given embedded.Config) *fleet {
	t.Helper()
	f := &fleet{t: t, name: lab.Name(t), rule: rule, client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}}
	t.Cleanup(f.client.CloseIdleConnections)
	if s.tls {
		f.ca = lab.NewAuthority(t)
		f.client.Transport.(*http.Transport).TLSClientConfig = f.ca.Client(t)
	}
	kinds := catalog.DefaultKinds()
	for i := range kinds {
		kinds[i].Prefix = f.name + ":" + kinds[i].Prefix
	}
	var err error
	if f.cat, err = catalog.New(kinds, nil); err != nil {
		t.Fatal(err)
	}
	given.OriginURL = "http://the.shop.is.started.below"
	servers, err := embedded.Start(t.Context(), given, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Errorf("close the embedded servers: %v", err)
		}
	})
	f.redis, f.zk, f.kafka.Brokers = given.RedisAddrs, given.ZooKeeperServers, given.Kafka.Brokers
	if servers.Redis != nil {
		f.redis = []string{servers.Redis.Addr()}
	}
	if servers.ZooKeeper != nil {
		f.zk = []string{servers.ZooKeeper.Addr()}
	}
	if servers.Kafka != nil {
		f.kafka.Brokers = []string{servers.Kafka.Addr()}
	}
	if f.shop, err = origin.Start(t.Context(), origin.Config{Catalog: f.cat}, origin.Deps{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.shop.Close() })
	_, err = kafka.EnsureTopics(t.Context(), f.kafka, []kafka.Topic{{Name: f.topic("change"), Partitions: 3}, {Name: f.topic("invalidate"), Partitions: 2},
		{Name: f.topic("dead"), Partitions: 1}, {Name: f.topic("access"), Partitions: 8}}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if f.store, err = rediscluster.New(rediscluster.Config{Addrs: f.redis}, f.cat, rediscluster.Deps{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.store.Close() })
	if f.producer, err = kafka.NewProducer(kafka.ProducerConfig{Config: f.kafka}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	background(t, "producer", f.producer.Run)
	switch {
	case s.servers:
	case s.split:
		f.startSplit(s)
	default:
		f.startInProcess()
	}
	return f
}

// background runs a function until the test's end.
func background(t testing.TB, name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
}

func testLog() *slog.Logger {
	if os.Getenv("TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil))
}

// role is what the fleet needs of either role.
type role interface {
	Listen() error
	Run(context.Context) error
}

func (f *fleet) startInProcess() {
	f.t.Helper()
	session := zookeeper.Config{Servers: f.zk, Root: "/" + f.name}
	redis := rediscluster.Config{Addrs: f.redis}
	var ready []*lifecycle.Ready
	start := func(name string, r role, err error, is *lifecycle.Ready) {
		f.t.Helper()
		if err == nil {
			err = r.Listen()
		}
		if err != nil {
			f.t.Fatalf("%s: %v", name, err)
		}
		background(f.t, name, r.Run)
		ready = append(ready, is)
	}
	for i := range fleetCaches {
		is := new(lifecycle.Ready)
		id := fmt.Sprintf("cache-%d", i)
		r, err := cache.New(cache.Config{ID: id, Addr: "127.0.0.1:0", Cluster: f.clusterPair(), Redis: redis, Kafka: f.kafka, ZooKeeper: session,
			Origin:      originclient.Config{BaseURL: f.shop.URL()},
			TopicChange: f.topic("change"), TopicInvalidate: f.topic("invalidate"), TopicDead: f.topic("dead"), Group: f.topic("group")},
			cache.Deps{Log: testLog().With("role", id), Registry: prometheus.NewRegistry(), Catalog: f.cat, Ready: is})
		start(id, r, err, is)
	}
	counts := new(lifecycle.Ready)
	h, err := hotcount.New(hotcount.Config{ID: "hotcount-0", Kafka: f.kafka, ZooKeeper: session, TopicAccess: f.topic("access"), Group: f.topic("hotcount"), Rule: f.rule},
		hotcount.Deps{Log: testLog().With("role", "hotcount-0"), Registry: prometheus.NewRegistry(), Ready: counts})
	start("hotcount-0", h, err, counts)
	for i := range fleetGateways {
		is := new(lifecycle.Ready)
		id := fmt.Sprintf("gateway-%d", i)
		r, err := gateway.New(gateway.Config{ID: id, Addr: "127.0.0.1:0", TLS: f.pair("gateway", ""), PeerAddr: "127.0.0.1:0", Cluster: f.clusterPair(), Redis: redis, Kafka: f.kafka, ZooKeeper: session,
			TopicInvalidate: f.topic("invalidate"), TopicAccess: f.topic("access")},
			gateway.Deps{Log: testLog().With("role", id), Registry: prometheus.NewRegistry(), Catalog: f.cat, Ready: is})
		start(id, r, err, is)
		f.gateways = append(f.gateways, r.Addr())
	}
	for _, is := range ready {
		ctx, cancel := context.WithTimeout(f.t.Context(), 20*time.Second)
		if is.Wait(ctx) != nil {
			f.t.Fatalf("not ready within 20 s: %v", is.Reasons())
		}
		cancel()
	}
	f.settled()
}

// flags are those that all split processes have; dir gets their file.
func (f *fleet) flags(dir string) []string {
	f.t.Helper()
	var yaml strings.Builder
	yaml.WriteString("kinds:\n")
	for _, name := range []string{"product", "shop"} {
		k := f.cat.Kind(name)
		fmt.Fprintf(&yaml, "  - {name: %s, prefix: %q, url: %q, batch-url: %q, field: %q, service: %q, param: %q}\n", k.Name, k.Prefix, k.URL, k.BatchURL, k.Field, k.Service, k.Param)
	}
	file := filepath.Join(dir, "eshop.yaml")
	if err := os.WriteFile(file, []byte(yaml.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return []string{"--config", file, "--kafka.brokers", strings.Join(f.kafka.Brokers, ","),
		"--zookeeper.servers", strings.Join(f.zk, ","), "--zookeeper.root", "/" + f.name, "--kafka.topic.change", f.topic("change"),
		"--kafka.topic.invalidate", f.topic("invalidate"), "--kafka.topic.dead", f.topic("dead")}
}

func (f *fleet) startSplit(s shape) {
	f.t.Helper()
	dir := f.t.TempDir()
	binary, err := os.Executable()
	if err != nil {
		f.t.Fatal(err)
	}
	common := f.flags(dir)
	start := func(command string, args ...string) *lab.Process {
		return lab.Start(f.t, lab.Command{Path: binary, Dir: dir, Env: []string{runAsEshop + "=1"}, Args: append(append([]string{command}, common...), args...)})
	}
	redis := []string{"--redis.addrs", strings.Join(f.redis, ",")}
	redis, s.flags = append(redis, f.clusterFlags()...), append(slices.Clone(s.flags), f.publicFlags()...)
	var caches, gateways []*lab.Process
	for i := range fleetCaches {
		caches = append(caches, start("cache", append(append(redis, s.cacheFlags...), "--cache.id", fmt.Sprintf("cache-%d", i), "--cache.addr", "127.0.0.1:0", "--cache.admin-addr", "127.0.0.1:0",
			"--kafka.group.cache", f.topic("group"), "--origin.url", f.shop.URL())...))
	}
	counts := start("hotcount", "--hotcount.id", "hotcount-0", "--hotcount.admin-addr", "127.0.0.1:0", "--kafka.group.hotcount", f.topic("hotcount"),
		"--kafka.topic.access", f.topic("access"), "--hotcount.window", time.Duration(f.rule.Window).String(), "--hotcount.hold", time.Duration(f.rule.Hold).String())
	for i := range cmp.Or(s.gateways, fleetGateways) {
		gateways = append(gateways, start("gateway", append(append(redis, s.flags...), "--gateway.id", fmt.Sprintf("gateway-%d", i), "--gateway.addr", "127.0.0.1:0",
			"--gateway.peer-addr", "127.0.0.1:0", "--gateway.admin-addr", "127.0.0.1:0", "--kafka.topic.access", f.topic("access"))...))
	}
	at := func(p *lab.Process, what string) string {
		line := p.WaitOutput("  "+what+" ", 30*time.Second)
		_, url, ok := strings.Cut(line, "://")
		if !ok {
			f.t.Fatalf("a process does not say where it listens: %q", line)
		}
		addr, _, _ := strings.Cut(strings.TrimSpace(url), "/")
		return addr
	}
	f.processes = map[string]*lab.Process{}
	for i, p := range caches {
		f.processes[fmt.Sprintf("cache-%d", i)] = p
		f.inner, f.cachePids = append(f.inner, at(p, "cache"), at(p, "admin")), append(f.cachePids, p.Pid())
	}
	counts.WaitOutput("  admin ", 30*time.Second)
	for i, p := range gateways {
		f.processes[fmt.Sprintf("gateway-%d", i)] = p
		admin := at(p, "admin")
		f.gateways, f.inner = append(f.gateways, at(p, "product pages")), append(f.inner, at(p, "gateway peers"), admin)
		f.admins, f.pids = append(f.admins, "http://"+admin+"/"), append(f.pids, p.Pid())
	}
	f.settled()
}

// settled waits until every gateway serves a page: then rings and bus are known
// to each.
func (f *fleet) settled() {
	f.t.Helper()
	for _, g := range f.gateways {
		f.until("the first page", func() (bool, string) {
			a := f.get(g, "/product?productId=1000&shopId=50")
			return a.status == http.StatusOK, fmt.Sprint(a.status, " ", a.body)
		})
	}
}

// until polls a condition; it must hold within twenty seconds.
func (f *fleet) until(what string, ok func() (bool, string)) {
	f.t.Helper()
	f.untilEvery(2*time.Millisecond, what, ok)
}

func (f *fleet) untilEvery(pause time.Duration, what string, ok func() (bool, string)) {
	f.t.Helper()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		good, state := ok()
		if good {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			f.t.Fatalf("not within 20 s: %s (now: %.600s)", what, state)
		}
	}
}
