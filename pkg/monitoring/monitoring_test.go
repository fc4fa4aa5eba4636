package monitoring_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"eshop/pkg/monitoring"
)

// promtool runs Prometheus' own checker on files of a folder.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("ESHOP_TEST_STRICT") == "1" {
			t.Fatal(err)
		}
		t.Skip("promtool is missing; testdata/lab-setup.sh installs it")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDashboard: Grafana's form, and queries that Prometheus understands.
func TestDashboard(t *testing.T) {
	text, err := monitoring.Dashboard()
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(text), &board); err != nil {
		t.Fatal(err)
	}
	taken := map[[2]int]string{}
	queries := 0
	for i, p := range board.Panels {
		if p.ID != i+1 || p.Title == "" || (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %d: %+v", i, p)
		}
		queries += len(p.Targets)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if taken[at] != "" || at[0] >= 24 {
					t.Fatalf("%q and %q are both at %v", p.Title, taken[at], at)
				}
				taken[at] = p.Title
			}
		}
	}
	if want := len(monitoring.Queries()); queries != want || want == 0 {
		t.Errorf("%d queries in the panels, want %d", queries, want)
	}
	dir := t.TempDir()
	var rules strings.Builder
	rules.WriteString("groups:\n- name: queries\n  rules:\n")
	fill := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")
	for i, q := range monitoring.Queries() {
		fmt.Fprintf(&rules, "  - record: query:%d\n    expr: '%s'\n", i, fill.Replace(q))
	}
	write(t, filepath.Join(dir, "queries.yaml"), rules.String())
	promtool(t, dir, "check", "rules", "queries.yaml")
}

// fires are the series that make each alert fire after an hour, and the labels
// that it then has beside its severity. Each series has a sample a minute.
var fires = map[string]struct {
	series map[string]string
	labels string
}{
	"EshopViolation":       {map[string]string{`eshop_consistency_violations_total{invariant="1"}`: "0x55 1x9"}, `invariant: "1"`},
	"EshopPagesFail":       {map[string]string{`eshop_gateway_requests_total{code="503"}`: "0+2x70", `eshop_gateway_requests_total{code="200"}`: "0+100x70"}, ""},
	"EshopNotReady":        {map[string]string{`eshop_ready{instance="a"}`: "0x70"}, "instance: a"},
	"EshopBusBehind":       {map[string]string{`eshop_gateway_bus_behind{instance="a"}`: "1x70"}, "instance: a"},
	"EshopNoHeartbeats":    {map[string]string{`eshop_bus_leader{instance="a"}`: "0x70"}, ""},
	"EshopShopAway":        {map[string]string{`eshop_breaker_state{instance="a",dependency="origin"}`: "2x70"}, "instance: a\n              dependency: origin"},
	"EshopRedisErrors":     {map[string]string{`eshop_gateway_redis_errors_total{instance="a"}`: "0+120x70"}, "instance: a"},
	"EshopZooKeeperAway":   {map[string]string{`eshop_zookeeper_session_state{instance="a",state="connected"}`: "0x70"}, "instance: a\n              state: connected"},
	"EshopChangesLate":     {map[string]string{`eshop_change_lag_seconds_bucket{le="8.192"}`: "0+90x70", `eshop_change_lag_seconds_bucket{le="+Inf"}`: "0+100x70", `eshop_change_lag_seconds_bucket{le="16.384"}`: "0+100x70"}, ""},
	"EshopChangesStuck":    {map[string]string{`eshop_kafka_group_retrying{instance="a"}`: "1x70"}, "instance: a"},
	"EshopDeadLetters":     {map[string]string{`eshop_kafka_group_dead_lettered_total{instance="a"}`: "0x55 1x9"}, "instance: a"},
	"EshopRedisLostWrites": {map[string]string{`eshop_redis_repairs_total{instance="a",cause="failover"}`: "0x55 3x9"}, "instance: a"},
	"EshopRefusing":        {map[string]string{`eshop_gateway_refused_total{instance="a",reason="memory"}`: "0+120x70", `eshop_gateway_refused_total{instance="a",reason="unknown"}`: "0+120x70"}, "instance: a\n              reason: memory"},
	"EshopStalePages":      {map[string]string{`eshop_gateway_stale_served_total{instance="a"}`: "0+1x70"}, "instance: a"},
	"EshopSlow":            {map[string]string{`eshop_gateway_request_seconds_bucket{instance="a",le="0.25"}`: "0+90x70", `eshop_gateway_request_seconds_bucket{instance="a",le="1"}`: "0+100x70", `eshop_gateway_request_seconds_bucket{instance="a",le="+Inf"}`: "0+100x70"}, "instance: a"},
	"EshopHotListOld":      {map[string]string{`eshop_gateway_hot_list_age_seconds{instance="a"}`: "61x70", `eshop_hotcount_watermark_age_seconds{instance="b"}`: "1x70"}, "instance: a"},
	"EshopLogDrops":        {map[string]string{`eshop_accesslog_dropped_total{instance="a",reason="old"}`: "0+1x70"}, "instance: a\n              reason: old"},
	"EshopDegraded":        {map[string]string{`eshop_degraded{instance="a",kind="shop",mode="no-origin"}`: "1x70"}, "kind: shop\n              mode: no-origin"},
	// The time begins at 0 in these tests: 14 days are 1209600 s.
	"EshopCertificateExpires": {map[string]string{`eshop_tls_cert_expiry_seconds{instance="a",pair="gateway"}`: "1209600x70", `eshop_tls_cert_expiry_seconds{instance="b",pair="gateway"}`: "1300000x70", `eshop_tls_cert_expiry_seconds{instance="c",pair="cluster"}`: "0x70"}, "instance: a\n              pair: gateway"},
	// That of b has been so for four minutes.
	"EshopConfigReloadFailed": {map[string]string{`eshop_config_last_reload_successful{instance="a"}`: "0x70", `eshop_config_last_reload_successful{instance="b"}`: "1x56 0x12"}, "instance: a"},
	"EshopTemplateRefused":    {map[string]string{`eshop_gateway_template_errors_total{instance="a"}`: "0x55 1x9"}, "instance: a"},
}

// TestAlertsFire: each alert fires for what it is about, and only that one does.
// While nothing is wrong none does: the same series, without what is wrong.
func TestAlertsFire(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "eshop.yaml"), monitoring.RuleFile())
	promtool(t, dir, "check", "rules", "eshop.yaml")
	var test strings.Builder
	test.WriteString("rule_files: [eshop.yaml]\ntests:\n")
	seen := map[string]bool{}
	for _, a := range monitoring.Alerts() {
		f, ok := fires[a.Name]
		if !ok || seen[a.Name] {
			t.Errorf("%s: nothing is known that makes it fire, or it comes twice", a.Name)
		}
		seen[a.Name] = true
		fmt.Fprintf(&test, "  - name: %s\n    interval: 1m\n    input_series:\n", a.Name)
		for series, values := range f.series {
			fmt.Fprintf(&test, "      - {series: '%s', values: '%s'}\n", series, values)
		}
		test.WriteString("    alert_rule_test:\n")
		for _, other := range monitoring.Alerts() {
			fmt.Fprintf(&test, "      - eval_time: 61m\n        alertname: %s\n", other.Name)
			if other.Name != a.Name {
				continue
			}
			fmt.Fprintf(&test, "        exp_alerts:\n          - exp_labels:\n              severity: %s\n", a.Severity)
			if f.labels != "" {
				fmt.Fprintf(&test, "              %s\n", f.labels)
			}
			fmt.Fprintf(&test, "            exp_annotations:\n              summary: %q\n              description: %q\n", a.Means, a.Do)
		}
	}
	test.WriteString("  - name: quiet\n    interval: 1m\n    input_series:\n")
	for _, series := range []string{
		`eshop_ready{instance="a"} 1x70`, `eshop_bus_leader{instance="a"} 1x70`, `eshop_bus_leader{instance="b"} 0x70`, `eshop_breaker_state{dependency="origin"} 0x70`,
		`eshop_zookeeper_session_state{state="connected"} 1x70`, `eshop_zookeeper_session_state{state="expired"} 0x70`, `eshop_gateway_requests_total{code="200"} 0+1000x70`,
		`eshop_gateway_requests_total{code="503"} 0+9x70`, `eshop_gateway_refused_total{instance="a",reason="unknown"} 0+600x70`, `eshop_redis_repairs_total{instance="a",cause="audit"} 0x70`,
		`eshop_gateway_hot_list_age_seconds{instance="a"} -1x70`, `eshop_consistency_violations_total{invariant="1"} 0x70`, `eshop_degraded{kind="shop",mode="no-origin"} 0x70`,
		`eshop_tls_cert_expiry_seconds{instance="a",pair="cluster"} 7776000x70`, `eshop_config_last_reload_successful{instance="a"} 1x70`,
	} {
		name, values, _ := strings.Cut(series, " ")
		fmt.Fprintf(&test, "      - {series: '%s', values: '%s'}\n", name, values)
	}
	test.WriteString("    alert_rule_test:\n")
	for _, a := range monitoring.Alerts() {
		fmt.Fprintf(&test, "      - {eval_time: 61m, alertname: %s}\n", a.Name)
	}
	write(t, filepath.Join(dir, "test.yaml"), test.String())
	promtool(t, dir, "test", "rules", "test.yaml")
}
