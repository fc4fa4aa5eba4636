package roles

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs a command line in an environment of its own.
func call(t *testing.T, environ []string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, problems bytes.Buffer
	code = execute(t.Context(), args, process{environ: environ, stdin: strings.NewReader(stdin), stdout: &out, stderr: &problems})
	return code, out.String(), problems.String()
}

func TestUsage(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	tests := []struct {
		name   string
		args   string
		code   int
		stdout []string
		stderr []string
	}{
		{name: "no command", code: 2, stderr: []string{"no command is given; see eshop --help"}},
		{name: "unknown command", args: "serve", code: 2, stderr: []string{`"serve" is no command; there are`, "publish"}},
		{name: "unknown flag of an unknown command", args: "serve --kind=product", code: 2, stderr: []string{"--kind"}},
		{name: "unknown flag before a command", args: "--loud", code: 2, stderr: []string{"--loud"}},
		{name: "help", args: "--help", stdout: []string{"Commands:", "publish", "eshop <command> --help"}},
		{name: "help of a command", args: "cache -h", stdout: []string{"Usage:\n  eshop cache [flags]", "Examples:", "\nZooKeeper:\n", "--cache.refresh duration", "(default 1h; reloads)", "ESHOP_KAFKA_BROKERS"}},
		{name: "version", args: "version", stdout: []string{"eshop ", "commit ", "go go1.", "platform "}},
		{name: "version takes nothing", args: "version now --kafka.brokers a:1", code: 2, stderr: []string{"now: is not a flag", "--kafka.brokers: is no flag of this command"}},
		{
			name: "everything that is missing, at once", args: "cache", code: 2,
			stderr: []string{"5 problems", "--redis.addrs: is needed by eshop cache", "--kafka.brokers: is needed", "--zookeeper.servers: is needed", "--origin.url: is needed", "--cluster.token-file: is needed because other machines can reach --cache.addr :8082"},
		},
		{
			name: "an address as eshop all prints it", args: "hotcount --kafka.brokers kafka://a:1 --zookeeper.servers b:2", code: 2,
			stderr: []string{"1 problem", `--kafka.brokers "kafka://a:1": must be`, `write "a:1" without "kafka://"`},
		},
		{
			name: "everything that is wrong, at once", code: 2,
			args: "cache --redis.addrs a --kafka.brokers a:1 --kafka.sasl plain --kafka.topic.dead cache-message --kafka.topic.invalidate a/b --zookeeper.servers a:1 --zookeeper.root eshop " +
				"--origin.url shop --cache.addr 127.0.0.1:0 --cache.l1-bytes 1 --redis.tls-ca-file " + missing + " --admin.token-file " + missing + " --cache.refesh 1h --redis.username x --config " + missing,
			stderr: []string{
				`--redis.addrs "a"`, "--kafka.username: is needed with --kafka.sasl", "--kafka.password-file: is needed", `--kafka.topic.dead "cache-message": is the topic of --kafka.topic.change already`,
				`--kafka.topic.invalidate "a/b"`, `--zookeeper.root "eshop"`, `--origin.url "shop"`, `--cache.l1-bytes "1": must be at least 1MiB`, "is used with --redis.tls only",
				"--admin.token-file", "did you mean --cache.refresh?", "--redis.password-file: is needed with --redis.username", "cannot be opened",
			},
		},
		{name: "a flag without its value hides nothing", args: "bootstrap --dryrun --kafka.brokers", code: 2, stderr: []string{"flag needs an argument: --kafka.brokers", "--dryrun: is no flag of this command, did you mean --dry-run?", "--zookeeper.servers: is needed"}},
		{
			name: "what bootstrap would do, for all it can see", code: 1,
			args:   "bootstrap --kafka.brokers 127.0.0.1:1 --zookeeper.servers 127.0.0.1:1 --zookeeper.root /shop --partitions 6 --dry-run --timeout 300ms",
			stdout: []string{"topic cache-message: cannot be looked at; wanted are 6 partitions, replication up to 3, kept for 7d", "topic cache-invalidate: cannot be looked at; wanted are 4 partitions", "topic cache-message-dead: cannot be looked at; wanted are 1 partitions", "node /shop/locks: wanted\n", "node /shop/members/gateway: wanted", "Nothing was done"},
			stderr: []string{"connect to kafka broker 127.0.0.1:1", "connect to ZooKeeper at [127.0.0.1:1]"},
		},
		{name: "nothing to look at", args: "doctor", code: 2, stderr: []string{"--config: or addresses are needed: there is nothing to look at"}},
		{name: "no such sample", args: "doctor --origin.url http://127.0.0.1:1 --sample toy=1,product=x", code: 2, stderr: []string{`--sample "toy=1": must begin with one of product, shop`, `--sample "product=x": must be a kind, =, and a whole number from 1 on`}},
		{
			name: "nobody answers the doctor", args: "doctor --redis.addrs 127.0.0.1:1 --kafka.brokers 127.0.0.1:1 --zookeeper.servers 127.0.0.1:1 --origin.url http://127.0.0.1:1 --gateway.peer-addr 127.0.0.1:0 --cache.addr 127.0.0.1:0",
			code: 1, stdout: []string{"redis cannot be reached", "kafka cannot be reached", "zookeeper cannot be reached", "the origin cannot be reached", "\n5 failures, "}, stderr: []string{"5 checks failed"},
		},
		{name: "what to publish", args: "publish --kafka.brokers a:1", code: 2, stderr: []string{"--kind and --id: say which document has changed"}},
		{name: "wrong publication", args: "publish --kafka.brokers a:1 --kind toy --id 0 --version -1 --op undo", code: 2, stderr: []string{`--op "undo": must be one of update, delete, force`, `--kind "toy": must be one of product, shop`, `--id "0"`, `--version "-1"`}},
		{name: "wrong line", args: "publish --kafka.brokers a:1 --line {}", code: 2, stderr: []string{`--line "{}": not a change message: it names neither a serviceId nor a kind`}},
		{name: "line and flags", args: "publish --kafka.brokers a:1 --line {} --id 7", code: 2, stderr: []string{"cannot be used with --kind, --id or --version"}},
		{name: "standard input and flags", args: "publish --kafka.brokers a:1 --id 7 -", code: 2, stderr: []string{"cannot be used together with standard input"}},
		{name: "other words", args: "publish --kafka.brokers a:1 changes.jsonl", code: 2, stderr: []string{`changes.jsonl: must be "-"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := call(t, nil, "", strings.Fields(tt.args)...)
			if code != tt.code {
				t.Errorf("exit code: got %d, want %d", code, tt.code)
			}
			for _, want := range tt.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("standard output lacks %q:\n%s", want, stdout)
				}
			}
			for _, want := range tt.stderr {
				if !strings.Contains(stderr, want) {
					t.Errorf("standard error lacks %q:\n%s", want, stderr)
				}
			}
			if tt.code == 0 && stderr != "" {
				t.Errorf("standard error: %s", stderr)
			}
		})
	}
}

func TestCheckConfig(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token, password := write("token", "t0ken\n"), write("password", "pa55\n")
	// One file for every command: settings of the gateway do not bother the cache role.
	file := write("eshop.yaml", `
gateway: {addr: ":80", soft-ttl: 1m-2m}
cache: {addr: "127.0.0.1:0"}
redis: {addrs: ["a:1", "b:2"], username: me, password-file: `+password+`}
kafka.brokers: k:1
zookeeper.servers: z:1
origin.url: http://shop
cluster.token-file: `+token+`
kinds: [{name: category, url: "/c/{id}"}]
pages: [{name: category, related: [shop]}]
`)
	environ := []string{"ESHOP_CONFIG=" + file, "ESHOP_CACHE_REFRESH=2h", "ESHOP_ORIGIN_URL=http://u:pa55@other"}
	code, stdout, stderr := call(t, environ, "", "cache", "--check-config", "--kafka.brokers=k:2")
	if code != 0 || stderr != "" {
		t.Fatalf("got code %d: %s", code, stderr)
	}
	for _, want := range []string{"refresh: 2h # environment", "brokers: k:2 # flag", "addrs: a:1,b:2 # file", "redis-ttl: 90d # default", "name: category", "http://u:xxxxx@other"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("lacks %q:\n%s", want, stdout)
		}
	}
	for _, secret := range []string{"pa55", "t0ken"} {
		if strings.Contains(stdout, secret) {
			t.Errorf("shows the secret %q:\n%s", secret, stdout)
		}
	}
	write("eshop.yaml", "cache.adr: x\nkinds: [{name: category}]\npages: [{name: page, root: nothing}]\n")
	code, _, stderr = call(t, environ, "", "cache", "--check-config")
	for _, want := range []string{"cache.adr", "did you mean cache.addr?", `kind "category" (`, `eshop.yaml:2): url "" lacks {id}`, `page "page" (`, `eshop.yaml:3): its root kind "nothing" is not configured`} {
		if code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("got code %d, want 2 and %q:\n%s", code, want, stderr)
		}
	}
}

// TestTemplatesAreChecked: what is wrong with templates is bad usage, found before anything starts, by
// --check-config too, and listed with everything else.
func TestTemplatesAreChecked(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	missing, good := filepath.Join(dir, "none.html"), write("good.html", "<p>{{.productName}}</p>")
	unparsable, failing := write("unparsable.html", "{{if}}"), write("failing.html", "{{.HasShop.x}}")
	file := write("eshop.yaml", "pages: [{name: second, path: /second, root: product, param: id, template: "+unparsable+"}, {name: third, path: /third, root: shop, param: id, template: "+failing+"}]")
	for _, tt := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"good", []string{"--gateway.template=" + good}, 0, nil},
		{"missing", []string{"--gateway.template=" + missing}, 2, []string{"1 problem with", "--gateway.template: ", missing}},
		{"all at once", []string{"--config=" + file, "--gateway.template=" + missing, "--redis.username=x"}, 2, []string{
			"4 problems", missing, `page "second" (`, `eshop.yaml:1): use the template `, unparsable, `page "third" (`, failing, "--redis.password-file: is needed"}},
	} {
		for _, command := range [][]string{
			{"all"}, {"gateway", "--gateway.peer-addr=127.0.0.1:0", "--redis.addrs=a:1", "--kafka.brokers=a:1", "--zookeeper.servers=a:1"},
		} {
			for _, check := range []bool{true, false} {
				if !check && tt.code == 0 {
					continue // it would run
				}
				args := append(append([]string{}, command...), tt.args...)
				if check {
					args = append(args, "--check-config")
				}
				code, _, stderr := call(t, nil, "", args...)
				if code != tt.code {
					t.Errorf("%s: %q: got code %d, want %d: %s", tt.name, args, code, tt.code, stderr)
				}
				for _, want := range tt.want {
					if !strings.Contains(stderr, want) {
						t.Errorf("%s: %q: lacks %q:\n%s", tt.name, args, want, stderr)
					}
				}
			}
		}
	}
}

func TestHealth(t *testing.T) {
	healthy := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !healthy || r.URL.Path != "/-/healthy" {
			http.Error(w, "sick", http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	closed := "127.0.0.1:1" // nothing listens on the first port
	environ := []string{"ESHOP_ADMIN_ADDR=" + closed, "ESHOP_CACHE_ADMIN_ADDR=0.0.0.0:" + port, "ESHOP_GATEWAY_ADMIN_ADDR=" + closed}
	if code, _, stderr := call(t, environ, "", "health"); code != 0 {
		t.Errorf("healthy: got code %d: %s", code, stderr)
	}
	healthy = false
	if code, _, stderr := call(t, environ, "", "health"); code != 1 || !strings.Contains(stderr, "500") || !strings.Contains(stderr, "sick") {
		t.Errorf("sick: got code %d: %s", code, stderr)
	}
}

// TestImageCallsCommandsThereAre: the words of the Dockerfile's probe are a command line.
func TestImageCallsCommandsThereAre(t *testing.T) {
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CGO_ENABLED=0", "FROM scratch", "USER 65532:65532", `ENTRYPOINT ["/eshop"]`, `CMD ["/eshop", "health"]`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the Dockerfile lacks %s", want)
		}
	}
	if code, _, stderr := call(t, nil, "", "health", "--check-config"); code != 0 {
		t.Errorf("eshop health: %s", stderr)
	}
}

func TestOccupiedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	base := []string{"cache", "--redis.addrs=127.0.0.1:1", "--kafka.brokers=127.0.0.1:1", "--zookeeper.servers=127.0.0.1:1", "--origin.url=http://127.0.0.1:1", "--cache.addr=127.0.0.1:0", "--cache.admin-addr=127.0.0.1:0"}
	for _, flag := range []string{"cache.addr", "cache.admin-addr"} {
		ctx, cancel := context.WithCancel(t.Context())
		var stderr bytes.Buffer
		args := append(base, "--"+flag+"="+l.Addr().String())
		code := execute(ctx, args, process{stdout: &stderr, stderr: &stderr})
		cancel()
		if text := stderr.String(); code != 1 || !strings.Contains(text, "--"+flag) || !strings.Contains(text, l.Addr().String()) {
			t.Errorf("--%s occupied: got code %d, want 1 with flag and address:\n%s", flag, code, text)
		}
	}
}
