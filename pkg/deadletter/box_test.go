package deadletter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/deadletter"
	embeddedkafka "eshop/pkg/embedded/kafka"
	embeddedzk "eshop/pkg/embedded/zookeeper"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }),
		// sarama's metrics library has one ticker for the process, for ever
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// world is a topic of changes, one of dead letters, and a box on them.
type world struct {
	*testing.T
	name     string
	kafka    kafka.Config
	session  *zookeeper.Session
	producer *kafka.Producer
	box      *deadletter.Box
}

// onBoth runs a body on embedded servers and on real ones.
func onBoth(t *testing.T, body func(w *world)) {
	t.Run("embedded", func(t *testing.T) {
		k, err := embeddedkafka.Start(t.Context(), embeddedkafka.Config{}, embeddedkafka.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
		z, err := embeddedzk.Start(t.Context(), embeddedzk.Config{}, embeddedzk.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { z.Close() })
		body(newWorld(t, []string{k.Addr()}, []string{z.Addr()}))
	})
	t.Run("real", func(t *testing.T) { body(newWorld(t, lab.Kafka(t).Addrs(), lab.ZooKeeper(t).Addrs())) })
}

func newWorld(t *testing.T, brokers, servers []string) *world {
	t.Helper()
	w := &world{T: t, name: lab.Name(t), kafka: kafka.Config{Brokers: brokers}}
	_, err := kafka.EnsureTopics(t.Context(), w.kafka, []kafka.Topic{{Name: w.name + ".change", Partitions: 3}, {Name: w.name + ".dead", Partitions: 1}}, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	if w.session, err = zookeeper.New(zookeeper.Config{Servers: servers, Root: "/" + w.name}, zookeeper.Deps{}); err != nil {
		t.Fatal(err)
	}
	if w.producer, err = kafka.NewProducer(kafka.ProducerConfig{Config: w.kafka, ManualPartition: true}, kafka.Deps{}); err != nil {
		t.Fatal(err)
	}
	for _, run := range []func(context.Context) error{w.session.Run, w.producer.Run} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	w.box = w.another()
	return w
}

// another is the box of a further process.
func (w *world) another() *deadletter.Box {
	return deadletter.New(deadletter.Config{Kafka: w.kafka, Topic: w.name + ".dead", Change: w.name + ".change"},
		deadletter.Deps{Session: w.session, Producer: w.producer})
}

func (w *world) bury(letters ...any) {
	w.Helper()
	for _, l := range letters {
		value, isText := l.(string)
		if !isText {
			b, err := json.Marshal(l)
			if err != nil {
				w.Fatal(err)
			}
			value = string(b)
		}
		if err := w.producer.Send(w.Context(), kafka.Record{Topic: w.name + ".dead", Value: []byte(value)}); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) letter(partition int32, key, value string) kafka.DeadLetter {
	return kafka.DeadLetter{Reason: "because", Topic: w.name + ".change", Partition: partition, Offset: 5, Key: key, Value: value, Time: time.Now()}
}

func (w *world) states() string {
	w.Helper()
	l, err := w.box.List(w.Context(), 100)
	if err != nil {
		w.Fatal(err)
	}
	text := fmt.Sprintf("%d of %d open:", l.Open, l.Total)
	for i := len(l.Letters) - 1; i >= 0; i-- {
		text += fmt.Sprintf(" %d=%s", l.Letters[i].Offset, l.Letters[i].State)
	}
	return text
}

func (w *world) changes() string {
	w.Helper()
	_, records, err := kafka.LookAt(w.Context(), w.kafka, kafka.Look{Topic: w.name + ".change", Partition: -1, Max: 100})
	if err != nil {
		w.Fatal(err)
	}
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%d:%s=%q", r.Partition, r.Key, r.Value))
	}
	return strings.Join(all, " ")
}

// TestReplayAndDiscard: a message goes back as it was, once; what is dealt with says so, to every process.
func TestReplayAndDiscard(t *testing.T) {
	onBoth(t, func(w *world) {
		binary := w.letter(1, "aw==", "/w==")
		binary.Encoding = "base64"
		cut := w.letter(0, "k", "half of")
		cut.Truncated = true
		foreign := w.letter(0, "k", "x")
		foreign.Topic = "elsewhere"
		w.bury(w.letter(2, "7", `{"productId":7}`), binary, cut, foreign, "no letter", w.letter(0, "", "without a key"))
		if got, want := w.states(), "6 of 6 open: 0=open 1=open 2=open 3=open 4=open 5=open"; got != want {
			w.Fatalf("got %s, want %s", got, want)
		}
		for offset, want := range map[int64]error{0: nil, 1: nil, 2: deadletter.ErrForeign, 3: deadletter.ErrForeign, 4: deadletter.ErrForeign, 5: nil, 6: deadletter.ErrNoLetter} {
			l, err := w.box.Replay(w.Context(), 0, offset, "ann")
			if !errors.Is(err, want) {
				w.Errorf("replay %d: got %v, want %v", offset, err, want)
			}
			if want == nil && (l.State != deadletter.Replayed || l.By != "ann") {
				w.Errorf("replay %d: got %+v", offset, l)
			}
		}
		if got, want := w.changes(), `0:="without a key" 1:k="\xff" 2:7="{\"productId\":7}"`; got != want {
			w.Errorf("the topic of changes has %s, want %s", got, want)
		}
		if _, err := w.another().Replay(w.Context(), 0, 0, "bob"); !errors.Is(err, deadletter.ErrDone) || !strings.Contains(err.Error(), "by ann") {
			w.Errorf("a second replay, by another process: got %v, want ErrDone and who did it", err)
		}
		if n, err := w.box.Discard(w.Context(), 0, 2, 4, "ann"); n != 3 || err != nil {
			w.Errorf("discard three: got %d, %v", n, err)
		}
		if _, err := w.box.Discard(w.Context(), 0, 5, 6, "ann"); !errors.Is(err, deadletter.ErrNoLetter) {
			w.Errorf("discard beyond the end: got %v, want ErrNoLetter", err)
		}
		if _, err := w.box.Discard(w.Context(), 3, 0, 0, "ann"); !errors.Is(err, deadletter.ErrNoLetter) {
			w.Errorf("discard in a partition that is not there: got %v, want ErrNoLetter", err)
		}
		w.bury(w.letter(0, "k", "later"))
		if got, want := w.states(), "1 of 7 open: 0=replayed 1=replayed 2=discarded 3=discarded 4=discarded 5=replayed 6=open"; got != want {
			w.Errorf("got %s, want %s", got, want)
		}
	})
}

// TestOperatorsAtTheSameTime: marks by several processes at once are all kept.
func TestOperatorsAtTheSameTime(t *testing.T) {
	onBoth(t, func(w *world) {
		const operators, each = 4, 5
		for i := range operators * each {
			w.bury(w.letter(0, "k", fmt.Sprint(i)))
		}
		var all sync.WaitGroup
		for o := range operators {
			box := w.another()
			all.Go(func() {
				for i := range each {
					offset := int64(i*operators + o)
					if _, err := box.Discard(w.Context(), 0, offset, offset, fmt.Sprint("operator ", o)); err != nil {
						w.Error(err)
					}
				}
			})
		}
		all.Wait()
		if got := w.states(); !strings.HasPrefix(got, "0 of 20 open") {
			w.Errorf("got %s, want none open", got)
		}
	})
}
