package invalidation_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/catalog"
	embedded "eshop/pkg/embedded/kafka"
	"eshop/pkg/invalidation"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }),
		// sarama's metrics library has one ticker for the process, for ever
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const topic = "invalidate"

// brokers runs a body on the embedded broker and on the real ones.
func brokers(t *testing.T, body func(t *testing.T, cfg kafka.Config, topic string)) {
	t.Run("embedded", func(t *testing.T) {
		s, err := embedded.Start(t.Context(), embedded.Config{}, embedded.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		body(t, kafka.Config{Brokers: []string{s.Addr()}}, topic)
	})
	t.Run("real", func(t *testing.T) {
		body(t, kafka.Config{Brokers: lab.Kafka(t).Addrs()}, lab.Name(t))
	})
}

// witness notes, at the moment it is told, what the floor said then.
type witness struct {
	mu         sync.Mutex
	floor      *invalidation.Floor
	changed    map[catalog.Key]catalog.Stamp
	early      int // calls before the floor had been raised
	unverified int
}

func (w *witness) Changed(inv catalog.Invalidation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.floor.Admits(inv.Key, catalog.Stamp{}) {
		w.early++
	}
	w.changed[inv.Key] = inv.Stamp
}

func (w *witness) Unverified(string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unverified++
}

func (w *witness) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.changed)
}

// run starts an actor and returns what ends it.
func run(t *testing.T, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestBus(t *testing.T) {
	brokers(t, func(t *testing.T, cfg kafka.Config, topic string) {
		const partitions, keys = 3, 60
		if _, err := kafka.EnsureTopics(t.Context(), cfg, []kafka.Topic{{Name: topic, Partitions: partitions}}, kafka.Deps{}); err != nil {
			t.Fatal(err)
		}
		floor, err := invalidation.NewFloor(0)
		if err != nil {
			t.Fatal(err)
		}
		w := &witness{floor: floor, changed: map[catalog.Key]catalog.Stamp{}}
		var ahead sync.Map // a clock that can be set forward
		now := func() time.Time {
			if d, ok := ahead.Load("by"); ok {
				return time.Now().Add(d.(time.Duration))
			}
			return time.Now()
		}
		bus, err := invalidation.NewSubscriber(invalidation.Config{Kafka: cfg, Topic: topic, MaxStaleness: 10 * time.Second}, floor, w, invalidation.Deps{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		producer, err := kafka.NewProducer(kafka.ProducerConfig{Config: cfg, ManualPartition: true}, kafka.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		run(t, producer.Run)
		run(t, bus.Run)
		if !bus.Behind() {
			t.Error("before the first heartbeat nothing vouches for the copies, yet the bus is not behind")
		}
		until(t, "the topic is read to its end", bus.CaughtUp)
		pub := invalidation.NewPublisher(topic, producer, bus.Status, nil)

		// A line nobody can read, in front of the good ones.
		if err := producer.Send(t.Context(), kafka.Record{Topic: topic, Value: []byte("{")}); err != nil {
			t.Fatal(err)
		}
		for id := int64(1); id <= keys; id++ {
			inv := catalog.Invalidation{Key: catalog.Key{Kind: "product", ID: id}, Stamp: catalog.Stamp{Version: 7, Token: id}, State: "live"}
			if err := pub.Publish(t.Context(), inv); err != nil {
				t.Fatal(err)
			}
		}
		until(t, "every message is handled", func() bool { return w.count() == keys })
		if w.early > 0 {
			t.Errorf("%d times the handler was told before the floor had been raised", w.early)
		}
		for id := int64(1); id <= keys; id++ {
			if got, want := floor.Of(catalog.Key{Kind: "product", ID: id}), (catalog.Stamp{Version: 7, Token: id}); got != want {
				t.Errorf("product %d: the floor is %v, want %v", id, got, want)
			}
		}

		beat, stop := context.WithCancel(t.Context())
		beating := make(chan struct{})
		go func() { defer close(beating); pub.Beat(beat, "leader", 20*time.Millisecond) }()
		until(t, "every partition has its heartbeat", func() bool { return !bus.Behind() })
		first := bus.Watermark()
		until(t, "the watermark rises", func() bool { return bus.Watermark().After(first) })
		stop()
		<-beating
		ahead.Store("by", 11*time.Second)
		if !bus.Behind() {
			t.Error("11 s after the last heartbeat the bus is not behind, want it behind from 10 s on")
		}

		// A process that starts now hears of the recent changes.
		later, err := invalidation.NewFloor(0)
		if err != nil {
			t.Fatal(err)
		}
		w2 := &witness{floor: later, changed: map[catalog.Key]catalog.Stamp{}}
		bus2, err := invalidation.NewSubscriber(invalidation.Config{Kafka: cfg, Topic: topic}, later, w2, invalidation.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		run(t, bus2.Run)
		until(t, "the replay", func() bool { return w2.count() == keys && bus2.CaughtUp() })
		if w.unverified+w2.unverified > 0 {
			t.Errorf("%d losses were reported, none happened", w.unverified+w2.unverified)
		}
	})
}

func TestPublishBeforePartitionsAreKnown(t *testing.T) {
	pub := invalidation.NewPublisher(topic, nil, func() []kafka.PartitionStatus { return nil }, nil)
	if err := pub.Publish(t.Context(), catalog.Invalidation{Key: catalog.Key{Kind: "product", ID: 1}}); err == nil {
		t.Error("got no error, want one: nobody knows where to send it")
	}
}
