package roles

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"eshop/pkg/config"
)

// printUnit returns what eshop unit prints.
func printUnit(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := call(t, nil, "", append([]string{"unit"}, args...)...)
	if code != 0 || stderr != "" {
		t.Fatalf("eshop unit %s: code %d: %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// analyze runs systemd-analyze and returns what it says.
func analyze(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("ESHOP_TEST_STRICT") == "1" {
			t.Fatalf("there is no systemd-analyze; testdata/lab-setup.sh installs it: %v", err)
		}
		t.Skip("there is no systemd-analyze; testdata/lab-setup.sh installs it")
	}
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SYSTEMD_PAGER=cat", "SYSTEMD_COLORS=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// exposure is the most that systemd-analyze security may find, in tenths: 2.0 of 10.
const exposure = "20"

// What is printed is what systemd understands, to the last word, and leaves little to an attacker.
func TestUnitsAreGood(t *testing.T) {
	dir := t.TempDir()
	binary, err := os.Executable() // systemd-analyze looks whether it can be run
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	units := []string{
		write("eshop-gateway-public.socket", printUnit(t, "gateway", "--socket", "public")),
		write("eshop-gateway-peer.socket", printUnit(t, "gateway", "--socket", "peer", "--gateway.peer-addr", "127.0.0.1:8081")),
	}
	for _, role := range []string{"gateway", "cache", "hotcount"} {
		service := write("eshop-"+role+".service", printUnit(t, role, "--binary", binary))
		units = append(units, service)
		if out, err := analyze(t, dir, "security", "--offline=true", "--no-pager", "--threshold="+exposure, service); err != nil {
			t.Errorf("eshop-%s.service: %v:\n%s", role, err, out)
		}
	}
	if out, err := analyze(t, dir, append([]string{"verify"}, units...)...); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("verify: %v:\n%s", err, out)
	}
	// What is commented out must be good too once it is not.
	all := strings.NewReplacer("#LoadCredential=", "LoadCredential=", "#Environment=", "Environment=").Replace(printUnit(t, "gateway", "--binary", binary))
	if out, err := analyze(t, dir, "verify", write("eshop-gateway.service", all)); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("verify with every credential: %v:\n%s", err, out)
	}
	// The two tools find what is wrong: else the above would say nothing.
	if out, err := analyze(t, dir, "verify", write("eshop-gateway.service", strings.Replace(all, "WatchdogSec=", "WatchDogSec=", 1))); err == nil && out == "" {
		t.Error("verify takes an unknown word")
	}
	if _, err := analyze(t, dir, "security", "--offline=true", "--no-pager", "--threshold="+exposure, write("eshop-gateway.service", "[Service]\nExecStart="+binary+"\n")); err == nil {
		t.Error("security takes a service without any protection")
	}
}

// The units follow the settings, wherever those are.
func TestUnitsFollowTheSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "eshop.yaml")
	if err := os.WriteFile(file, []byte("gateway: {l1-bytes: 1GiB, connections: 1024, addr: ':80'}\nshutdown-delay: 10s\nkafka.brokers: k:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"gateway"}, []string{"TimeoutStopSec=35\n", "ExecStart=/usr/local/bin/eshop gateway\n", "LimitNOFILE=147456\n", "GOMEMLIMIT=3136MiB\n", "MemoryMax=3920M\n"}},
		{[]string{"gateway", "--config", file, "--binary=/opt/eshop"}, []string{"TimeoutStopSec=45\n", "ExecStart=/opt/eshop gateway\n", "LimitNOFILE=18432\n", "GOMEMLIMIT=2341MiB\n", "MemoryMax=2927M\n"}},
		{[]string{"gateway", "--config", file, "--socket", "public"}, []string{"ListenStream=80\n", "FileDescriptorName=public\n"}},
		{[]string{"gateway", "--socket", "peer"}, []string{"ListenStream=8081\n", "FileDescriptorName=peer\n"}},
		{[]string{"gateway", "--gateway.connections", "1024", "--gateway.tls-cert", "/etc/letsencrypt/live/shop/fullchain.pem", "--gateway.tls-key", "/etc/letsencrypt/live/shop/privkey.pem"},
			[]string{"1024 connections of 64 KiB", "\nLoadCredential=gateway-tls-cert:/etc/letsencrypt/live/shop/fullchain.pem\nEnvironment=ESHOP_GATEWAY_TLS_CERT=%d/gateway-tls-cert\n",
				"\nLoadCredential=gateway-tls-key:/etc/letsencrypt/live/shop/privkey.pem\n", "#LoadCredential=cluster-tls-key:/etc/eshop/cluster-tls-key\n", "\nLoadCredential=cluster-token:/etc/eshop/cluster-token\n"}},
		{[]string{"cache", "--cache.l1-bytes", "512MiB"}, []string{"GOMEMLIMIT=1408MiB\n", "#LoadCredential=redis-password:", "\nLoadCredential=cluster-token:"}},
		{[]string{"hotcount", "--shutdown-timeout", "90s"}, []string{"TimeoutStopSec=95\n", "GOMEMLIMIT=384MiB\n"}},
	} {
		text := printUnit(t, c.args...)
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: lacks %q:\n%s", strings.Join(c.args, " "), want, text)
			}
		}
	}
	if text := printUnit(t, "hotcount"); strings.Contains(text, "redis") || strings.Contains(text, ".socket") {
		t.Errorf("hotcount has what it does not need:\n%s", text)
	}
}

func TestUnitMistakes(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"unit", "say which role's unit, one of gateway, cache, hotcount"},
		{"unit all", `"all" has no unit; there are gateway, cache, hotcount`},
		{"unit cache --socket public", "is for the gateway"},
		{"unit gateway --socket admin", "must be one of public, peer"},
		{"unit gateway --socket public --env", "one file is printed at a time"},
		{"unit gateway --socket public --gateway.addr 127.0.0.1:0", "port from 1 to 65535"},
		{"unit gateway --binary eshop", "must be an absolute path"},
		{"unit gateway --gateway.tls-key=live/privkey.pem", "--gateway.tls-key \"live/privkey.pem\": must be an absolute path"},
		{"unit gateway cache", "say which role's unit"},
	} {
		if code, _, stderr := call(t, nil, "", strings.Fields(c.args)...); code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("eshop %s: got code %d, want 2 and %q:\n%s", c.args, code, c.want, stderr)
		}
	}
}

// The template of the settings has each of them once, with its default, and no secret; filled in, with
// every comment taken away, the role takes all of it.
func TestEnvTemplate(t *testing.T) {
	values := map[string]string{"ESHOP_REDIS_ADDRS": "r:1", "ESHOP_KAFKA_BROKERS": "k:1", "ESHOP_ZOOKEEPER_SERVERS": "z:1", "ESHOP_ORIGIN_URL": "http://shop"}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, role := range unitRoles() {
		text := printUnit(t, role.name, "--env")
		environ := []string{"ESHOP_CLUSTER_TOKEN_FILE=" + token}
		seen := map[string]bool{}
		filled := 0
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			name, value, found := strings.Cut(strings.TrimPrefix(line, "#"), "=")
			if !found || !strings.HasPrefix(name, "ESHOP_") {
				continue
			}
			if seen[name] {
				t.Errorf("%s: %s comes twice", role.name, name)
			}
			seen[name] = true
			if !strings.HasPrefix(line, "#") {
				if values[name] == "" || value != "" {
					t.Errorf("%s: %q should be a comment, or have no value", role.name, line)
				}
				value = values[name]
				filled++
			}
			environ = append(environ, name+"="+value)
		}
		set, _, _ := role.flags()
		for _, row := range set.Rows() {
			variable := config.EnvName(row.Name)
			if want := !row.Secret && row.Name != "check-config"; seen[variable] != want {
				t.Errorf("%s: the template has %s: %v, want %v", role.name, variable, seen[variable], want)
			}
			if row.Secret && !strings.Contains(text, "Environment="+variable+"=%d/"+credential(row.Name)+"\n") {
				t.Errorf("%s: the template does not say where %s is set", role.name, variable)
			}
		}
		if want := map[string]int{"gateway": 3, "cache": 4, "hotcount": 2}[role.name]; filled != want {
			t.Errorf("%s: %d settings are to be filled in, want %d", role.name, filled, want)
		}
		code, stdout, stderr := call(t, environ, "", role.name, "--check-config")
		if code != 0 || stderr != "" || !strings.Contains(stdout, "# environment") {
			t.Errorf("eshop %s with the template: code %d:\n%s", role.name, code, stderr)
		}
		_, _, bare := call(t, nil, "", role.name)
		if !strings.Contains(bare, "is needed by eshop "+role.name) {
			t.Errorf("eshop %s without settings: %s", role.name, bare)
		}
	}
}
