package kafka_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/goleak"

	embedded "eshop/pkg/embedded/kafka"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(childRole) != "" {
		os.Exit(child())
	}
	os.Exit(lab.Main(m))
}

// cluster is what a conformance body runs on.
type cluster struct {
	brokers []string
}

func (c cluster) config() kafka.Config { return kafka.Config{Brokers: c.brokers, ClientID: "test"} }

// onEach runs the body on the embedded server and on three real brokers.
func onEach(t *testing.T, body func(t *testing.T, c cluster)) {
	t.Run("embedded", func(t *testing.T) {
		noLeaks(t)
		body(t, cluster{brokers: []string{startEmbedded(t, embedded.Config{}).Addr()}})
	})
	t.Run("real", func(t *testing.T) {
		servers := lab.Kafka(t)
		noLeaks(t)
		body(t, cluster{brokers: servers.Addrs()})
	})
}

func startEmbedded(t *testing.T, cfg embedded.Config) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(t.Context(), cfg, embedded.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// noLeaks checks at the end of the test, after its other cleanups. The one
// goroutine that stays belongs to a metrics library of the client library.
func noLeaks(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
	})
}

// topic makes a topic that no other test uses.
func (c cluster) topic(t *testing.T, partitions int32) string {
	t.Helper()
	name := lab.Name(t)
	if _, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: name, Partitions: partitions, Replication: 3}}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// running starts run and returns a function that ends it and waits; it is called at the end of the test anyway.
func running(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("Run: got %v, want nil", err)
				}
			case <-time.After(30 * time.Second):
				t.Error("Run did not return within 30 s of the end of its context")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func (c cluster) producer(t *testing.T, cfg kafka.ProducerConfig) *kafka.Producer {
	t.Helper()
	cfg.Config = c.config()
	p, err := kafka.NewProducer(cfg, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	running(t, p.Run)
	return p
}

func (c cluster) group(t *testing.T, cfg kafka.GroupConfig, keyOf func(kafka.Record) (string, error), h kafka.Handler) (*kafka.Group, func()) {
	t.Helper()
	cfg.Config = c.config()
	g, err := kafka.NewGroup(cfg, keyOf, h, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return g, running(t, g.Run)
}

func (c cluster) reader(t *testing.T, cfg kafka.ReaderConfig, e kafka.Events) (*kafka.Reader, func()) {
	t.Helper()
	cfg.Config = c.config()
	r, err := kafka.NewReader(cfg, e, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return r, running(t, r.Run)
}

// admin gives the client library's administration, for what operators do.
func (c cluster) admin(t *testing.T) sarama.ClusterAdmin {
	t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V2_8_0_0
	a, err := sarama.NewClusterAdmin(c.brokers, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// until polls for a state.
func until(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %v: %s", limit, what)
		case <-tick.C:
		}
	}
}

func byValue(r kafka.Record) (string, error) {
	k, _, ok := strings.Cut(string(r.Value), ":")
	if !ok {
		return "", fmt.Errorf("%q has no key", r.Value)
	}
	return k, nil
}

// sink records what a Reader says.
type sink struct {
	mu      sync.Mutex
	records []kafka.Record
	gaps    []gap
}

type gap struct {
	partition int32
	from, to  int64
	reason    string
}

func (s *sink) Record(r kafka.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, r)
}

func (s *sink) Gap(p int32, from, to int64, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps = append(s.gaps, gap{p, from, to, reason})
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

func (s *sink) all() []kafka.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]kafka.Record(nil), s.records...)
}

func (s *sink) values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.records {
		out = append(out, string(r.Value))
	}
	return out
}

func (s *sink) allGaps() []gap {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]gap(nil), s.gaps...)
}

func send(t *testing.T, p *kafka.Producer, r kafka.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := p.Send(ctx, r); err != nil {
		t.Fatal(err)
	}
}

// commitFor sets the committed offset of partition 0 for a group without members.
func commitFor(admin sarama.ClusterAdmin, group, topic string, offset int64) error {
	coordinator, err := admin.Coordinator(group)
	if err != nil {
		return err
	}
	req := &sarama.OffsetCommitRequest{Version: 7, ConsumerGroup: group, ConsumerGroupGeneration: sarama.GroupGenerationUndefined}
	req.AddBlock(topic, 0, offset, 0, "")
	resp, err := coordinator.CommitOffset(req)
	if err != nil {
		return err
	}
	if code := resp.Errors[topic][0]; code != sarama.ErrNoError {
		return code
	}
	return nil
}
