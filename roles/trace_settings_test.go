package roles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eshop/pkg/config"
)

// Traces are off unless they are asked for, and what is wrong with their settings is said at the start, once, and without
// the secret.
func TestTraceSettings(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, bad := file("good", "Authorization: Bearer hunter2\n"), file("bad", "hunter2\n")
	for _, c := range []struct {
		args string
		want []string // of as many problems; none: the settings are good
	}{
		{"", nil},
		{"--trace.ratio 0.5", nil},
		{"--trace.endpoint http://127.0.0.1:4318 --trace.ratio 0 --trace.header-file " + good, nil},
		{"--trace.endpoint https://collector/v1/traces --trace.ratio 1", nil},
		{"--trace.endpoint collector:4318", []string{`--trace.endpoint "collector:4318": must be an http or https URL`}},
		{"--trace.endpoint http://user:hunter2@collector:4318", []string{"--trace.endpoint: must have neither a user"}},
		{"--trace.endpoint http://c:4318 --trace.ratio 1.5 --trace.header-file " + bad,
			[]string{"--trace.ratio: 1.5 must be from 0 to 1", `--trace.header-file "` + bad + `": must hold one header`}},
		{"--trace.endpoint http://c:4318 --trace.ratio -1 --trace.per-second 0", []string{`--trace.ratio "-1": must be a number of at least 0`, `--trace.per-second "0"`}},
		{"--trace.endpoint http://c:4318 --trace.tls-ca-file " + good, []string{"is used with an https --trace.endpoint only"}},
		{"--trace.endpoint https://c:4318 --trace.tls-ca-file " + good, []string{"holds no PEM certificate"}},
		{"--trace.header-file " + good + " --trace.tls-ca-file " + good, []string{"--trace.header-file", "--trace.tls-ca-file"}},
	} {
		code, stdout, stderr := call(t, nil, "", append([]string{"all", "--check-config"}, strings.Fields(c.args)...)...)
		if len(c.want) == 0 {
			if code != 0 {
				t.Errorf("%s: %d %s", c.args, code, stderr)
			}
		} else if n := strings.Count(stderr, "\n  "); code != 2 || n != len(c.want) {
			t.Errorf("%s: exit code %d and %d problems, want 2 and %d:\n%s", c.args, code, n, len(c.want), stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: want %q in\n%s", c.args, want, stderr)
			}
		}
		if strings.Contains(stdout+stderr, "hunter2") {
			t.Errorf("%s: a secret is shown:\n%s%s", c.args, stdout, stderr)
		}
	}

	var problems config.Problems
	if off := (&traceSettings{ratio: 0.01, perSecond: 100}).config(&problems); off.Endpoint != "" || len(problems) > 0 {
		t.Errorf("without an endpoint: %+v, %v", off, problems)
	}
	on := (&traceSettings{endpoint: "https://c", ratio: 0.25, perSecond: 7, headerFile: good}).config(&problems)
	if len(problems) > 0 || on.Ratio != 0.25 || on.PerSecond != 7 || on.TLS == nil || on.Version == "" {
		t.Errorf("%+v, %v", on, problems)
	}
	file("good", "X-Key: another\n") // the file is read for each batch
	if name, value := on.Header(); name != "X-Key" || value != "another" {
		t.Errorf("the header is %s: %s", name, value)
	}
	file("good", "broken\n")
	if name, value := on.Header(); name != "Authorization" || value != "Bearer hunter2" {
		t.Errorf("of a file that was spoilt: %s: %s, want what it held at the start", name, value)
	}
}
