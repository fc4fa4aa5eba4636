package degrade

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/admin"
)

func TestAPI(t *testing.T) {
	onBoth(t, func(e *env) {
		p := e.process()
		reg := prometheus.NewRegistry()
		if err := reg.Register(p.Collector([]string{"product", "shop"})); err != nil {
			e.Fatal(err)
		}
		adm := admin.New(admin.Config{Addr: "127.0.0.1:0", Token: "secret"}, admin.Deps{Gatherer: reg})
		api := API{Client: p.Client, State: p.State, Kinds: []string{"product", "shop"}}
		api.Serve(adm)
		api.Serve(adm) // a second role of the process
		if err := adm.Listen(); err != nil {
			e.Fatal(err)
		}
		e.running(func(ctx context.Context) {
			if err := adm.Run(ctx); err != nil {
				e.Error(err)
			}
		})
		e.Cleanup(http.DefaultClient.CloseIdleConnections)
		ask := func(method, query, token string) (int, string) {
			e.Helper()
			req, err := http.NewRequestWithContext(e.Context(), method, "http://"+adm.Addr()+"/api/degrade"+query, nil)
			if err != nil {
				e.Fatal(err)
			}
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				e.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				e.Fatal(err)
			}
			return resp.StatusCode, string(body)
		}
		for _, tt := range []struct {
			method, query, token string
			want                 int
			says                 string
		}{
			{"POST", "?kind=product&mode=no-origin&for=1h", "", 401, ""},
			{"DELETE", "?kind=product", "wrong", 401, ""},
			{"POST", "?mode=no-origin&for=1h", "secret", 400, "product, shop, or * for all"},
			{"POST", "?kind=products&mode=no-origin&for=1h", "secret", 400, "kind="},
			{"POST", "?kind=product&for=1h", "secret", 400, "no-origin or stale-only"},
			{"POST", "?kind=product&mode=no-origin", "secret", 400, "for=15m"},
			{"POST", "?kind=product&mode=no-origin&for=25h", "secret", 400, "24h0m0s"},
			{"POST", "?kind=product&mode=no-origin&for=1h&by=a%0ab", "secret", 400, "printable"},
			{"DELETE", "", "secret", 400, "* for all"},
			{"DELETE", "?kind=product&mode=all", "secret", 400, "mode"},
			{"GET", "", "", 200, `"switches": []`},
			{"POST", "?kind=product&mode=no-origin&for=1h&by=oncall", "secret", 200, `"by": "oncall at 127.0.0.1"`},
			{"POST", "?kind=*&mode=stale-only&for=15m", "secret", 200, `"by": "127.0.0.1"`},
		} {
			if code, body := ask(tt.method, tt.query, tt.token); code != tt.want || !strings.Contains(body, tt.says) {
				e.Errorf("%s %s: got %d %s, want %d with %q", tt.method, tt.query, code, body, tt.want, tt.says)
			}
		}
		e.shows(p, "*.stale-only product.no-origin")
		if code, body := ask("GET", "", ""); code != 200 || strings.Count(body, `"until"`) != 2 || !strings.Contains(body, `"by": "oncall at 127.0.0.1"`) {
			e.Errorf("GET: %d %s", code, body)
		}
		if got := fmt.Sprint(len(p.Explain("product")), len(p.Explain("shop")), len(p.Status())); got != "2 1 2" {
			e.Errorf("explain and status tell of %s switches", got)
		}
		e.gauge(reg, map[string]float64{"product no-origin": 1, "product stale-only": 1, "shop no-origin": 0, "shop stale-only": 1})
		if code, body := ask("DELETE", "?kind=*&mode=stale-only", "secret"); code != 200 || !strings.Contains(body, "*.stale-only") {
			e.Errorf("DELETE: %d %s", code, body)
		}
		e.shows(p, "product.no-origin")
		if code, body := ask("DELETE", "?kind=product", "secret"); code != 200 {
			e.Errorf("DELETE: %d %s", code, body)
		}
		e.shows(p, "")
		e.gauge(reg, map[string]float64{"product no-origin": 0, "product stale-only": 0, "shop no-origin": 0, "shop stale-only": 0})
	})
}

func (e *env) gauge(reg *prometheus.Registry, want map[string]float64) {
	e.Helper()
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "eshop_degraded" {
		e.Fatalf("gathered %v, %v", families, err)
	}
	for _, m := range families[0].GetMetric() {
		name := m.GetLabel()[0].GetValue() + " " + m.GetLabel()[1].GetValue()
		if got := m.GetGauge().GetValue(); got != want[name] {
			e.Errorf("eshop_degraded %s: %v, want %v", name, got, want[name])
		}
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for length, want := range map[time.Duration]time.Duration{-time.Minute: time.Second, 10 * time.Second: 10 * time.Second, time.Hour: maxRetry} {
		e := &Error{Switch: Switch{Mode: NoOrigin, Until: time.Now().Add(length).UnixMilli()}}
		if got := e.RetryAfter(); got > want || got < want-time.Second {
			t.Errorf("%v before its end: ask again after %v, want %v", length, got, want)
		}
	}
}
