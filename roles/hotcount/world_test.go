package hotcount

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/admin"
	embeddedkafka "eshop/pkg/embedded/kafka"
	embeddedzookeeper "eshop/pkg/embedded/zookeeper"
	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/lifecycle"
	"eshop/pkg/zookeeper"
)

// world is a topic and a root of its own on some servers, with an observer of
// everything that is published.
type world struct {
	t          testing.TB
	name       string // of topic, group and root
	brokers    []string
	zk         []string
	partitions int
	producer   *kafka.Producer

	mu   sync.Mutex
	hots []hotlist.Hot // every one seen, once
	tops []hotlist.Top
	view *hotlist.View
}

// onBoth runs a body on embedded and on real servers, beside other tests: they
// mostly wait.
func onBoth(t *testing.T, partitions int, body func(t *testing.T, w *world)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		k, err := embeddedkafka.Start(t.Context(), embeddedkafka.Config{}, embeddedkafka.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, k.Close)
		z, err := embeddedzookeeper.Start(t.Context(), embeddedzookeeper.Config{}, embeddedzookeeper.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, z.Close)
		body(t, newWorld(t, []string{k.Addr()}, []string{z.Addr()}, partitions))
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		body(t, newWorld(t, lab.Kafka(t).Addrs(), lab.ZooKeeper(t).Addrs(), partitions))
	})
}

func closeAtEnd(t testing.TB, end func() error) {
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Errorf("close an embedded server: %v", err)
		}
	})
}

func newWorld(t testing.TB, brokers, zk []string, partitions int) *world {
	t.Helper()
	w := &world{t: t, name: lab.Name(t), brokers: brokers, zk: zk, partitions: partitions}
	topic := kafka.Topic{Name: w.name, Partitions: int32(partitions), Replication: 3}
	if _, err := kafka.EnsureTopics(t.Context(), w.kafka(), []kafka.Topic{topic}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.producer, err = kafka.NewProducer(kafka.ProducerConfig{Config: w.kafka(), MaxRecords: 1 << 20, MaxBytes: 1 << 30}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	background(t, w.producer.Run)
	session := w.session(zk)
	lists := hotlist.New(hotlist.Deps{Session: session})
	background(t, func(ctx context.Context) error {
		lists.Watch(ctx, w.seeView)
		return nil
	})
	background(t, func(ctx context.Context) error {
		lists.WatchTop(ctx, w.seeTops)
		return nil
	})
	return w
}

func (w *world) kafka() kafka.Config { return kafka.Config{Brokers: w.brokers, ClientID: "test"} }

// session returns a running ZooKeeper session below the world's root.
func (w *world) session(servers []string) *zookeeper.Session {
	w.t.Helper()
	session, err := zookeeper.New(zookeeper.Config{Servers: servers, Root: "/" + w.name, SessionTimeout: 4 * time.Second}, zookeeper.Deps{})
	if err != nil {
		w.t.Fatal(err)
	}
	background(w.t, session.Run)
	return session
}

func (w *world) seeView(v *hotlist.View) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.view = v
	for _, list := range v.Lists {
		if !slices.ContainsFunc(w.hots, func(h hotlist.Hot) bool {
			return h.Partition == list.Partition && h.Generation == list.Generation && h.Published == list.Published && h.Offset == list.Offset
		}) {
			w.hots = append(w.hots, list)
		}
	}
}

func (w *world) seeTops(tops []hotlist.Top) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range tops {
		if !slices.ContainsFunc(w.tops, func(h hotlist.Top) bool {
			return h.Partition == list.Partition && h.Generation == list.Generation && h.Published == list.Published && h.Offset == list.Offset
		}) {
			w.tops = append(w.tops, list)
		}
	}
}

// seen returns every list published so far.
func (w *world) seen() ([]hotlist.Hot, []hotlist.Top) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.hots), slices.Clone(w.tops)
}

// hotNow is what the gateways take to be hot.
func (w *world) hotNow() map[int64]hotlist.Key {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.view == nil {
		return nil
	}
	return w.view.Hot
}

// background runs a function until the test's end, or until the returned function is called.
func background(t testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// config is that of a process of the world.
func (w *world) config(id string) Config {
	return Config{
		ID: id, Kafka: kafka.Config{Brokers: w.brokers}, ZooKeeper: zookeeper.Config{Servers: w.zk, Root: "/" + w.name, SessionTimeout: 4 * time.Second},
		TopicAccess: w.name, Group: w.name, SessionTimeout: 6 * time.Second, Rule: quickRule(),
	}
}

// quickRule has a short window, so that hits leave it during a test.
func quickRule() hotlist.Rule {
	r := hotlist.DefaultRule()
	r.Window, r.Hold = hotlist.Duration(2*time.Second), hotlist.Duration(time.Second)
	return r
}

// process is a hotcount process inside the test.
type process struct {
	*Role
	reg   *prometheus.Registry
	ready *lifecycle.Ready
	admin *admin.Server
	url   string // of the admin listener
	stop  func()
}

const adminToken = "correct horse battery staple"

func logger(t testing.TB) *slog.Logger {
	if os.Getenv("ESHOP_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, nil)).With("test", t.Name())
}

// prepare makes a process, with its admin listener bound.
func (w *world) prepare(cfg Config) *process {
	w.t.Helper()
	p := &process{reg: prometheus.NewRegistry(), ready: new(lifecycle.Ready)}
	p.admin = admin.New(admin.Config{Addr: "127.0.0.1:0", Token: adminToken, Role: "hotcount"}, admin.Deps{Gatherer: p.reg, Ready: p.ready})
	var err error
	if p.Role, err = New(cfg, Deps{Log: logger(w.t).With("process", cfg.ID), Registry: p.reg, Ready: p.ready, Admin: p.admin}); err != nil {
		w.t.Fatal(err)
	}
	if err := p.admin.Listen(); err != nil {
		w.t.Fatal(err)
	}
	p.url = "http://" + p.admin.Addr()
	return p
}

// run runs the process until the returned function is called, or to the test's end.
func (p *process) run(t testing.TB) (stop func()) {
	stopAdmin := background(t, p.admin.Run)
	stopRole := background(t, p.Run)
	t.Cleanup(stopRole) // before the listener
	return func() { stopRole(); stopAdmin() }
}

// start starts a process; it may not be ready yet.
func (w *world) start(cfg Config) *process {
	w.t.Helper()
	p := w.prepare(cfg)
	p.stop = p.run(w.t)
	return p
}

// started starts a process and waits until it is ready.
func (w *world) started(id string) *process {
	w.t.Helper()
	p := w.start(w.config(id))
	w.until(id+" is ready", func() error {
		if !p.ready.OK() {
			return fmt.Errorf("%s", strings.Join(p.ready.Reasons(), "; "))
		}
		return nil
	})
	return p
}

// holds counts the partitions whose windows a process has rebuilt and publishes.
func (p *process) holds() int {
	n := 0
	for _, part := range p.holder.holds() {
		if s := part.state.Load(); s != nil && s.published {
			n++
		}
	}
	return n
}

// counted is the number of hits a process has counted.
func (p *process) counted() int64 {
	families, err := p.reg.Gather()
	if err != nil {
		panic(err)
	}
	return int64(sum(families, "eshop_hotcount_events_total"))
}

func (w *world) until(what string, cond func() error) {
	w.t.Helper()
	lab.Until(w.t, time.Minute, func(context.Context) error {
		if err := cond(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	})
}

// share waits until the processes publish all partitions between them.
func (w *world) share(processes ...*process) {
	w.t.Helper()
	w.until("all partitions are published", func() error {
		sum, each := 0, []int{}
		for _, p := range processes {
			sum += p.holds()
			each = append(each, p.holds())
		}
		if sum != w.partitions || slices.Contains(each, 0) {
			return fmt.Errorf("%v of %d", each, w.partitions)
		}
		return nil
	})
}

// truth reads the whole topic and returns a recounter for each partition.
func (w *world) truth() []*recounter {
	w.t.Helper()
	all := &everything{counts: make([]recounter, w.partitions)}
	r, err := kafka.NewReader(kafka.ReaderConfig{Config: w.kafka(), Topic: w.name, Replay: -1}, all, kafka.Deps{})
	if err != nil {
		w.t.Fatal(err)
	}
	stop := background(w.t, r.Run)
	w.until("the topic is read", func() error {
		if !r.CaughtUp() {
			return fmt.Errorf("at %v: %w", r.Status(), r.LastError())
		}
		return nil
	})
	stop()
	out := make([]*recounter, w.partitions)
	for i := range out {
		out[i] = &all.counts[i]
	}
	return out
}

// everything collects a topic.
type everything struct{ counts []recounter }

func (e *everything) Record(r kafka.Record) { e.counts[r.Partition].add(r) }

func (e *everything) Gap(partition int32, from, to int64, reason string) {
	panic(fmt.Sprintf("the log of partition %d lacks %d to %d: %s", partition, from, to, reason))
}

// check compares every list that was published with the log.
func (w *world) check() (hots []hotlist.Hot, tops []hotlist.Top) {
	w.t.Helper()
	truth, span := w.truth(), time.Duration(quickRule().Window)
	hots, tops = w.seen()
	wrong := 0
	for _, list := range hots {
		if err := truth[list.Partition].checkHot(list, span); err != nil {
			w.t.Error(err)
			wrong++
		}
	}
	for _, list := range tops {
		if err := truth[list.Partition].checkTop(list); err != nil {
			w.t.Error(err)
			wrong++
		}
		if wrong > 10 {
			w.t.Fatal("and so on")
		}
	}
	return hots, tops
}
