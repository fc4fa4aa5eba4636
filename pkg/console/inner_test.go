package console

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/lifecycle"
	"eshop/pkg/monitoring"
)

// TestEveryAlertHasItsCondition: the page and the rules of Prometheus know the same troubles.
func TestEveryAlertHasItsCondition(t *testing.T) {
	var want, got []string
	for _, a := range monitoring.Alerts() {
		want = append(want, a.Name)
	}
	got = append(got, noHeartbeats)
	for _, c := range conditions() {
		got = append(got, c.alert)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts and conditions differ (-alerts +conditions):\n%s", diff)
	}
	for _, a := range alerts() {
		if a.Means == "" || a.Do == "" {
			t.Errorf("%s does not say what it means and what to do", a.Name)
		}
	}
}

// TestConditions: each holds when what it is about is so, and not in a quiet process.
func TestConditions(t *testing.T) {
	quiet := Sample{At: 1e9, Seconds: 5, Values: map[string]float64{"ready": 1, "zookeeper": 1, "busBehind": 0, "breaker.origin": 0, "requests.l1": 5000, "retrying": 0, "degraded": 0, "hotListAge": 2, "watermarkAge": 1, "certificate": 1e6 + 1209600, "reloaded": 1}}
	slow := []float64{0, 0, 100}
	bounds := map[string][]float64{"latency": {0.1, 10}, "change": {1, 20}}
	for alert, change := range map[string]Sample{
		"EshopViolation": {Values: map[string]float64{"violations": 1}}, "EshopPagesFail": {Values: map[string]float64{"failed": 60}}, "EshopNotReady": {Values: map[string]float64{"ready": 0}},
		"EshopBusBehind": {Values: map[string]float64{"busBehind": 1}}, "EshopShopAway": {Values: map[string]float64{"breaker.origin": 2}}, "EshopRedisErrors": {Values: map[string]float64{"redisErrors": 61}},
		"EshopZooKeeperAway": {Values: map[string]float64{"zookeeper": 0}}, "EshopChangesLate": {Spreads: map[string][]float64{"change": slow}}, "EshopChangesStuck": {Values: map[string]float64{"retrying": 1}},
		"EshopDeadLetters": {Values: map[string]float64{"deadLettered": 1}}, "EshopRedisLostWrites": {Values: map[string]float64{"repairs": 1}}, "EshopRefusing": {Values: map[string]float64{"refused": 61}},
		"EshopStalePages": {Values: map[string]float64{"stale": 1}}, "EshopSlow": {Spreads: map[string][]float64{"latency": slow}}, "EshopHotListOld": {Values: map[string]float64{"watermarkAge": 31}},
		"EshopCertificateExpires": {Values: map[string]float64{"certificate": 1e6 + 1209599}}, "EshopConfigReloadFailed": {Values: map[string]float64{"reloaded": 0}},
		"EshopLogDrops": {Values: map[string]float64{"dropped": 1}}, "EshopDegraded": {Values: map[string]float64{"degraded": 1}}, "EshopTemplateRefused": {Values: map[string]float64{"templateErrors": 1}},
	} {
		bad := quiet
		bad.Values, bad.Spreads = map[string]float64{}, change.Spreads
		for k, v := range quiet.Values {
			bad.Values[k] = v
		}
		for k, v := range change.Values {
			bad.Values[k] = v
		}
		for _, c := range conditions() {
			if got := c.holds(window{[]Sample{bad}, bounds}); got != (c.alert == alert) {
				t.Errorf("when %s is so, the condition of %s says %v", alert, c.alert, got)
			}
			if c.holds(window{[]Sample{quiet}, bounds}) || c.holds(window{[]Sample{{}}, nil}) {
				t.Errorf("%s holds in a quiet process", c.alert)
			}
		}
	}
}

// TestTroublesHaveABeginning: since when, until it is over; anew when it comes back; and only
// after its time where it has one.
func TestTroublesHaveABeginning(t *testing.T) {
	tr := troubles{}
	var all []Sample
	at := int64(0)
	judge := func(values map[string]float64) string {
		at += 5000
		all = append(all, Sample{At: at, Seconds: 5, Values: values})
		tr.judge(all, nil)
		return fmt.Sprint(tr.list(at))
	}
	ok, bad := map[string]float64{"ready": 1}, map[string]float64{"ready": 0, "retrying": 1}
	for i, step := range []struct {
		values map[string]float64
		want   string
	}{
		{ok, "[]"}, {bad, "[{EshopNotReady 10000}]"}, {bad, "[{EshopNotReady 10000}]"}, {ok, "[]"}, {bad, "[{EshopNotReady 25000}]"},
	} {
		if got := judge(step.values); got != step.want {
			t.Errorf("step %d: got %s, want %s", i, got, step.want)
		}
	}
	for range 11 {
		judge(bad)
	}
	if got, want := judge(bad), "[{EshopNotReady 25000} {EshopChangesStuck 25000}]"; got != want {
		t.Errorf("after a minute: got %s, want %s", got, want)
	}
}

// TestSampleOfARegistry: counters by what was added, gauges as they are, histograms by bucket.
func TestSampleOfARegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eshop_gateway_requests_total"}, []string{"layer", "code"})
	states := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "eshop_zookeeper_session_state"}, []string{"role", "state"})
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "eshop_staleness_seconds", Buckets: []float64{1, 2}}, []string{"layer"})
	reg.MustRegister(requests, states, latency)
	requests.WithLabelValues("l1", "200").Add(7)
	start := time.UnixMilli(1_000_000_000)
	before := read(reg, start)
	requests.WithLabelValues("l1", "200").Add(5)
	requests.WithLabelValues("l1", "503").Add(2)
	states.WithLabelValues("gateway", "connected").Set(1)
	states.WithLabelValues("cache", "connected").Set(0)
	states.WithLabelValues("cache", "expired").Set(1)
	latency.WithLabelValues("a").Observe(0.5)
	latency.WithLabelValues("b").Observe(1.5)
	latency.WithLabelValues("b").Observe(9)
	got := read(reg, start.Add(6*time.Second)).since(before)
	want := Sample{At: 1_000_005_000, Seconds: 6, Values: map[string]float64{"requests.l1": 7, "failed": 2, "zookeeper": 0}, Spreads: map[string][]float64{"staleness": {1, 1, 1}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the sample (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Sample{At: want.At, Values: map[string]float64{"zookeeper": 0}}, read(reg, start.Add(6*time.Second)).since(read(reg, start.Add(6*time.Second)))); diff != "" {
		t.Errorf("when nothing moved (-want +got):\n%s", diff)
	}
}

func TestQuantile(t *testing.T) {
	bounds := []float64{1, 2, 4}
	for _, tt := range []struct {
		counts  []float64
		q, want float64
	}{
		{nil, 0.5, -1}, {[]float64{0, 0, 0, 0}, 0.5, -1}, {[]float64{10, 0, 0, 0}, 0.5, 0.5}, {[]float64{0, 10, 0, 0}, 0.5, 1.5}, {[]float64{5, 5, 0, 0}, 1, 2},
		{[]float64{0, 0, 0, 3}, 0.5, 4}, {[]float64{99, 0, 1, 0}, 0.99, 1}, {[]float64{99, 0, 1, 0}, 0.995, 3},
	} {
		if got := quantile(bounds, tt.counts, tt.q); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("quantile %v of %v: got %v, want %v", tt.q, tt.counts, got, tt.want)
		}
	}
}

func reported(instance string, members ...Member) *peer {
	return &peer{addr: instance, members: members, report: &Report{Instance: instance, Members: members, Ready: true, Bounds: map[string][]float64{"latency": {1, 2}}}}
}

// TestMergeAddsProcesses: rates add up, quantiles are of all observations, what came late fills
// what it stands for, and what nobody knows is -1.
func TestMergeAddsProcesses(t *testing.T) {
	now := time.UnixMilli(1_000_000_002_000)
	end := int64(1_000_000_000_000)
	a, b := reported("a", Member{"gateway", "a"}), reported("b", Member{"gateway", "b"})
	a.samples = []Sample{{At: end - 10_000, Seconds: 5, Values: map[string]float64{"requests.l1": 50, "leader": 1}, Spreads: map[string][]float64{"latency": {9, 0, 0}}}, {At: end, Seconds: 10, Values: map[string]float64{"requests.l1": 20}}}
	b.samples = []Sample{{At: end - 10_000, Seconds: 5, Values: map[string]float64{"requests.l1": 5}, Spreads: map[string][]float64{"latency": {0, 1, 0}}}, {At: end - 20*60*1000, Seconds: 5, Values: map[string]float64{"requests.l1": 1e9}}}
	s := merge([]*peer{a, b}, now)
	tail := func(name string) string { return fmt.Sprintf("%.3g", s.Lines[name][samples-4:]) }
	for name, want := range map[string]string{"requests.l1": "[-1 11 2 2]", "requests.redis": "[-1 0 0 0]", "latency.p99": "[-1 1.9 -1 -1]", "leader": "[-1 1 0 0]"} {
		if got := tail(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if since, none := s.leaderless(); !none || since != end-5000 {
		t.Errorf("without a leader: got %d %v, want since %d", since, none, end-5000)
	}
	if got := s.From + int64(samples-1)*s.Step; got != end {
		t.Errorf("the last value is of %d, want %d", got, end)
	}
}

// TestFindings: one line an alert, the urgent first, with all who have it; who does not answer is said
// to do so, and nothing of what it said before counts; who cannot, for it listens at loopback, is no page.
func TestFindings(t *testing.T) {
	now := time.UnixMilli(1_000_000_002_000)
	a, b, c := reported("a", Member{"gateway", "a"}), reported("b", Member{"gateway", "b"}), reported("c", Member{"cache", "c"}, Member{"hotcount", "c"})
	a.report.Troubles = []Trouble{{"EshopSlow", 500}, {"EshopBusBehind", 900}}
	b.report.Troubles = []Trouble{{"EshopBusBehind", 700}}
	c.report.Troubles = []Trouble{{"EshopShopAway", 100}}
	c.addr, c.err, c.silent = "10.0.0.7:8092", errors.New("gone"), 300
	d := reported("d", Member{"hotcount", "d"})
	d.addr, d.err, d.silent = "127.0.0.1:8092", errors.New("refused"), 400
	all := []*peer{a, b, c, d}
	s := merge(all, now)
	var got []string
	for _, f := range find(all, all, s) {
		got = append(got, fmt.Sprintf("%s %s since %d: %s", f.Severity, f.Alert, f.Since, strings.Join(f.Members, "; ")))
	}
	want := []string{"page NoAnswer since 300: cache c; hotcount c", "page EshopBusBehind since 700: gateway a; gateway b", "ticket OnlyOnItsMachine since 400: hotcount d", "ticket EshopSlow since 500: gateway a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestHeard: samples are kept for a quarter of an hour, and are another process's after a restart.
func TestHeard(t *testing.T) {
	now := time.UnixMilli(1_000_000_000_000)
	p := &peer{}
	at := func(ago time.Duration) Sample { return Sample{At: now.Add(-ago).UnixMilli()} }
	p.heard(Report{Instance: "x", Samples: []Sample{at(20 * time.Minute), at(time.Minute)}}, nil, now)
	p.heard(Report{Instance: "x", Samples: []Sample{at(0)}}, nil, now)
	if len(p.samples) != 2 {
		t.Errorf("%d samples are kept, want 2", len(p.samples))
	}
	p.heard(Report{}, errors.New("no"), now)
	p.heard(Report{}, errors.New("no"), now.Add(time.Minute))
	if p.silent != now.UnixMilli() || len(p.samples) != 2 {
		t.Errorf("silent since %d with %d samples, want since %d", p.silent, len(p.samples), now.UnixMilli())
	}
	p.heard(Report{Instance: "y"}, nil, now)
	if p.silent != 0 || len(p.samples) != 0 {
		t.Errorf("after a restart: silent %d, %d samples", p.silent, len(p.samples))
	}
	p.heard(Report{Instance: "z", Started: 77, Members: []Member{{"gateway", "b"}}}, nil, now)
	if since, why := p.lost(Member{"gateway", "a"}); since != 77 || why == nil || !strings.Contains(why.Error(), "gateway b") {
		t.Errorf("another process at the address: got %v since %d", why, since)
	}
	if _, why := p.lost(Member{"gateway", "b"}); why != nil {
		t.Errorf("the process at the address: got %v", why)
	}
}

// TestRecorderIsBounded: however long it runs, it keeps a quarter of an hour.
func TestRecorderIsBounded(t *testing.T) {
	r := newRecorder(prometheus.NewRegistry(), new(lifecycle.Ready))
	now := time.UnixMilli(1_000_000_000_000)
	for i := range samples + 50 {
		r.sample(now.Add(time.Duration(i) * sampleEvery))
	}
	var report Report
	r.fill(&report, 0)
	if len(report.Samples) != samples || report.Samples[0].Values["ready"] != 1 {
		t.Errorf("%d samples are kept, want %d", len(report.Samples), samples)
	}
	r.fill(&report, report.Samples[samples-3].At)
	if len(report.Samples) != 2 {
		t.Errorf("%d samples since the third last, want 2", len(report.Samples))
	}
}
