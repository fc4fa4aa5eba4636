package hotcount

import (
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/kafka"
)

// TestSkippedAndDated: what each rule does to a record, by the metric that tells.
func TestSkippedAndDated(t *testing.T) {
	type one struct {
		value []byte
		at    time.Duration // of the Kafka record, from now
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name    string
		records []one
		metric  string
		labels  []string
		want    float64
		events  float64
	}{
		{"late by the Kafka record's time", []one{{request(1), 0}, {request(1), -11 * time.Second}}, "hotcount_skipped_total", []string{"late"}, 1, 1},
		{"late by the stated time", []one{{request(1), 0}, {counts("gw", 1, now.Add(-11*time.Second), 1, 5), 0}}, "hotcount_skipped_total", []string{"late"}, 5, 1},
		{"old but in the window", []one{{request(1), 0}, {request(1), -9 * time.Second}}, "hotcount_skipped_total", []string{"late"}, 0, 2},
		{"ahead", []one{{counts("gw", 1, now.Add(time.Hour), 1, 5), 0}}, "hotcount_future_total", nil, 5, 5},
		{"a little ahead", []one{{counts("gw", 1, now.Add(time.Second), 1, 5), 0}}, "hotcount_future_total", nil, 0, 5},
		{"without a time", []one{{request(1), now.Sub(time.UnixMilli(0)) * -1}}, "hotcount_undated_total", nil, 1, 1},
		{"not JSON", []one{{[]byte("GET /"), 0}, {nil, 0}}, "hotcount_skipped_total", []string{"malformed"}, 2, 0},
		{"no product", []one{{[]byte(`{"uri_args":{"shopId":"1"}}`), 0}}, "hotcount_skipped_total", []string{"no_product"}, 1, 0},
		{"twice", []one{{counts("gw", 1, now, 1, 5), 0}, {counts("gw", 1, now, 1, 5), 0}, {counts("gw", 2, now, 1, 5), 0}}, "hotcount_skipped_total", []string{"duplicate"}, 1, 10},
		{"the same number of another sender", []one{{counts("a", 1, now, 1, 5), 0}, {counts("b", 1, now, 1, 5), 0}}, "hotcount_skipped_total", []string{"duplicate"}, 0, 10},
		{"a gap", []one{{counts("gw", 5, now, 1, 1), 0}, {counts("gw", 9, now, 1, 1), 0}}, "hotcount_missing_records_total", nil, 3, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			c, err := newCounter(10*time.Second, 8<<20, 0)
			if err != nil {
				t.Fatal(err)
			}
			for i, rec := range tt.records {
				c.count(&kafka.Record{Offset: int64(i), Value: rec.value, Time: now.Add(rec.at)}, now.UnixMilli())
			}
			r.h.metrics.add(&c.tally)
			if got := r.metric(tt.metric, tt.labels...); got != tt.want {
				t.Errorf("%s %v is %v, want %v", tt.metric, tt.labels, got, tt.want)
			}
			if got := r.metric("hotcount_events_total"); got != tt.events || c.win.Total() != int64(tt.events) {
				t.Errorf("%v events, %d in the window, want %v", got, c.win.Total(), tt.events)
			}
			if c.next != int64(len(tt.records)) || r.metric("hotcount_records_total") != float64(len(tt.records)) {
				t.Errorf("next is %d, want %d", c.next, len(tt.records))
			}
			if w := c.win.Watermark(); w > now.Add(time.Second).UnixMilli() {
				t.Errorf("the watermark %d is ahead of the clock %d", w, now.UnixMilli())
			}
		})
	}
}

// TestMalformedStopsNothing: the partition goes on behind a record that cannot be used.
func TestMalformedStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l, end := r.assign(0, 0)
		defer end()
		settle(time.Second)
		for range 200 {
			l.feed([]byte("{"), time.Now())
			l.feed(request(7), time.Now())
		}
		settle(50 * time.Millisecond)
		if got := r.zk.hotNow(t); len(got.Keys) != 1 || got.Keys[0].Count != 200 || got.Offset != 400 {
			t.Errorf("got %+v, want product 7 with 200 hits at offset 400", got)
		}
	})
}

// BenchmarkCount is the work for one record once it is in memory: decode,
// duplicate, window.
func BenchmarkCount(b *testing.B) {
	c, err := newCounter(10*time.Second, 8<<20, 0)
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	rec := kafka.Record{Value: request(7), Time: now}
	b.ReportAllocs()
	for b.Loop() {
		c.count(&rec, now.UnixMilli())
	}
}
