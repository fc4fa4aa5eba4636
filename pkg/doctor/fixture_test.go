package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/catalog"
	"eshop/pkg/doctor"
	"eshop/pkg/embedded"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

type tests struct{ *testing.M }

func (t tests) Run() int { return lab.Main(t.M) }

// The one goroutine that stays belongs to a metrics library of the Kafka client library.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(tests{m}, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")) // ends within a second of its pool
}

// world is a set of servers on which everything is right but for what cannot be
// on one machine, and a configuration that says so.
type world struct {
	cfg  doctor.Config
	shop *shop
	now  func() time.Time
}

// onBoth runs a body on the embedded and on the real servers.
func onBoth(t *testing.T, body func(t *testing.T, w *world)) {
	t.Run("embedded", func(t *testing.T) {
		own, err := embedded.Start(t.Context(), embedded.Config{OriginURL: "http://nobody.asks.for.it"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := own.Close(); err != nil {
				t.Errorf("close the embedded servers: %v", err)
			}
		})
		body(t, newWorld(t, []string{own.Redis.Addr()}, []string{own.Kafka.Addr()}, []string{own.ZooKeeper.Addr()}))
	})
	t.Run("real", func(t *testing.T) { body(t, realWorld(t)) })
}

func realWorld(t *testing.T) *world {
	return newWorld(t, lab.Redis(t).Addrs(), lab.Kafka(t).Addrs(), lab.ZooKeeper(t).Addrs())
}

// newWorld creates topics and nodes of the test's own, as eshop bootstrap does.
func newWorld(t *testing.T, redis, brokers, servers []string) *world {
	t.Helper()
	name := lab.Name(t)
	w := &world{now: time.Now, shop: newShop(t)}
	w.cfg = doctor.Config{
		Catalog:     catalog.Default(),
		TopicChange: name + ".change", TopicAccess: name + ".access", TopicInvalidate: name + ".invalidate", TopicDead: name + ".dead",
		GroupCache: name + ".cache", GroupHotcount: name + ".hotcount",
		MaxStaleness: 30 * time.Second, Replay: 5 * time.Minute, Window: 15 * time.Second, MaxWindow: 605 * time.Second,
		Nodes: []string{"locks", "members/gateway", "members/cache"},
		Own: doctor.Own{AdminToken: true, Memory: 1 << 30, Connections: 1000,
			Machine: func() (int64, uint64) { return 4 << 30, 1 << 20 }},
		Canary: true, Timeout: 30 * time.Second,
	}
	w.cfg.Redis.Addrs, w.cfg.Kafka.Brokers, w.cfg.ZooKeeper.Servers = redis, brokers, servers
	w.cfg.ZooKeeper.Root = "/" + name
	w.cfg.Origin.BaseURL = w.shop.url
	week := map[string]string{"retention.ms": "604800000", "cleanup.policy": "delete"}
	var topics []kafka.Topic
	for _, topic := range []string{w.cfg.TopicChange, w.cfg.TopicAccess, w.cfg.TopicInvalidate, w.cfg.TopicDead} {
		topics = append(topics, kafka.Topic{Name: topic, Partitions: 3, Replication: 3, Config: week})
	}
	w.create(t, topics...)
	w.session(t, func(ctx context.Context, s *zookeeper.Session) error { return s.Ensure(ctx, w.cfg.Nodes...) })
	return w
}

// session runs work in a session of its own.
func (w *world) session(t *testing.T, work func(context.Context, *zookeeper.Session) error) {
	t.Helper()
	s, err := zookeeper.New(w.cfg.ZooKeeper, zookeeper.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	err = work(ctx, s)
	stop()
	if err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func (w *world) examine(t *testing.T) doctor.Report {
	t.Helper()
	return doctor.Run(t.Context(), w.cfg, doctor.Deps{Now: w.now})
}

// topic replaces one of the four by a new one with other settings.
func (w *world) topic(t *testing.T, which *string, partitions int32, replication int16, settings map[string]string) {
	t.Helper()
	*which = lab.Name(t)
	w.create(t, kafka.Topic{Name: *which, Partitions: partitions, Replication: replication, Config: settings})
}

// create creates topics and waits until the brokers that are asked know of them.
func (w *world) create(t *testing.T, topics ...kafka.Topic) {
	t.Helper()
	var names []string
	for _, topic := range topics {
		names = append(names, topic.Name)
	}
	lab.Until(t, 2*time.Minute, func(ctx context.Context) error { // a busy machine's brokers are late
		if _, err := kafka.EnsureTopics(ctx, w.cfg.Kafka, topics, kafka.Deps{}); err != nil {
			return err
		}
		r, err := kafka.Describe(ctx, w.cfg.Kafka, names, nil)
		for _, topic := range r.Topics {
			err = errors.Join(err, topic.Err)
		}
		return err
	})
}

// find returns what a check found that is not good, or what it found first.
func find(r doctor.Report, check, on string) (doctor.Finding, bool) {
	var found doctor.Finding
	any := false
	for _, f := range r.Findings {
		if f.Check != check || on != "" && f.On != on {
			continue
		}
		if !any || found.Severity == doctor.OK {
			found, any = f, true
		}
	}
	return found, any
}

// shop is an origin that can be made to misbehave.
type shop struct {
	url string
	mu  sync.Mutex
	// answer may take over; false: the right answer is given.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newShop(t *testing.T) *shop {
	s := &shop{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *shop) misbehave(t *testing.T, how func(w http.ResponseWriter, r *http.Request) bool) {
	set := func(f func(http.ResponseWriter, *http.Request) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answer = f
	}
	set(how)
	t.Cleanup(func() { set(nil) })
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	document := func(id string) string {
		return fmt.Sprintf(`{"id":%s,"name":"thing","modifiedTime":"2026-01-02 03:04:05"}`, id)
	}
	if ids := r.URL.Query().Get("productIds"); ids != "" {
		var list []json.RawMessage
		for id := range strings.SplitSeq(ids, ",") {
			list = append(list, json.RawMessage(document(id)))
		}
		_ = json.NewEncoder(w).Encode(list) // a client that is gone
		return
	}
	id := r.URL.Query().Get("productId") + r.URL.Query().Get("shopId")
	if len(id) > 4 {
		http.NotFound(w, r)
		return
	}
	fmt.Fprint(w, document(id))
}

// freeAddr is an address nobody listens on at this time.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
