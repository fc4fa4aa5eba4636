package cache_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/embedded"
	"eshop/pkg/kafka"
	"eshop/pkg/lifecycle"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
	"eshop/roles/cache"
)

// world is a set of embedded servers and the cache processes on them.
type world struct {
	t       testing.TB
	servers *embedded.Servers
	store   *rediscluster.Store
	roles   []*cache.Role
	cat     *catalog.Catalog
}

const (
	topicChange     = "cache-message"
	topicInvalidate = "cache-invalidate"
	topicDead       = "cache-message-dead"
)

func logger(t testing.TB) *slog.Logger {
	if os.Getenv("ESHOP_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("test", t.Name())
}

// newWorld starts the embedded servers and n cache processes and waits until
// they are ready. adjust may change each process's configuration.
func newWorld(t testing.TB, n int, adjust func(*cache.Config)) *world {
	t.Helper()
	w := &world{t: t, cat: catalog.Default()}
	servers, err := embedded.Start(t.Context(), embedded.Config{TopicChange: topicChange}, logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Errorf("close the embedded servers: %v", err)
		}
	})
	w.servers = servers
	kcfg := kafka.Config{Brokers: []string{servers.Kafka.Addr()}}
	if _, err := kafka.EnsureTopics(t.Context(), kcfg, []kafka.Topic{{Name: topicChange, Partitions: 3}, {Name: topicInvalidate, Partitions: 2}, {Name: topicDead, Partitions: 1}}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	if w.store, err = rediscluster.New(rediscluster.Config{Addrs: []string{servers.Redis.Addr()}}, w.cat, rediscluster.Deps{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	for i := range n {
		cfg := cache.Config{ID: fmt.Sprintf("cache-%d", i), Addr: "127.0.0.1:0",
			Redis: rediscluster.Config{Addrs: []string{servers.Redis.Addr()}}, Kafka: kcfg,
			ZooKeeper: zookeeper.Config{Servers: []string{servers.ZooKeeper.Addr()}},
			Origin:    origin.Config{BaseURL: servers.Origin.URL()}}
		if adjust != nil {
			adjust(&cfg)
		}
		w.start(cfg)
	}
	return w
}

func (w *world) start(cfg cache.Config) *cache.Role {
	w.t.Helper()
	ready := new(lifecycle.Ready)
	r, err := cache.New(cfg, cache.Deps{Log: logger(w.t).With("cache", cfg.ID), Ready: ready})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := r.Listen(); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("%s: Run: %v", cfg.ID, err)
		}
	})
	w.until("ready", func() (bool, string) {
		return len(ready.Conditions()) > 3 && ready.OK(), strings.Join(ready.Reasons(), "; ")
	})
	w.roles = append(w.roles, r)
	return r
}

// until polls a condition; it must hold within ten seconds.
func (w *world) until(what string, ok func() (bool, string)) {
	w.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		good, state := ok()
		if good {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("not within 10 s: %s (now: %s)", what, state)
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
	url := fmt.Sprintf("%s/%ss/%d", w.servers.Origin.URL(), key.Kind, key.ID)
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		text, _ := io.ReadAll(resp.Body)
		w.t.Fatalf("%s %s: %s: %s", method, url, resp.Status, text)
	}
}

func product(id int64) catalog.Key { return catalog.Key{Kind: "product", ID: id} }

func shop(id int64) catalog.Key { return catalog.Key{Kind: "shop", ID: id} }

func (w *world) kafka() kafka.Config { return kafka.Config{Brokers: []string{w.servers.Kafka.Addr()}} }

// produce writes change messages as a console producer would: without a key.
func (w *world) produce(lines ...string) {
	w.t.Helper()
	p, err := kafka.NewProducer(kafka.ProducerConfig{Config: w.kafka()}, kafka.Deps{})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	for _, line := range lines {
		if err := p.Send(w.t.Context(), kafka.Record{Topic: topicChange, Value: []byte(line)}); err != nil {
			w.t.Fatalf("produce %s: %v", line, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		w.t.Errorf("producer: %v", err)
	}
}

// redis sends one command in the protocol's own words.
func (w *world) redis(args ...string) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.servers.Redis.Addr())
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(a), a)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line[0] == '-' {
		w.t.Fatalf("redis %v: %s %v", args, line, err)
	}
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

func (c *collector) len() int { return len(c.values()) }
