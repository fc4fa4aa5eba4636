package tracing_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab/collector"
	"eshop/pkg/tracing"
)

func TestRequestID(t *testing.T) {
	for _, id := range []string{"a", "7f0c-11", "Root=1-67891233-abcdef012345678912345678", strings.Repeat("x", 128), "a/b_c.d:e+f=@"} {
		if got := tracing.RequestIDOr(id); got != id {
			t.Errorf("RequestIDOr(%q) = %q, want it unchanged", id, got)
		}
	}
	seen := map[string]bool{}
	for _, id := range []string{"", strings.Repeat("x", 129), "a b", "a\nb", "<script>", `a"b`, "ä", "a,b", "a;b", "a\x00"} {
		got := tracing.RequestIDOr(id)
		if len(got) != 24 || strings.Trim(got, "0123456789abcdef") != "" || seen[got] {
			t.Errorf("RequestIDOr(%q) = %q, want a new one of 24 digits", id, got)
		}
		seen[got] = true
	}
}

// TestLogs: lines tell of what they are about.
func TestLogs(t *testing.T) {
	c := collector.Start(t)
	tr, _, _ := running(t, tracing.Config{Endpoint: c.URL()})
	var out bytes.Buffer
	log := slog.New(tracing.Logs(slog.NewTextHandler(&out, nil))).With("role", "x")
	ctx, span := tr.Enter(tracing.WithRequestID(t.Context(), "r-1"), tracing.Entry{Name: "it", Get: headers("traceparent", sampled)})
	defer span.End()
	log.WarnContext(ctx, "both")
	log.Warn("none")
	log.WarnContext(tracing.Carry(context.Background(), ctx), "carried")
	lines := strings.Split(out.String(), "\n")
	known := " request=r-1 trace=0af7651916cd43dd8448eb211c80319c"
	if !strings.HasSuffix(lines[0], known) || !strings.HasSuffix(lines[2], known) || strings.Contains(lines[1], "request=") {
		t.Errorf("got\n%swant%q in the first and the last", out.String(), known)
	}
}

// FuzzEnter: whatever headers say, a trace is gone on with or not, and what is
// passed on is well formed.
func FuzzEnter(f *testing.F) {
	for _, text := range []string{sampled, sampled[:50], "00-", "", "ff" + sampled[2:], strings.ToUpper(sampled), sampled + "-extra"} {
		f.Add(text, "vendor=1")
	}
	f.Add(sampled, strings.Repeat("a=b,", 500))
	tr, err := tracing.New(tracing.Config{Endpoint: "http://127.0.0.1:1", PerSecond: 1 << 40}, tracing.Deps{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, traceparent, tracestate string) {
		wants := tr.Wants([]byte(traceparent), time.Now())
		ctx, span := tr.Enter(t.Context(), tracing.Entry{Name: "it", Begins: true, Get: func(name string) string {
			if name == "traceparent" {
				return traceparent
			}
			return tracestate
		}})
		defer span.End()
		if span.On() && !wants {
			t.Errorf("%q is traced, which Wants had denied", traceparent)
		}
		tracing.Inject(ctx, func(name, value string) {
			if strings.ContainsAny(value, "\r\n\x00") || len(value) > 512 {
				t.Errorf("passed on: %s: %q", name, value)
			}
			if name == "traceparent" && len(value) != len(sampled) {
				t.Error(fmt.Sprint("a malformed traceparent is passed on: ", value))
			}
		})
	})
}
