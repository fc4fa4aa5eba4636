package fault_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
)

const gateways, caches, hotcounts = 3, 2, 2

// maxStaleness is what the gateways run with; nightly it is the default.
func maxStaleness() time.Duration {
	if long() {
		return 30 * time.Second
	}
	return 3 * time.Second
}

const (
	partitionsChange, partitionsInvalidate = 3, 2
	groupTimeout                           = 10 * time.Second // after which the brokers give a silent cache process's partitions away
)

// world is the servers and the fleet that all scenarios of a run share. Each scenario leaves it healed.
type world struct {
	t         testing.TB
	name      string
	cat       *catalog.Catalog
	redis     *lab.RedisCluster
	zookeeper *lab.ZooKeeperEnsemble
	kafka     *lab.KafkaCluster
	shop      *shop
	door      *lab.Link // in front of the shop
	gateways  []*member
	caches    []*member
	hotcounts []*member
	client    *http.Client
	store     *rediscluster.Store
	producer  *kafka.Producer
	admin     sarama.ClusterAdmin
	offsets   sarama.Client
	dead      int64              // letters of earlier scenarios, which were reported there
	alarms    map[string]float64 // of the auditors, by process, in earlier scenarios
}

// member is one process of the fleet.
type member struct {
	*lab.Process
	name        string
	addr, admin string    // of its listener for clients, and of its admin listener
	link        *lab.Link // by which the other roles reach it; none for hotcount
	index       int
}

func (w *world) topic(name string) string { return w.name + "." + name }

func (w *world) members() []*member {
	return append(append(append([]*member(nil), w.gateways...), w.caches...), w.hotcounts...)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, name: lab.Name(t), shop: startShop(t), alarms: map[string]float64{}}
	w.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}, Timeout: 9 * time.Second}
	t.Cleanup(w.client.CloseIdleConnections)
	w.kafka, w.redis, w.zookeeper = lab.KafkaNew(t, lab.Linked()), lab.RedisNew(t, lab.Linked()), lab.ZooKeeperNew(t, lab.Linked())
	w.door = lab.NewLink(t, strings.TrimPrefix(w.shop.url, "http://"))
	var err error
	if w.cat, err = catalog.New(catalog.DefaultKinds(), nil); err != nil {
		t.Fatal(err)
	}
	w.kafka.WaitBrokers(3, 90*time.Second)
	cfg := kafka.Config{Brokers: w.kafka.Addrs()}
	_, err = kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{{Name: w.topic("change"), Partitions: partitionsChange}, {Name: w.topic("invalidate"), Partitions: partitionsInvalidate},
		{Name: w.topic("dead"), Partitions: 1}, {Name: w.topic("access"), Partitions: 4}}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if w.producer, err = kafka.NewProducer(kafka.ProducerConfig{Config: cfg}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	background(t, "the shop's producer", w.producer.Run)
	if w.store, err = rediscluster.New(rediscluster.Config{Addrs: w.redis.Addrs()}, w.cat, rediscluster.Deps{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	w.look()
	w.start()
	return w
}

// look connects what the checks ask the brokers with, around the links.
func (w *world) look() {
	w.t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	conf.Net.DialTimeout, conf.Net.ReadTimeout, conf.Metadata.Timeout = dialTimeout, 5*time.Second, 5*time.Second
	var err error
	if w.offsets, err = sarama.NewClient(w.kafka.Addrs(), conf); err == nil {
		w.admin, err = sarama.NewClusterAdminFromClient(w.offsets)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.admin.Close() }) // and the client with it
}

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

// start runs the fleet's processes. Their addresses are fixed: a killed one comes back where it was.
func (w *world) start() {
	w.t.Helper()
	dir := w.t.TempDir()
	binary, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	ports := &ports{}
	defer ports.release()
	run := func(role string, index int, flags ...string) *member {
		m := &member{name: fmt.Sprintf("%s-%d", role, index), index: index, addr: ports.take(w.t), admin: ports.take(w.t)}
		args := append([]string{role, "--" + role + ".id", m.name, "--" + role + ".admin-addr", m.admin,
			"--kafka.brokers", strings.Join(w.kafka.Addrs(), ","), "--zookeeper.servers", strings.Join(w.zookeeper.Addrs(), ","), "--zookeeper.root", "/" + w.name,
			"--kafka.topic.change", w.topic("change"), "--kafka.topic.invalidate", w.topic("invalidate"), "--kafka.topic.dead", w.topic("dead")}, flags...)
		if role != "hotcount" {
			args = append(args, "--redis.addrs", strings.Join(w.redis.Addrs(), ","), "--"+role+".addr", m.addr)
		}
		switch role {
		case "gateway":
			peer := ports.take(w.t)
			m.link = lab.NewLink(w.t, peer)
			args = append(args, "--gateway.peer-addr", peer, "--gateway.advertise-addr", m.link.Addr(), "--gateway.audit", "100")
		case "cache":
			m.link = lab.NewLink(w.t, m.addr)
			args = append(args, "--cache.advertise-addr", m.link.Addr(), "--cache.audit", "100")
		}
		ports.release() // now: the process takes them
		m.Process = lab.Start(w.t, lab.Command{Path: binary, Dir: dir, Env: []string{runAsEshop + "=1"}, Args: args})
		return m
	}
	for i := range caches {
		w.caches = append(w.caches, run("cache", i, "--kafka.group.cache", w.topic("group"), "--origin.url", "http://"+w.door.Addr()))
	}
	for i := range hotcounts {
		w.hotcounts = append(w.hotcounts, run("hotcount", i, "--kafka.group.hotcount", w.topic("hotcount"), "--kafka.topic.access", w.topic("access"),
			"--hotcount.window", "2s", "--hotcount.hold", "1s", "--hotcount.floor", "40"))
	}
	for i := range gateways {
		w.gateways = append(w.gateways, run("gateway", i, "--kafka.topic.access", w.topic("access"), "--gateway.max-staleness", maxStaleness().String()))
	}
	w.ready(time.Minute)
}

// ready waits until every process says that it is.
func (w *world) ready(limit time.Duration) {
	w.t.Helper()
	for _, m := range w.members() {
		lab.Until(w.t, limit, func(ctx context.Context) error {
			status, body, _, err := w.get(ctx, "http://"+m.admin+"/-/ready")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%s is not ready: %s", m.name, body)
			}
			return err
		})
	}
}

// repaired waits until the servers are whole again, in the background of what the fleet does.
func (w *world) repaired() {
	w.t.Helper()
	w.redis.WaitReady(90 * time.Second)
	w.zookeeper.WaitReady(3, time.Minute)
	w.kafka.WaitBrokers(3, 90*time.Second)
	lab.Until(w.t, 90*time.Second, func(context.Context) error { // every replica has caught up: the next scenario may kill any broker
		topics, err := w.admin.DescribeTopics([]string{w.topic("change"), w.topic("invalidate"), w.topic("access"), w.topic("dead"), "__consumer_offsets"})
		for _, topic := range topics {
			for _, p := range topic.Partitions {
				if len(p.Isr) != len(p.Replicas) || p.Leader < 0 {
					return fmt.Errorf("partition %d of %s has %d replicas in step", p.ID, topic.Name, len(p.Isr))
				}
			}
		}
		return err
	})
}

// memory is the resident memory of a process, in bytes; 0 when it is gone.
func memory(pid int) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}
