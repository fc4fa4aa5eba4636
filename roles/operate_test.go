package roles

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/embedded"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

// servers are the Kafka and ZooKeeper addresses of one shape.
type servers struct {
	name             string
	brokers, servers []string
}

// onBoth runs a body on the embedded and on the real servers.
func onBoth(t *testing.T, body func(t *testing.T, s servers)) {
	t.Run("embedded", func(t *testing.T) {
		none := "http://nobody.asks.for.it"
		own, err := embedded.Start(t.Context(), embedded.Config{RedisAddrs: []string{"nobody.asks:1"}, OriginURL: none}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := own.Close(); err != nil {
				t.Errorf("close the embedded servers: %v", err)
			}
		})
		body(t, servers{name: lab.Name(t), brokers: []string{own.Kafka.Addr()}, servers: []string{own.ZooKeeper.Addr()}})
	})
	t.Run("real", func(t *testing.T) {
		body(t, servers{name: lab.Name(t), brokers: lab.Kafka(t).Addrs(), servers: lab.ZooKeeper(t).Addrs()})
	})
}

// environ sets what all calls of a test have in common.
func (s servers) environ() []string {
	return []string{
		"ESHOP_KAFKA_BROKERS=" + strings.Join(s.brokers, ","), "ESHOP_ZOOKEEPER_SERVERS=" + strings.Join(s.servers, ","), "ESHOP_ZOOKEEPER_ROOT=/" + s.name,
		"ESHOP_KAFKA_TOPIC_CHANGE=" + s.name + ".change", "ESHOP_KAFKA_TOPIC_ACCESS=" + s.name + ".access",
		"ESHOP_KAFKA_TOPIC_INVALIDATE=" + s.name + ".invalidate", "ESHOP_KAFKA_TOPIC_DEAD=" + s.name + ".dead", "ESHOP_LOG_LEVEL=error",
	}
}

func TestBootstrapThenPublish(t *testing.T) {
	onBoth(t, func(t *testing.T, s servers) {
		partitions := map[string]int{"change": 3, "access": 3, "invalidate": 3, "dead": 1}
		for _, state := range []string{"to be created", "created", "was there"} {
			args := []string{"bootstrap", "--partitions=3", "--replication=2"}
			if state == "to be created" {
				args = append(args, "--dry-run")
			}
			code, stdout, stderr := call(t, s.environ(), "", args...)
			if code != 0 {
				t.Fatalf("bootstrap: got code %d: %s", code, stderr)
			}
			for topic, n := range partitions {
				form := "topic %s.%s: %s, %d partitions, replication %d"
				if state == "to be created" {
					form = "topic %s.%s: %s with %d partitions, replication %d, kept for "
				}
				if want := fmt.Sprintf(form, s.name, topic, state, n, min(2, len(s.brokers))); !strings.Contains(stdout, want) {
					t.Errorf("lacks %q:\n%s", want, stdout)
				}
			}
			for _, node := range []string{"", "/locks", "/members/gateway", "/members/cache"} {
				if want := fmt.Sprintf("node /%s%s: %s\n", s.name, node, state); !strings.Contains(stdout, want) {
					t.Errorf("lacks %q:\n%s", want, stdout)
				}
			}
			last := map[string]string{"to be created": "Nothing was done (--dry-run).\n", "created": ": created\n", "was there": "Nothing is to be done.\n"}[state]
			if !strings.HasSuffix(stdout, last) {
				t.Errorf("does not end with %q:\n%s", last, stdout)
			}
		}
		// With other wishes it says what differs, with the command, and leaves it.
		for range 2 {
			code, stdout, stderr := call(t, s.environ(), "", "bootstrap", "--partitions=5", "--replication=3", "--yes")
			for _, want := range []string{
				"differs: 3 partitions instead of 5, left as it is; kafka-topics.sh --bootstrap-server " + s.brokers[0] + " --topic " + s.name + ".change --alter --partitions 5\n",
				"Nothing is to be done.\n",
			} {
				if code != 0 || !strings.Contains(stdout, want) {
					t.Errorf("got code %d, lacks %q:\n%s%s", code, want, stdout, stderr)
				}
			}
			if len(s.brokers) > 1 && !strings.Contains(stdout, "differs: replication 2 instead of 3") {
				t.Errorf("says nothing of the replication:\n%s", stdout)
			}
		}

		var want []string
		publish := func(stdin string, messages []string, args ...string) {
			t.Helper()
			code, stdout, stderr := call(t, s.environ(), stdin, append([]string{"publish"}, args...)...)
			if code != 0 || strings.Count(stdout, "sent to "+s.name+".change in ") != len(messages) {
				t.Errorf("publish %q: got code %d, want %d lines:\n%s%s", args, code, len(messages), stdout, stderr)
			}
			want = append(want, messages...)
		}
		publish("", []string{`{"productId":7,"serviceId":"productInfoService"}`}, "--kind=product", "--id=7")
		publish("", []string{`{"op":"delete","serviceId":"shopInfoService","shopId":3}`}, "--kind=shop", "--id=3", "--op=delete")
		publish("", []string{`{"op":"force","productId":7,"serviceId":"productInfoService","version":12}`}, "--kind=product", "--id=7", "--op=force", "--version=12")
		old := `{"serviceId":"productInfoService","productId":1,"shopId":1}`
		publish("", []string{old}, "--line", "{\n \"serviceId\": \"productInfoService\",\n \"productId\":1,\"shopId\": 1}")
		publish("\n"+old+"\n\n  "+old, []string{old, old}, "-")

		code, stdout, stderr := call(t, s.environ(), old+"\n{}\n"+old+"\n", "publish", "-")
		if code != 1 || !strings.Contains(stdout, "not sent: line 2: not a change message") || !strings.Contains(stderr, "1 of 3 messages were not sent") {
			t.Errorf("one bad line: got code %d:\n%s%s", code, stdout, stderr)
		}
		want = append(want, old, old)

		got := s.messages(t, s.name+".change", len(want))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("messages:\ngot  %q\nwant %q", got, want)
		}
	})
}

// messages reads the first n records of a topic and checks that there are no more at that time.
func (s servers) messages(t *testing.T, topic string, n int) []string {
	t.Helper()
	all := &collected{enough: make(chan struct{}), want: n}
	reader, err := kafka.NewReader(kafka.ReaderConfig{Config: kafka.Config{Brokers: s.brokers}, Topic: topic, Replay: -1}, all, kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- reader.Run(ctx) }()
	select {
	case <-all.enough:
	case <-ctx.Done():
		t.Errorf("%d messages were expected within 20 s", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("read the topic: %v", err)
	}
	return all.values
}

type collected struct {
	mu     sync.Mutex
	values []string
	want   int
	enough chan struct{}
}

func (c *collected) Record(r kafka.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values = append(c.values, string(r.Value))
	if len(c.values) == c.want {
		close(c.enough)
	}
}

func (c *collected) Gap(int32, int64, int64, string) {}

// TestUnreachableServers: both commands give up in time and say what they were about.
func TestUnreachableServers(t *testing.T) {
	nobody := servers{name: "nobody", brokers: []string{"127.0.0.1:1"}, servers: []string{"127.0.0.1:1"}}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"bootstrap", "--timeout=300ms"}, []string{"create the Kafka topics", "connect to ZooKeeper at [127.0.0.1:1]"}},
		{[]string{"publish", "--timeout=300ms", "--kind=product", "--id=7"}, []string{"1 of 1 messages were not sent"}},
	} {
		begin := time.Now()
		code, stdout, stderr := call(t, nobody.environ(), "", tt.args...)
		for _, want := range tt.want {
			if code != 1 || !strings.Contains(stderr, want) {
				t.Errorf("%q: got code %d, want 1 and %q:\n%s%s", tt.args, code, want, stdout, stderr)
			}
		}
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("%q took %s", tt.args, took)
		}
	}
}
