package kafka_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"eshop/pkg/kafka"
)

// TestLookAt reads the newest records of every partition, and one by its offset,
// without being a member of anything.
func TestLookAt(t *testing.T) {
	onEach(t, func(t *testing.T, c cluster) {
		topic := c.topic(t, 2)
		p := c.producer(t, kafka.ProducerConfig{ManualPartition: true})
		for i := range 7 {
			r := kafka.Record{Topic: topic, Partition: int32(i % 2), Key: []byte("k"), Value: fmt.Appendf(nil, "v%d", i)}
			if err := p.Send(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		look := func(l kafka.Look) string {
			t.Helper()
			l.Topic = topic
			spans, records, err := kafka.LookAt(ctx, c.config(), l)
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(spans)
			for _, r := range records {
				text += fmt.Sprintf(" %d/%d=%s", r.Partition, r.Offset, r.Value)
			}
			return text
		}
		const spans = "[{0 0 4} {1 0 3}]"
		for _, tt := range []struct {
			look kafka.Look
			want string
		}{
			{kafka.Look{Partition: -1, Max: 2}, " 0/2=v4 0/3=v6 1/1=v3 1/2=v5"},
			{kafka.Look{Partition: -1, Max: 100}, " 0/0=v0 0/1=v2 0/2=v4 0/3=v6 1/0=v1 1/1=v3 1/2=v5"},
			{kafka.Look{Partition: 1, From: 1, Max: 1}, " 1/1=v3"},
			{kafka.Look{Partition: 1, From: 3, Max: 1}, ""},
			{kafka.Look{Partition: 9, Max: 1}, ""},
		} {
			if got := look(tt.look); got != spans+tt.want {
				t.Errorf("%+v: got %s, want %s", tt.look, got, spans+tt.want)
			}
		}
		if _, _, err := kafka.LookAt(ctx, c.config(), kafka.Look{Topic: topic + ".none", Partition: -1, Max: 1}); err == nil {
			t.Error("a topic that is not there is no error")
		}
	})
}
