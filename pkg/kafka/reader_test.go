package kafka_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

func TestReaderReplaysByTime(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 3)
		p := c.producer(t, kafka.ProducerConfig{})
		now := time.Now()
		for i := range 12 { // three each of 4 h, 3 h, 2 h, 1 h ago
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Append(nil, i), Time: now.Add(-time.Duration(4-i/3) * time.Hour)})
		}
		for _, tc := range []struct {
			name   string
			replay time.Duration
			want   int
		}{
			{"all", -1, 12}, {"two and a half hours", 150 * time.Minute, 6}, {"half an hour", 30 * time.Minute, 0}, {"none", 0, 0},
		} {
			t.Run(tc.name, func(t *testing.T) {
				out := &sink{}
				r, stop := c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: tc.replay}, out)
				until(t, 30*time.Second, "it caught up", r.CaughtUp)
				send(t, p, kafka.Record{Topic: topic, Value: []byte("new " + tc.name)})
				until(t, 30*time.Second, "the new one is read", func() bool { return slices.Contains(out.values(), "new "+tc.name) })
				stop()
				got := 0
				for _, v := range out.values() {
					if len(v) <= 2 {
						got++
					}
				}
				if got != tc.want {
					t.Errorf("old records: got %d, want %d", got, tc.want)
				}
				if gaps := out.allGaps(); len(gaps) > 0 {
					t.Errorf("gaps: got %v, want none", gaps)
				}
				for _, s := range r.Status() {
					if s.Next != s.High || s.LastAnswer.IsZero() {
						t.Errorf("status: got %+v, want the end reached", s)
					}
				}
			})
		}
	})
}

func TestReaderIsNotCaughtUpBeforeItHasRead(t *testing.T) {
	noLeaks(t)
	c := cluster{brokers: []string{refused(t)}}
	r, _ := c.reader(t, kafka.ReaderConfig{Topic: "t"}, &sink{})
	until(t, 10*time.Second, "the outage shows", func() bool { return r.LastError() != nil })
	if r.CaughtUp() || len(r.Status()) != 0 {
		t.Errorf("without a broker: got caught up %v, %d partitions", r.CaughtUp(), len(r.Status()))
	}
}

// A reader waits for its topic, and reads partitions that are added later from their beginning.
func TestReaderPicksUpTopicAndPartitions(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1) + "-later"
		out := &sink{}
		r, _ := c.reader(t, kafka.ReaderConfig{Topic: topic}, out)
		until(t, 10*time.Second, "it waits for the topic", func() bool { return r.LastError() != nil })
		if _, err := kafka.EnsureTopics(t.Context(), c.config(), []kafka.Topic{{Name: topic, Partitions: 1, Replication: 3}}, kafka.Deps{}); err != nil {
			t.Fatal(err)
		}
		until(t, 30*time.Second, "it caught up", r.CaughtUp)
		if err := c.admin(t).CreatePartitions(topic, 3, nil, false); err != nil {
			t.Fatal(err)
		}
		p := c.producer(t, kafka.ProducerConfig{ManualPartition: true})
		until(t, 30*time.Second, "the producer knows the new partitions", func() bool { return p.Partitions(topic) == 3 })
		send(t, p, kafka.Record{Topic: topic, Partition: 0, Value: []byte("zero")})
		until(t, 30*time.Second, "the new partition is written", func() bool {
			send(t, p, kafka.Record{Topic: topic, Partition: 2, Value: []byte("two")})
			return slices.ContainsFunc(r.Status(), func(s kafka.PartitionStatus) bool { return s.Partition == 2 && s.Next > 0 })
		})
		for _, rec := range out.all() {
			if rec.Partition == 2 && rec.Offset == 0 {
				return
			}
		}
		t.Error("the first record of the new partition was not read")
	})
}

func TestReaderGapOfRetention(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		p := c.producer(t, kafka.ProducerConfig{})
		// A slow receiver: the records after the one it holds are deleted meanwhile.
		out := &slowSink{hold: make(chan struct{}), at: 2}
		c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: -1, FetchBytes: 1}, out)
		for i := range 20 {
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Append(nil, i)})
		}
		until(t, 30*time.Second, "it is held", func() bool { return out.count() == 2 })
		if err := c.admin(t).DeleteRecords(topic, map[int32]int64{0: 15}); err != nil {
			t.Fatal(err)
		}
		close(out.hold)
		until(t, 30*time.Second, "the end is read", func() bool { return slices.Contains(out.values(), "19") })
		gaps := out.allGaps()
		if len(gaps) != 1 || gaps[0].to != 15 || gaps[0].reason != kafka.GapRetention {
			t.Fatalf("gaps: got %v, want one up to 15 by retention", gaps)
		}
		for i, r := range out.all() {
			want := int64(i)
			if want >= gaps[0].from {
				want += gaps[0].to - gaps[0].from
			}
			if r.Offset != want {
				t.Errorf("record %d: got offset %d, want %d", i, r.Offset, want)
			}
		}
	})
}

// A reader that is to begin at a time before the oldest record cannot know how much it missed: the brokers may not have
// answered since it started for as long as they keep records.
func TestReaderBeginsAfterRetention(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		for _, tc := range []struct {
			name    string
			age     time.Duration // of the first 15 of 20 records
			deleted int64
			replay  time.Duration
			begin   int64
			gap     bool
		}{
			{"young ones are gone", 0, 15, time.Hour, 15, true},
			{"all are gone", 0, 20, time.Hour, 20, true},
			{"old ones are gone", 2 * time.Hour, 10, time.Hour, 15, false},
			{"nothing is gone", 0, 0, time.Hour, 0, false},
			{"whatever there is", 0, 15, -1, 15, false},
			{"what comes now", 0, 20, 0, 20, false},
		} {
			t.Run(tc.name, func(t *testing.T) {
				topic := c.topic(t, 1)
				p := c.producer(t, kafka.ProducerConfig{})
				for i := range 20 {
					at := time.Now()
					if i < 15 {
						at = at.Add(-tc.age)
					}
					send(t, p, kafka.Record{Topic: topic, Value: fmt.Append(nil, i), Time: at})
				}
				if tc.deleted > 0 {
					if err := c.admin(t).DeleteRecords(topic, map[int32]int64{0: tc.deleted}); err != nil {
						t.Fatal(err)
					}
				}
				out := &sink{}
				r, _ := c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: tc.replay}, out)
				until(t, 30*time.Second, "it caught up", r.CaughtUp)
				send(t, p, kafka.Record{Topic: topic, Value: []byte("last")})
				until(t, 30*time.Second, "the end is read", func() bool { return slices.Contains(out.values(), "last") })
				if first := out.all()[0].Offset; first != tc.begin {
					t.Errorf("began at offset %d, want %d", first, tc.begin)
				}
				var want []gap
				if tc.gap {
					want = []gap{{0, 0, tc.deleted, kafka.GapRetention}}
				}
				if got := out.allGaps(); !slices.Equal(got, want) {
					t.Errorf("gaps: got %v, want %v", got, want)
				}
			})
		}
	})
}

// slowSink waits before it returns from the record with number at.
type slowSink struct {
	sink
	hold chan struct{}
	at   int
}

func (s *slowSink) Record(r kafka.Record) {
	s.sink.Record(r)
	if s.count() == s.at {
		<-s.hold
	}
}

// A topic that is deleted and made anew is read from its beginning, even when it is longer than the old one was by then.
func TestReaderGapOfRecreatedTopic(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		first, err := kafka.NewProducer(kafka.ProducerConfig{Config: c.config()}, kafka.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		stopFirst := running(t, first.Run)
		out := &sink{}
		c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: -1}, out)
		for i := range 3 {
			send(t, first, kafka.Record{Topic: topic, Value: fmt.Append(nil, "old ", i)})
		}
		until(t, 30*time.Second, "the old ones are read", func() bool { return out.count() == 3 })
		stopFirst() // a producer that asks for the topic may make it anew
		admin := c.admin(t)
		if err := admin.DeleteTopic(topic); err != nil {
			t.Fatal(err)
		}
		until(t, 30*time.Second, "it is made anew", func() bool {
			err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: -1}, false)
			return err == nil
		})
		p := c.producer(t, kafka.ProducerConfig{})
		for i := range 8 {
			send(t, p, kafka.Record{Topic: topic, Value: fmt.Append(nil, "new ", i)})
		}
		until(t, 30*time.Second, "the new ones are read", func() bool { return slices.Contains(out.values(), "new 7") })
		if got := out.values(); !slices.Contains(got, "new 0") {
			t.Errorf("values: got %q, want all new ones", got)
		}
		// The broker may first be seen with a shorter log and then with another
		// topic id: each is a loss as far as a reader can tell.
		gaps := out.allGaps()
		for _, g := range gaps {
			if g.reason != kafka.GapRecreated && g.reason != kafka.GapTruncated {
				t.Errorf("gap: got %v, want recreated or truncated", g)
			}
		}
		if len(gaps) == 0 {
			t.Error("no gap was told of")
		}
	})
}

// Producers of the time before 0.11 (lua-resty-kafka) send message sets in
// versions 0 and 1, compressed ones too. The embedded broker takes none of them: it speaks produce
// version 3 and later.
func TestReaderReadsOldProtocols(t *testing.T) {
	servers := lab.Kafka(t)
	noLeaks(t)
	c := cluster{brokers: servers.Addrs()}
	topic := c.topic(t, 1)
	out := &sink{}
	c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: -1}, out)
	g := 0
	for _, v := range []sarama.KafkaVersion{sarama.V0_8_2_2, sarama.V0_9_0_1, sarama.V0_10_2_1, sarama.V1_0_0_0} {
		for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy} {
			conf := sarama.NewConfig()
			conf.Version = v
			conf.ApiVersionsRequest = false
			conf.Producer.Compression = codec
			conf.Producer.Return.Successes = true
			old, err := sarama.NewSyncProducer(c.brokers, conf)
			if err != nil {
				t.Fatal(err)
			}
			var many []*sarama.ProducerMessage
			for range 3 {
				many = append(many, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprint(g))})
				g++
			}
			if err := old.SendMessages(many); err != nil {
				t.Fatalf("version %v, %v: %v", v, codec, err)
			}
			if err := old.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	until(t, 30*time.Second, "all are read", func() bool { return out.count() == g })
	for i, v := range out.values() {
		if v != fmt.Sprint(i) {
			t.Errorf("record %d: got %s", i, v)
		}
	}
}
