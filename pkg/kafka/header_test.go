package kafka_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/kafka"
)

// TestHeaders: a record's headers reach readers of both kinds, in their order, and
// count for its size.
func TestHeaders(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 1)
		out, grouped := &sink{}, &sink{}
		r, _ := c.reader(t, kafka.ReaderConfig{Topic: topic, Replay: -1}, out)
		until(t, 30*time.Second, "it caught up", r.CaughtUp)
		c.group(t, kafka.GroupConfig{Group: topic, Topic: topic}, func(kafka.Record) (string, error) { return "", nil },
			func(_ context.Context, r kafka.Record) error { grouped.Record(r); return nil })
		p := c.producer(t, kafka.ProducerConfig{MaxRecordBytes: 100})
		want := []kafka.Header{{Name: "traceparent", Value: "00-1-2-01"}, {Name: "twice", Value: "a"}, {Name: "twice", Value: ""}}
		send(t, p, kafka.Record{Topic: topic, Value: []byte("with"), Headers: want})
		send(t, p, kafka.Record{Topic: topic, Value: []byte("without")})
		for name, s := range map[string]*sink{"reader": out, "group": grouped} {
			until(t, 30*time.Second, name+" has both", func() bool { return s.count() >= 2 })
			if d := cmp.Diff([][]kafka.Header{want, nil}, [][]kafka.Header{s.all()[0].Headers, s.all()[1].Headers}); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
			if v := s.all()[0].Header("twice") + s.all()[0].Header("none"); v != "a" {
				t.Errorf("%s: the header is %q, want the first of the two", name, v)
			}
		}
		if p.Offer(kafka.Record{Topic: topic, Headers: []kafka.Header{{Name: "n", Value: strings.Repeat("x", 100)}}}) {
			t.Error("a record that is too large for its headers alone is taken")
		}
	})
}
