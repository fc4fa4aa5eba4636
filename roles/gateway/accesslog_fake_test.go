package gateway

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"eshop/pkg/accesslog"
	"eshop/pkg/kafka"
)

// fakeSink is a producer that a test moves by hand.
type fakeSink struct {
	books *books
	mu    sync.Mutex
	parts int
	// stuck partitions keep what they get until a test answers.
	stuck map[int32]bool
	// refuse says why a record is dropped at once, "" if it is not.
	refuse    func(kafka.Record) string
	unsettled []kafka.Record
	log       []kafka.Record // acknowledged, in order
}

func (f *fakeSink) Partitions(string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.parts
}

func (f *fakeSink) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (f *fakeSink) Offer(r kafka.Record) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		if reason := f.refuse(r); reason != "" {
			f.books.dropped(r, reason)
			return false
		}
	}
	if f.stuck[r.Partition] || slices.ContainsFunc(f.unsettled, func(u kafka.Record) bool { return u.Partition == r.Partition }) {
		// and what comes behind it: a producer sends in order
		f.unsettled = append(f.unsettled, r)
		return true
	}
	f.log = append(f.log, r)
	f.books.acknowledged(r)
	return true
}

// answer settles what is stuck: acknowledged, or dropped for a reason.
func (f *fakeSink) answer(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.unsettled {
		if reason == "" {
			f.log = append(f.log, r)
			f.books.acknowledged(r)
		} else {
			f.books.dropped(r, reason)
		}
	}
	f.unsettled = nil
}

func (f *fakeSink) records() []kafka.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// take returns the records since the last call.
func (f *fakeSink) take() []kafka.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

// newLogRig is a gateway on fakes with a sink of so many partitions.
func newLogRig(tb testing.TB, log AccessLog, partitions int) (*rig, *fakeSink) {
	tb.Helper()
	g := newRig(tb, func(c *Config, _ *Deps) { c.AccessLog = log })
	f := &fakeSink{books: g.access.books, parts: partitions, stuck: map[int32]bool{}}
	g.access.out = f
	return g, f
}

// logged adds up the hits of records by product.
func logged(tb testing.TB, records []kafka.Record) map[int64]int64 {
	tb.Helper()
	got := map[int64]int64{}
	for _, r := range records {
		for _, c := range decoded(tb, r).Counts {
			got[c.ID] += c.N
		}
	}
	return got
}

func decoded(tb testing.TB, r kafka.Record) accesslog.Record {
	tb.Helper()
	var d accesslog.Decoder
	out, err := d.Decode(r.Value)
	if err != nil {
		tb.Fatalf("%q: %v", r.Value, err)
	}
	return out
}

// losses are the hits lost so far by reason, without the reasons for which there are none.
func losses(tb testing.TB, b *books) map[string]int64 {
	tb.Helper()
	out := map[string]int64{}
	var all int64
	for reason, c := range b.lost {
		if n := int64(counter(tb, c)); n != 0 {
			out[reason] = n
			all += n
		}
	}
	if all != b.gone.Load() {
		tb.Errorf("lost by reason: %v, together %d; %d in all", out, all, b.gone.Load())
	}
	return out
}

// noon is some time.
var noon = time.UnixMilli(1_700_000_000_000)

func totalOf(m map[int64]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}
