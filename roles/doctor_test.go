package roles

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eshop/pkg/doctor"
	"eshop/pkg/embedded"
	"eshop/pkg/lab"
)

// TestConfirmed: anything but yes is no.
func TestConfirmed(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " yes": true, "\n": false, "": false, "n\n": false, "yesterday\n": false} {
		var out bytes.Buffer
		if got := confirmed(strings.NewReader(answer), &out); got != want || !strings.Contains(out.String(), "[y/N]") {
			t.Errorf("%q: got %v and %q", answer, got, out.String())
		}
	}
}

// TestIsTerminal: scripts, services and tests are nobody who can be asked.
func TestIsTerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, stream := range map[string]any{"a buffer": new(bytes.Buffer), "the null device": null, "a file": file, "nothing": nil} {
		if isTerminal(stream) {
			t.Errorf("%s is taken for a terminal", name)
		}
	}
}

// TestDoctorOnAFile: the doctor reads the roles' own file, tells what it finds in
// both forms, without a secret, and ends with the code that says so.
func TestDoctorOnAFile(t *testing.T) {
	own, err := embedded.Start(t.Context(), embedded.Config{OriginAddr: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("sesame-open\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "eshop.yaml")
	text := "redis: {addrs: [" + own.Redis.Addr() + "]}\nkafka: {brokers: [" + own.Kafka.Addr() + "]}\nzookeeper: {servers: [" + own.ZooKeeper.Addr() + "]}\n" +
		"origin: {url: " + own.Origin.URL() + "}\ncluster: {token-file: " + token + "}\nadmin: {token-file: " + token + "}\ngateway: {connections: 16}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	examine := func(args ...string) (int, string, string) {
		return call(t, nil, "", append([]string{"doctor", "--config", file}, args...)...)
	}

	code, stdout, stderr := examine()
	for _, want := range []string{"failure  topic           cache-message, access-log, cache-invalidate, cache-message-dead: there is no such topic", "mend: eshop bootstrap --kafka.brokers " + own.Kafka.Addr(), "failure  root"} {
		if code != 1 || !strings.Contains(stdout, want) {
			t.Errorf("before bootstrap: got code %d, lacks %q:\n%s%s", code, want, stdout, stderr)
		}
	}
	if code, stdout, stderr := call(t, nil, "", "bootstrap", "--config", file); code != 0 {
		t.Fatalf("bootstrap: got code %d:\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = examine()
	if code != 0 || !strings.Contains(stdout, "\n0 failures, ") || !strings.Contains(stdout, "nothing is left") {
		t.Errorf("after bootstrap: got code %d:\n%s%s", code, stdout, stderr)
	}
	if strings.Contains(stdout, "sesame") {
		t.Errorf("a secret is shown:\n%s", stdout)
	}
	if code, _, stderr := examine("--strict"); code != 1 || !strings.Contains(stderr, "(--strict)") {
		t.Errorf("--strict: got code %d: %s", code, stderr)
	}
	code, stdout, _ = examine("--json", "--no-canary")
	var report struct {
		Failures, Warnings, OK, Skipped int
		Findings                        []doctor.Finding
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 {
		t.Fatalf("--json: got code %d, %v:\n%s", code, err, stdout)
	}
	if n := report.Failures + report.Warnings + report.OK + report.Skipped; n != len(report.Findings) || n < 50 || report.Failures != 0 {
		t.Errorf("--json: %d findings, counted %+v", len(report.Findings), n)
	}
	for _, f := range report.Findings {
		if f.Check == "canary.write" && f.Severity != doctor.Skipped {
			t.Errorf("--no-canary: got %+v", f)
		}
	}

	// Certificates in place of the token; the lab's last for a day.
	ca := lab.NewAuthority(t)
	code, stdout, _ = examine("--no-canary", "--cluster.token-file=", "--cluster.tls-cert="+ca.CertFile, "--cluster.tls-key="+ca.KeyFile, "--cluster.tls-ca="+ca.CAFile)
	for _, want := range []string{"a certificate is demanded in its place at --gateway.peer-addr :8081", ca.CertFile + " of --cluster.tls-cert expires at"} {
		if code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("with certificates: got code %d, lacks %q:\n%s", code, want, stdout)
		}
	}

	// What keeps a role from starting does not keep the doctor from looking.
	code, stdout, _ = examine("--cluster.token-file=", "--kafka.username=x")
	for _, want := range []string{"cluster-token", "--gateway.peer-addr :8081", "--kafka.username", "is used with --kafka.sasl only"} {
		if code != 1 || !strings.Contains(stdout, want) {
			t.Errorf("wrong settings: got code %d, lacks %q:\n%s", code, want, stdout)
		}
	}
}
