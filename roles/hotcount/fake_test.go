package hotcount

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"eshop/pkg/accesslog"
	"eshop/pkg/hotlist"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }),
		// sarama's metrics library has one ticker for the process, for ever
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// fakeLog is a partition as the group hands it out, fed by hand.
type fakeLog struct {
	id            int32
	partitions    int
	start, target int64
	end           atomic.Int64
	hung          atomic.Pointer[time.Time] // since when no end is confirmed
	committed     atomic.Int64
	in            chan kafka.Record
	gone          chan struct{}
	next          int64 // offset of the next record fed
}

func newFakeLog(start, target int64) *fakeLog {
	l := &fakeLog{partitions: 8, start: start, target: target, in: make(chan kafka.Record, 1<<16), gone: make(chan struct{}), next: start}
	l.end.Store(target)
	return l
}

func (l *fakeLog) ID() int32       { return l.id }
func (l *fakeLog) Partitions() int { return l.partitions }
func (l *fakeLog) Start() int64    { return l.start }
func (l *fakeLog) Target() int64   { return l.target }
func (l *fakeLog) End() int64      { return l.end.Load() }
func (l *fakeLog) Checked() (int64, time.Time) {
	if at := l.hung.Load(); at != nil {
		return l.End(), *at
	}
	return l.End(), time.Now()
}
func (l *fakeLog) Commit(next int64) { l.committed.Store(next) }

func (l *fakeLog) Read(tick <-chan time.Time, buf []kafka.Record) (int, bool) {
	select {
	case <-l.gone:
		return 0, false
	case <-tick:
		return 0, true
	case buf[0] = <-l.in:
	}
	for n := 1; n < len(buf); n++ {
		select {
		case buf[n] = <-l.in:
		default:
			return n, true
		}
	}
	return len(buf), true
}

// feed appends a record to the log.
func (l *fakeLog) feed(value []byte, at time.Time) {
	l.in <- kafka.Record{Partition: l.id, Offset: l.next, Value: value, Time: at}
	l.next++
	l.end.Store(max(l.end.Load(), l.next))
}

// request is one request for a product in the form of a foreign producer.
func request(id int64) []byte { return fmt.Appendf(nil, `{"uri_args":{"productId":"%d"}}`, id) }

// counts is a record of one product's hits.
func counts(gateway string, sequence uint64, at time.Time, id, n int64) []byte {
	return accesslog.AppendCounts(nil, &accesslog.Counts{Gateway: gateway, Boot: 1, Sequence: sequence, Time: at.UnixMilli(), Counts: []accesslog.Count{{ID: id, N: n}}})
}

// fakeLists is ZooKeeper as a publisher sees it.
type fakeLists struct {
	mu   sync.Mutex
	hots []hotlist.Hot
	tops []hotlist.Top
	err  error
}

func (f *fakeLists) PublishHot(_ context.Context, list hotlist.Hot) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.hots = append(f.hots, list)
	}
	return f.err
}

func (f *fakeLists) PublishTop(_ context.Context, list hotlist.Top) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.tops = append(f.tops, list)
	}
	return f.err
}

func (f *fakeLists) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// published returns what was published so far.
func (f *fakeLists) published() ([]hotlist.Hot, []hotlist.Top) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]hotlist.Hot(nil), f.hots...), append([]hotlist.Top(nil), f.tops...)
}

// hotNow is the last published set, by count.
func (f *fakeLists) hotNow(t *testing.T) hotlist.Hot {
	t.Helper()
	hots, _ := f.published()
	if len(hots) == 0 {
		t.Fatal("no hot list was published")
	}
	return hots[len(hots)-1]
}

// rig is a holder on fakes, inside a synctest bubble.
type rig struct {
	t        *testing.T
	h        *holder
	reg      *prometheus.Registry
	zk       fakeLists
	rejoins  atomic.Int64
	mu       sync.Mutex
	former   hotlist.Hot
	claimErr error
}

// claims says what comes of claims from now on.
func (r *rig) claims(former hotlist.Hot, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.former, r.claimErr = former, err
}

var errAway = errors.New("ZooKeeper is away")

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, reg: prometheus.NewRegistry()}
	s := &shared{log: slog.New(slog.DiscardHandler), delays: &delays{}}
	rule := hotlist.DefaultRule()
	s.rule.Store(&rule)
	r.h = newHolder(s, 64<<20)
	var err error
	if s.metrics, err = newMetrics(r.reg, r.h); err != nil {
		t.Fatal(err)
	}
	r.h.rejoin = func() { r.rejoins.Add(1) }
	r.h.publisher = func(int32, int) *publisher {
		return &publisher{log: s.log, metrics: s.metrics, delays: s.delays, mail: make(chan struct{}, 1),
			connected: func(ctx context.Context) error { return ctx.Err() },
			claim: func(context.Context) (claimed, error) {
				r.mu.Lock()
				defer r.mu.Unlock()
				return claimed{lists: &r.zk, generation: 7, former: r.former}, r.claimErr
			}}
	}
	return r
}

// rule changes the rule in force.
func (r *rig) rule(change func(*hotlist.Rule)) {
	rule := *r.h.rule.Load()
	change(&rule)
	r.h.rule.Store(&rule)
}

// hold gives the log to the holder and returns what takes it away again.
func (r *rig) hold(l *fakeLog) (end func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.h.hold(context.Background(), l)
	}()
	return func() {
		close(l.gone)
		<-done
	}
}

// assign asks the holder where to begin and holds a log that begins there.
func (r *rig) assign(start, target int64) (*fakeLog, func()) {
	r.h.Start(0)
	l := newFakeLog(start, target)
	return l, r.hold(l)
}

// metric returns the sum of a metric's series with the labels' values.
func (r *rig) metric(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	return sum(families, "eshop_"+name, labels...)
}

func sum(families []*dto.MetricFamily, name string, labels ...string) (total float64) {
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && has(m, labels) {
				total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return total
}

func has(m *dto.Metric, labels []string) bool {
	for _, want := range labels {
		ok := false
		for _, l := range m.GetLabel() {
			ok = ok || l.GetValue() == want
		}
		if !ok {
			return false
		}
	}
	return true
}

// settle lets everything happen that happens within d.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
