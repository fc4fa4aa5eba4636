package tracing_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/catalog"
	"eshop/pkg/lab/collector"
	"eshop/pkg/tracing"
)

const sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// running starts a Tracer; the function it returns stops it.
func running(t *testing.T, cfg tracing.Config) (*tracing.Tracer, *prometheus.Registry, func()) {
	t.Helper()
	reg := prometheus.NewRegistry()
	if cfg.Interval == 0 {
		cfg.Interval = 5 * time.Millisecond
	}
	cfg.Service, cfg.Instance, cfg.Version = "eshop-test", "test-0", "v1"
	tr, err := tracing.New(cfg, tracing.Deps{Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return tr, reg, stop
}

func headers(pairs ...string) func(string) string {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h.Get
}

func spansOf(t *testing.T, reg *prometheus.Registry, outcome string) (n float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == "eshop_trace_spans_total" && m.Label[0].GetValue() == outcome || f.GetName() == outcome {
				n += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return n
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(30 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// TestExport sends spans to a receiver of the real protocol and reads them there.
func TestExport(t *testing.T) {
	c := collector.Start(t)
	tr, reg, stop := running(t, tracing.Config{Endpoint: c.URL(), Header: func() (string, string) { return "Authorization", "Bearer secret" }})
	ctx, outer := tr.Enter(t.Context(), tracing.Entry{Kind: tracing.Server, Name: "outer", At: time.Unix(1700000000, 0), Linked: true, Begins: true,
		Get: headers("traceparent", sampled, "tracestate", "vendor=1")})
	outer.Set(tracing.HTTPRequest("GET", "/product/7", "/product")...)
	inner, span := tracing.Start(ctx, tracing.Client, "inner")
	span.Set(tracing.Document(catalog.Key{Kind: "product", ID: 7}), tracing.Stamp(catalog.Stamp{Version: 3, Token: 9}))
	span.Fail(errors.New("away"))
	sent := http.Header{}
	tracing.Inject(tracing.WithRequestID(inner, "abc"), sent.Set)
	span.End()
	outer.End()
	stop()

	got := c.Of("0af7651916cd43dd8448eb211c80319c")
	want := "test-0 server outer under b7ad6b7169203331 http.route=/product\n  test-0 client inner eshop.document=product/7 eshop.stamp=0.3.9\n"
	if tree := collector.Tree(got, "http.route", "eshop.document", "eshop.stamp"); tree != want {
		t.Fatalf("got the trace\n%swant\n%s", tree, want)
	}
	if o := got[0]; !o.Start.Equal(time.Unix(1700000000, 0)) || len(o.Links) != 1 || o.Links[0] != o.Parent || o.Service != "eshop-test" || o.Error != "" {
		t.Errorf("the outer span is %+v: want the start given, a link to its parent and the service", o)
	}
	if got[1].Error != "away" {
		t.Errorf("the inner span failed with %q, want the error's text", got[1].Error)
	}
	if want := "00-" + got[1].Trace + "-" + got[1].ID + "-01"; sent.Get("traceparent") != want || sent.Get("tracestate") != "vendor=1" || sent.Get("X-Request-Id") != "abc" {
		t.Errorf("headers of a call %v, want the span's traceparent %s, tracestate and id", sent, want)
	}
	for _, h := range c.Requests() {
		if h.Get("Authorization") != "Bearer secret" {
			t.Errorf("the collector was sent %v without the configured header", h)
		}
	}
	if n := spansOf(t, reg, "exported"); n != 2 {
		t.Errorf("%v spans count as exported, want 2", n)
	}
}

// TestDecision: who is traced, and what others are told.
func TestDecision(t *testing.T) {
	unsampled := strings.TrimSuffix(sampled, "1") + "0"
	for name, tc := range map[string]struct {
		ratio       float64
		begins      bool
		traceparent string
		traced      bool
		passed      string // traceparent for a call; "new": any
	}{
		"sampled outside":              {0, true, sampled, true, "new"},
		"sampled by another process":   {0, false, sampled, true, "new"},
		"not sampled outside":          {1, true, unsampled, false, unsampled},
		"no header, none wanted":       {0, true, "", false, ""},
		"no header, all wanted":        {1, true, "", true, "new"},
		"no header, not the beginning": {1, false, "", false, ""},
		"a malformed header":           {0, true, "00-0af7651916cd43dd8448eb211c80319c-zzzz6b7169203331-01", false, ""},
		"all zero":                     {0, true, "00-00000000000000000000000000000000-0000000000000000-01", false, ""},
		"too short":                    {0, true, "00-1-2-01", false, ""},
		"malformed, all wanted":        {1, true, strings.Repeat("x", 100), true, "new"},
	} {
		t.Run(name, func(t *testing.T) {
			c := collector.Start(t)
			tr, _, stop := running(t, tracing.Config{Endpoint: c.URL(), Ratio: tc.ratio})
			ctx, span := tr.Enter(t.Context(), tracing.Entry{Kind: tracing.Server, Name: "it", Begins: tc.begins, Get: headers("traceparent", tc.traceparent)})
			_, below := tracing.Start(ctx, tracing.Internal, "below")
			if span.On() != tc.traced || below.On() != tc.traced {
				t.Errorf("recorded: %v, and below it %v; want %v", span.On(), below.On(), tc.traced)
			}
			sent := http.Header{}
			tracing.Inject(ctx, sent.Set)
			if got := sent.Get("traceparent"); got != tc.passed && (tc.passed != "new" || !strings.HasSuffix(got, "-01") || got == sampled) {
				t.Errorf("passed on: %q, want %q", got, tc.passed)
			}
			sent = http.Header{}
			if tracing.InjectTrace(ctx, sent.Set); (sent.Get("traceparent") != "") != tc.traced {
				t.Errorf("a message carries %v; want a trace only if it is sampled", sent)
			}
			below.End()
			span.End()
			stop()
			if n := len(c.Spans()); (n == 2) != tc.traced {
				t.Errorf("%d spans were sent", n)
			}
		})
	}
}

// TestBudget: however many ask to be traced, so many a second are.
func TestBudget(t *testing.T) {
	c := collector.Start(t)
	tr, reg, stop := running(t, tracing.Config{Endpoint: c.URL(), Ratio: 1, PerSecond: 5})
	began, traced, refused := time.Now(), 0, 0
	for i := range 200 {
		get := headers()
		if i%2 == 0 {
			get = headers("traceparent", sampled)
		}
		ctx, span := tr.Enter(t.Context(), tracing.Entry{Name: "it", Begins: true, Get: get})
		if span.On() {
			traced++
		} else if refused++; tracing.Sampled(ctx) {
			t.Error("one above the bound still counts as sampled")
		}
		sent := http.Header{}
		if tracing.Inject(ctx, sent.Set); !span.On() && strings.HasSuffix(sent.Get("traceparent"), "1") {
			t.Error("one above the bound is passed on as sampled")
		}
		span.End()
	}
	if seconds := int(time.Since(began).Seconds()) + 2; traced < 5 || traced > 5*seconds {
		t.Errorf("%d of 200 were traced within %d seconds of the clock, want 5 in each", traced, seconds)
	}
	if n := spansOf(t, reg, "eshop_traces_limited_total"); n != float64(refused) {
		t.Errorf("%v count as limited, want %d", n, refused)
	}
	if _, span := tr.Enter(t.Context(), tracing.Entry{Name: "another process's", Get: headers("traceparent", sampled)}); !span.On() {
		t.Error("what another process of the fleet traces is not gone on with")
	}
	stop()
}

// TestWants is the quick look, held against what Enter does.
func TestWants(t *testing.T) {
	c := collector.Start(t)
	tr, _, _ := running(t, tracing.Config{Endpoint: c.URL(), PerSecond: 1})
	for _, tc := range []struct {
		text string
		want bool
	}{
		{sampled, true}, {sampled[:53] + "ff", true}, {sampled[:53] + "00", false}, {sampled[:53] + "02", false}, {sampled[:54], false}, {"", false}, {"nonsense", false},
		{sampled + "-more", true},
	} {
		if got := tr.Wants([]byte(tc.text), time.Now().Add(time.Hour)); got != tc.want {
			t.Errorf("Wants(%q) = %v", tc.text, got)
		}
	}
	var off *tracing.Tracer
	if off.Wants([]byte(sampled), time.Now()) || off.On() {
		t.Error("a tracer that is off wants something")
	}
	until(t, "the budget is spent", func() bool {
		_, span := tr.Enter(t.Context(), tracing.Entry{Name: "it", Begins: true, Get: headers("traceparent", sampled)})
		span.End()
		return !tr.Wants([]byte(sampled), time.Now())
	})
}

// TestCollectorAway: a collector that is gone, hangs or refuses costs spans, which
// are counted, and nothing else.
func TestCollectorAway(t *testing.T) {
	for name, tc := range map[string]struct {
		endpoint string
		set      func(*collector.Collector)
	}{
		"gone":    {endpoint: "http://127.0.0.1:1"},
		"hangs":   {set: (*collector.Collector).Hold},
		"refuses": {set: func(c *collector.Collector) { c.Fail(http.StatusForbidden) }},
		"busy":    {set: func(c *collector.Collector) { c.Fail(http.StatusServiceUnavailable) }},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := tc.endpoint
			if endpoint == "" {
				c := collector.Start(t)
				tc.set(c)
				endpoint = c.URL()
			}
			const most, all = 64, 2000
			tr, reg, stop := running(t, tracing.Config{Endpoint: endpoint, Ratio: 1, PerSecond: all, Queue: most})
			began := time.Now()
			for range all {
				_, span := tr.Enter(t.Context(), tracing.Entry{Name: "it", Begins: true})
				span.End()
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%d spans took %v: somebody waits for the collector", all, took)
			}
			if n := spansOf(t, reg, "eshop_trace_spans_waiting"); n > most {
				t.Errorf("%v spans wait, at most %d may", n, most)
			}
			began = time.Now()
			stop()
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("the stop took %v, its limit is 3 s", took)
			}
			dropped, failed, limited := spansOf(t, reg, "dropped"), spansOf(t, reg, "failed"), spansOf(t, reg, "eshop_traces_limited_total")
			if dropped+failed+limited != all || failed == 0 {
				t.Errorf("%v dropped, %v failed and %v not begun: want %d in all", dropped, failed, limited, all)
			}
		})
	}
}

// TestCollectorBack: traces go on once the collector is back.
func TestCollectorBack(t *testing.T) {
	c := collector.Start(t)
	c.Fail(http.StatusBadRequest)
	tr, reg, _ := running(t, tracing.Config{Endpoint: c.URL(), Ratio: 1})
	end := func() {
		_, span := tr.Enter(t.Context(), tracing.Entry{Name: "it", Begins: true})
		span.End()
	}
	end()
	until(t, "a batch is given up", func() bool { return spansOf(t, reg, "failed") == 1 })
	c.Fail(0)
	end()
	until(t, "the next one arrives", func() bool { return len(c.Spans()) == 1 })
}

func TestSettings(t *testing.T) {
	for endpoint, want := range map[string]string{
		"collector:4318":            "must begin with http",
		"ftp://collector":           "must begin with http",
		"http://u:p@collector:4318": "neither a user",
		"http://collector/?a=b":     "nor a query",
		"http://%zz":                "not a URL",
	} {
		if _, err := tracing.New(tracing.Config{Endpoint: endpoint}, tracing.Deps{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says %q", endpoint, err, want)
		}
	}
	if _, err := tracing.New(tracing.Config{Endpoint: "http://c", Ratio: 1.5}, tracing.Deps{}); err == nil {
		t.Error("a ratio above 1 is taken")
	}
	if tr, err := tracing.New(tracing.Config{Ratio: 2}, tracing.Deps{}); tr != nil || err != nil {
		t.Errorf("without an endpoint: %v, %v", tr, err)
	}
}

// TestOff: everything may be called without a tracer, and costs nothing.
func TestOff(t *testing.T) {
	var off *tracing.Tracer
	ctx := t.Context()
	key := catalog.Key{Kind: "product", ID: 7}
	if n := testing.AllocsPerRun(100, func() {
		ctx, span := off.Enter(ctx, tracing.Entry{Name: "it", Begins: true})
		_, below := tracing.Start(ctx, tracing.Client, "below")
		if below.On() {
			below.Set(tracing.Document(key))
		}
		below.Fail(context.Canceled)
		below.End()
		span.End()
	}); n != 0 {
		t.Errorf("%v allocations without a tracer", n)
	}
}
