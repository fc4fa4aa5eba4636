package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/embedded"
	"eshop/pkg/embedded/redis"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/lifecycle"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
	"eshop/roles/cache"
)

// adminToken is that of every role's admin listener.
const adminToken = "correct horse battery staple"

// world is a set of embedded servers and the cache processes on them.
type world struct {
	t       testing.TB
	name    string // prefix of everything on shared servers
	redis   []string
	zk      []string
	kafka   kafka.Config
	servers *embedded.Servers
	store   *rediscluster.Store
	roles   []*cache.Role
	stops   []func()        // of each role: its context ends and Run has returned
	admins  []*admin.Server // of each role
	metrics []*prometheus.Registry
	cat     *catalog.Catalog
	log     *slog.Logger
}

func (w *world) topic(name string) string { return w.name + "." + name }

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := runChild(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }),
		// a pool's probe of a dead server ends within a second of the pool's own end
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"),
		// sarama's metrics library has one ticker for the process, for ever
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

func logger(t testing.TB) *slog.Logger {
	if os.Getenv("ESHOP_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("test", t.Name())
}

// newWorld starts n cache processes on embedded servers and waits until they
// are ready. adjust may change each process's configuration.
func newWorld(t testing.TB, n int, adjust func(*cache.Config)) *world {
	t.Helper()
	return newWorldOn(t, embedded.Config{}, n, adjust)
}

// onBoth runs a body that breaks no server on embedded ones and on real ones.
func onBoth(t *testing.T, n int, adjust func(*cache.Config), body func(t *testing.T, w *world)) {
	t.Run("embedded", func(t *testing.T) { body(t, newWorld(t, n, adjust)) })
	t.Run("real", func(t *testing.T) {
		body(t, newWorldOn(t, embedded.Config{RedisAddrs: lab.Redis(t).Addrs(), Kafka: kafka.Config{Brokers: lab.Kafka(t).Addrs()}, ZooKeeperServers: lab.ZooKeeper(t).Addrs()}, n, adjust))
	})
}

// prefixed are the kinds of documents with Redis keys of a world's own.
func prefixed(name string) []catalog.Kind {
	kinds := catalog.DefaultKinds()
	for i := range kinds {
		kinds[i].Prefix = name + ":" + kinds[i].Prefix
	}
	return kinds
}

// newWorldOn starts the embedded servers that are not given. Everything in it
// has a name of its own, so that worlds can share servers.
func newWorldOn(t testing.TB, given embedded.Config, n int, adjust func(*cache.Config)) *world {
	t.Helper()
	w := &world{t: t, name: lab.Name(t), log: logger(t)}
	var err error
	if w.cat, err = catalog.New(prefixed(w.name), nil); err != nil {
		t.Fatal(err)
	}
	given.TopicChange, given.Catalog = w.topic("change"), w.cat
	servers, err := embedded.Start(t.Context(), given, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Errorf("close the embedded servers: %v", err)
		}
	})
	w.servers = servers
	w.redis, w.kafka.Brokers, w.zk = given.RedisAddrs, given.Kafka.Brokers, given.ZooKeeperServers
	if servers.Redis != nil {
		w.redis = []string{servers.Redis.Addr()}
	}
	if servers.Kafka != nil {
		w.kafka.Brokers = []string{servers.Kafka.Addr()}
	}
	if servers.ZooKeeper != nil {
		w.zk = []string{servers.ZooKeeper.Addr()}
	}
	_, err = kafka.EnsureTopics(t.Context(), w.kafka, []kafka.Topic{{Name: w.topic("change"), Partitions: 3}, {Name: w.topic("invalidate"), Partitions: 2},
		{Name: w.topic("dead"), Partitions: 1}}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if w.store, err = rediscluster.New(rediscluster.Config{Addrs: w.redis}, w.cat, rediscluster.Deps{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	for i := range n {
		cfg := w.config(i, servers.Origin.URL())
		if adjust != nil {
			adjust(&cfg)
		}
		w.start(cfg)
	}
	return w
}

// config is that of the i-th cache process. It starts no prewarm by itself and audits
// nothing: tests of other things must not meet either.
func (w *world) config(i int, originURL string) cache.Config {
	return cache.Config{ID: fmt.Sprintf("cache-%d", i), Addr: "127.0.0.1:0",
		Redis: rediscluster.Config{Addrs: w.redis}, Kafka: w.kafka,
		ZooKeeper: zookeeper.Config{Servers: w.zk, Root: "/" + w.name},
		Origin:    origin.Config{BaseURL: originURL}, PrewarmCheck: -1, Audit: -1,
		TopicChange: w.topic("change"), TopicInvalidate: w.topic("invalidate"), TopicDead: w.topic("dead"), Group: w.topic("group")}
}

func (w *world) start(cfg cache.Config) *cache.Role {
	w.t.Helper()
	ready := new(lifecycle.Ready)
	adm := admin.New(admin.Config{Addr: "127.0.0.1:0", Token: adminToken}, admin.Deps{Ready: ready})
	registry := prometheus.NewRegistry()
	r, err := cache.New(cfg, cache.Deps{Log: w.log.With("cache", cfg.ID), Registry: registry, Catalog: w.cat, Ready: ready, Admin: adm})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := errors.Join(r.Listen(), adm.Listen()); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- r.Run(ctx) }()
	go func() { done <- adm.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, <-done); err != nil {
			w.t.Errorf("%s: Run: %v", cfg.ID, err)
		}
	})
	w.t.Cleanup(stop)
	w.stops, w.admins, w.metrics = append(w.stops, stop), append(w.admins, adm), append(w.metrics, registry)
	w.until("ready", func() (bool, string) {
		return ready.OK(), strings.Join(ready.Reasons(), "; ")
	})
	w.roles = append(w.roles, r)
	return r
}

// until polls a condition; it must hold within ten seconds.
func (w *world) until(what string, ok func() (bool, string)) {
	w.t.Helper()
	w.untilWithin(30*time.Second, what, ok)
}

func (w *world) untilWithin(limit time.Duration, what string, ok func() (bool, string)) {
	w.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for {
		good, state := ok()
		if good {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("not within %v: %s (now: %s)", limit, what, state)
		}
	}
}

func (w *world) load(i int, key catalog.Key) docapi.Reply {
	w.t.Helper()
	reply, err := w.roles[i].Load(w.t.Context(), docapi.Request{Key: key})
	if err != nil {
		w.t.Fatalf("load %v: %v", key, err)
	}
	return reply
}

// edit changes a document at the origin, which publishes the change.
func (w *world) edit(method string, key catalog.Key, body string) {
	w.t.Helper()
	if code, text, err := w.atOrigin(method, key, body); err != nil || code >= 300 {
		w.t.Fatalf("%s %v: %d %s (%v)", method, key, code, text, err)
	}
}

// atOrigin sends one request to where documents are edited.
func (w *world) atOrigin(method string, key catalog.Key, body string) (code int, text string, err error) {
	url := fmt.Sprintf("%s/%ss/%d", w.servers.Origin.URL(), key.Kind, key.ID)
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(raw), err
}

func product(id int64) catalog.Key { return catalog.Key{Kind: "product", ID: id} }

func shop(id int64) catalog.Key { return catalog.Key{Kind: "shop", ID: id} }

// produce writes change messages as a console producer would: without a key.
func (w *world) produce(lines ...string) {
	w.t.Helper()
	p, err := kafka.NewProducer(kafka.ProducerConfig{Config: w.kafka}, kafka.Deps{})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for _, line := range lines {
		if err := p.Send(w.t.Context(), kafka.Record{Topic: w.topic("change"), Value: []byte(line)}); err != nil {
			w.t.Fatalf("produce %s: %v", line, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		w.t.Errorf("producer: %v", err)
	}
}

// command sends one command to the Redis node that has the key.
func (w *world) command(args ...string) {
	w.t.Helper()
	lab.RedisCommand(w.t, w.redis, args...)
}

// collector keeps the values of a topic.
type collector struct {
	mu   sync.Mutex
	list []string
}

func (c *collector) Record(r kafka.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, string(r.Value))
}

func (c *collector) Gap(int32, int64, int64, string) {}

func (c *collector) values() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.list...)
}

// documents are the values of the invalidation topic that are no heartbeats.
func (c *collector) documents() (list []string) {
	for _, v := range c.values() {
		if !strings.Contains(v, `"heartbeat"`) {
			list = append(list, v)
		}
	}
	return list
}

func (c *collector) len() int { return len(c.values()) }

// silence takes connections at an address, until the test's end, and answers nothing.
func silence(t testing.TB, addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var taken sync.WaitGroup
	taken.Go(func() {
		var open []net.Conn
		for {
			c, err := listener.Accept()
			if err != nil {
				for _, c := range open {
					c.Close()
				}
				return
			}
			open = append(open, c)
		}
	})
	t.Cleanup(func() {
		listener.Close()
		taken.Wait()
	})
}

// restartRedis starts an empty embedded Redis at the address of a closed one.
func (w *world) restartRedis(addr string) {
	w.t.Helper()
	w.until("Redis starts again", func() (bool, string) {
		s, err := redis.Start(w.t.Context(), redis.Config{Addr: addr}, redis.Deps{})
		if err != nil {
			return false, err.Error()
		}
		w.t.Cleanup(func() { s.Close() })
		return true, ""
	})
}

// metric adds up the counters of the i-th process whose name and labels, written
// "name=value", are those given; of a histogram it is the number of observations.
func (w *world) metric(i int, name string, labels ...string) (sum float64) {
	w.t.Helper()
	families, err := w.metrics[i].Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(labels, l.GetName()+"="+l.GetValue()) {
					has++
				}
			}
			if has == len(labels) {
				sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}
