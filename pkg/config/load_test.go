package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/config"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"
)

// settings is what the schema of these tests fills.
type settings struct {
	file   string
	check  bool
	addr   string
	l1     int64
	ttl    config.DurationRange
	redis  []string
	origin string
	mode   string
	wait   time.Duration
	top    int
}

func schema(flags *pflag.FlagSet) (*config.Set, *settings) {
	var v settings
	s := config.Wrap(flags)
	s.Text(&v.file, "config", "file", "", "configuration file")
	s.Switch(&v.check, "check-config", false, "print the settings")
	s.OfInvocation("config")
	s.OfInvocation("check-config")
	s.Area("Gateway")
	s.Listen(&v.addr, "gateway.addr", ":8080", "public listener")
	s.Bytes(&v.l1, "gateway.l1-bytes", 256<<20, 1<<20, "size of L1")
	s.Range(&v.ttl, "gateway.soft-ttl", config.DurationRange{Min: 10 * time.Minute, Max: 20 * time.Minute}, time.Second, "refresh after")
	s.Choice(&v.mode, "gateway.access-log", "counts", []string{"full", "sampled", "counts", "off"}, "what is logged")
	s.Area("Backends")
	s.Addrs(&v.redis, "redis.addrs", "Redis Cluster")
	s.URL(&v.origin, "origin.url", "the shop's services")
	s.Duration(&v.wait, "shutdown-delay", 0, 0, "wait before stopping")
	s.Whole(&v.top, "top", 7, 1, 9, "how many")
	return s, &v
}

// load parses and loads as a command does.
func load(t *testing.T, file string, environ, args []string) (*config.Set, *settings, config.Loaded, config.Problems) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	s, v := schema(flags)
	if file != "" {
		path := filepath.Join(t.TempDir(), "eshop.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		environ = append(environ, "ESHOP_CONFIG="+path)
	}
	s.CheckArgs(args, false)
	if err := flags.Parse(args); err != nil {
		t.Fatalf("parse %q: %v", args, err)
	}
	loaded, problems := s.Load(config.Sources{Environ: environ, FileFlag: "config", Known: append(s.Names(), "cache.addr", "cache.l1-bytes")})
	return s, v, loaded, problems
}

func TestPrecedence(t *testing.T) {
	file := "gateway:\n  addr: :1\n  l1-bytes: 1MiB\ngateway.soft-ttl: 1s-2s\nredis:\n  addrs: [a:1, b:2]\n"
	environ := []string{"ESHOP_GATEWAY_ADDR=:2", "ESHOP_GATEWAY_L1_BYTES=2MiB", "ESHOP_SHUTDOWN_DELAY=", "PATH=/bin"}
	s, v, _, problems := load(t, file, environ, []string{"--gateway.addr", ":3"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, tt := range []struct {
		flag, want, wantOrigin string
		got                    any
	}{
		{"gateway.addr", ":3", "flag", v.addr},
		{"gateway.l1-bytes", "2MiB", "environment", config.FormatBytes(v.l1)},
		{"gateway.soft-ttl", "1s-2s", "file", v.ttl.String()},
		{"redis.addrs", "a:1 b:2", "file", strings.Join(v.redis, " ")},
		{"gateway.access-log", "counts", "default", v.mode},
		{"shutdown-delay", "0s", "default", v.wait.String()},
	} {
		if tt.got != tt.want || s.Origin(tt.flag) != tt.wantOrigin {
			t.Errorf("--%s: got %v from %s, want %s from %s", tt.flag, tt.got, s.Origin(tt.flag), tt.want, tt.wantOrigin)
		}
	}
}

// TestEveryProblemAtOnce has mistakes in all three places; none hides another.
func TestEveryProblemAtOnce(t *testing.T) {
	file := `gateway:
  addr: nowhere
  adr: x
gateway.l1-bytes: 1KiB
cache: {addr: anything at all, l1-bytes: 1}
redis.addrs: {a: 1}
redis: 5
top:
check-config: true
unheard-of: {x: 1}
kinds:
  - {name: category, url: "/c?id={id}", urll: x}
  - {url: /x}
`
	environ := []string{"ESHOP_ORIGIN_URL=ftp://user:pa55@x", "ESHOP_GATEWAY_SOFT_TTL=2s-1s", "ESHOP_GATEWAY_ADRESS=:1", "ESHOP_CACHE_ADDR=:1"}
	args := []string{"--shutdown-delay=soon", "--gateway.access-log", "loud", "--no.such", "thing", "word", "-x", "--gateway.addrs=:1"}
	_, _, loaded, problems := load(t, file, environ, args)
	var got []string
	for _, p := range problems {
		line := p.String()
		if i := strings.Index(line, "eshop.yaml:"); i >= 0 { // without the directory
			line = line[:strings.Index(line, "(")+1] + line[i:]
		}
		got = append(got, line)
	}
	want := []string{
		`--no.such: is no flag of this command`,
		`word: is not a flag; this command takes flags only`,
		`-x: is no flag; flags begin with two dashes`,
		`--gateway.addrs: is no flag of this command, did you mean --gateway.addr?`,
		`--shutdown-delay "soon": must be a duration like 30s, 5m, 1h or 90d`,
		`--gateway.access-log "loud": must be one of full, sampled, counts, off`,
		`--gateway.soft-ttl "2s-1s" (environment ESHOP_GATEWAY_SOFT_TTL): must be a range that begins with its lower end: 1s-2s`,
		`--origin.url "ftp://user:xxxxx@x" (environment ESHOP_ORIGIN_URL): must be an http or https URL without query, like http://shop.internal:8080`,
		`--gateway.addr "nowhere" (eshop.yaml:2): must be host:port to listen on, like 127.0.0.1:8080 or :8080; missing port in address`,
		`gateway.adr (eshop.yaml:3): is no setting, did you mean gateway.addr?`,
		`--gateway.l1-bytes "1KiB" (eshop.yaml:4): must be at least 1MiB`,
		`redis.addrs (eshop.yaml:6): must be one value or a list of values, not a group`,
		`redis "5" (eshop.yaml:7): is a group of settings, not one setting`,
		`top (eshop.yaml:8): has no value`,
		`check-config (eshop.yaml:9): is no setting`,
		`unheard-of (eshop.yaml:10): is no setting`,
		`kinds[0].urll (eshop.yaml:12): is no field, did you mean url?`,
		`kinds[1] (eshop.yaml:13): has no name`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ESHOP_GATEWAY_ADRESS"}, loaded.Unused); diff != "" {
		t.Errorf("unused variables (-want +got):\n%s", diff)
	}
	var as config.Problems
	if err := problems.Err(); !errors.As(err, &as) || !strings.HasPrefix(err.Error(), "18 problems with the settings:\n  --no.such") {
		t.Errorf("as an error: %v", err)
	}
}

func TestFiles(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"empty":               {"# nothing\n", ""},
		"null":                {"~\n", ""},
		"a group without any": {"gateway:\n", ""},
		"same key twice":      {"gateway: {addr: ':1'}\ngateway.addr: ':2'\n", "gateway.addr (F:2): is set twice, first on line 1"},
		"no YAML":             {"gateway: [", "is no YAML"},
		"two documents":       {"top: 1\n---\ntop: 2\n", "must hold one YAML document"},
		"a list":              {"- 1\n", "must be a mapping of settings"},
		"a value of its own":  {"gateway: &g {addr: *g}\n", "must be one value or a list of values, not a group"},
		"an alias":            {"redis.addrs: &a [x:1]\ntop: 3\n", ""},
		"numbers":             {"top: 10\n", "must be a whole number from 1 to 9"},
		"kinds no list":       {"kinds: {name: x}\n", "kinds (F:1): must be a list"},
		"kind twice":          {"kinds: [{name: x}, {name: x}]\n", `kinds[1] "x" (F:1): is named twice`},
		"kind of wrong type":  {"kinds: [{name: x, soft-ttl-min: often}]\n", "often"},
		"kinds without any":   {"kinds:\npages:\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, problems := load(t, tt.file, nil, nil)
			if tt.want == "" {
				if len(problems) > 0 {
					t.Errorf("got %v, want none", problems)
				}
				return
			}
			if len(problems) != 1 || !strings.Contains(withoutDirectory(problems[0].String()), tt.want) {
				t.Errorf("got %q, want one with %q", problems, tt.want)
			}
		})
	}
	if _, _, _, problems := load(t, "", []string{"ESHOP_CONFIG=/no/such/file"}, nil); len(problems) != 1 || problems[0].Setting != "--config" {
		t.Errorf("missing file: got %v", problems)
	}
}

func withoutDirectory(line string) string {
	if i, j := strings.Index(line, "("), strings.Index(line, "eshop.yaml:"); i >= 0 && j > i {
		return line[:i+1] + "F" + line[j+len("eshop.yaml"):]
	}
	return line
}

func TestSections(t *testing.T) {
	file := `kinds:
  - name: product
    url: /p/{id}
    soft-ttl-min: 5m
  - name: category
    url: /c/{id}
    version-fields: []
pages:
  - {name: category, root: category, related: [shop]}
`
	_, _, loaded, problems := load(t, file, nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := catalog.DefaultKinds()
	want[0].URL, want[0].SoftTTLMin = "/p/{id}", 5*time.Minute
	want = append(want, catalog.Kind{Name: "category", URL: "/c/{id}", VersionFields: []string{}})
	if diff := cmp.Diff(want, loaded.Kinds, cmpopts.IgnoreUnexported(catalog.Kind{})); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	pages := append(catalog.DefaultPages(), catalog.PageType{Name: "category", Root: "category", Related: []string{"shop"}})
	if diff := cmp.Diff(pages, loaded.Pages); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

// TestPrintedSettingsAreAFile: what --check-config prints configures the same.
func TestPrintedSettingsAreAFile(t *testing.T) {
	file := "kinds: [{name: category, url: '/c/{id}'}, {name: shop, version-fields: []}]\n"
	first, _, loaded, problems := load(t, file, []string{"ESHOP_TOP=3"}, []string{"--redis.addrs", "a:1,b:2", "--origin.url", "http://u:pa55@h/"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var printed strings.Builder
	if err := first.Print(&printed, loaded); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"gateway:\n  addr: :8080 # default\n", "addrs: a:1,b:2 # flag", "top: 3 # environment", "l1-bytes: 256MiB", "http://u:xxxxx@h", "- name: category"} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("lacks %q:\n%s", want, printed.String())
		}
	}
	for _, no := range []string{"pa55", "check-config"} {
		if strings.Contains(printed.String(), no) {
			t.Errorf("holds %q:\n%s", no, printed.String())
		}
	}
	second, again, reloaded, problems := load(t, printed.String(), nil, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, name := range []string{"product", "shop", "category"} {
		want, got := catalogued(t, loaded).Kind(name), catalogued(t, reloaded).Kind(name)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(catalog.Kind{})); diff != "" {
			t.Errorf("kind %s (-first +second):\n%s", name, diff)
		}
	}
	if got := strings.Join(again.redis, ","); got != "a:1,b:2" || second.Origin("redis.addrs") != "file" {
		t.Errorf("read back: got %q from %s", got, second.Origin("redis.addrs"))
	}
}

func catalogued(t *testing.T, loaded config.Loaded) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.New(loaded.Kinds, loaded.Pages)
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

func TestHelp(t *testing.T) {
	s, _ := schema(pflag.NewFlagSet("test", pflag.ContinueOnError))
	help := s.Help()
	for _, want := range []string{
		"Gateway:\n      --gateway.addr host:port", "(default :8080)", "(default 10m-20m)", "full|sampled|counts|off", "Backends:\n",
		"--check-config", "public listener",
	} {
		if !strings.Contains(help, want) {
			t.Errorf("lacks %q:\n%s", want, help)
		}
	}
}

func TestSecrets(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct{ path, want, problem string }{
		{"", "", ""},
		{write("hunter2\n"), "hunter2", ""},
		{write(" hunter2\r\n"), "hunter2", ""},
		{write("\n"), "", "is empty"},
		{write("a\nb\n"), "", "must hold one line"},
		{write(strings.Repeat("x", 5000)), "", "is larger than"},
		{"/no/such/file", "", "cannot be opened"},
	} {
		var problems config.Problems
		got := config.ReadSecret("admin.token-file", tt.path, &problems)
		if got != tt.want || (len(problems) > 0) != (tt.problem != "") || len(problems) > 0 && !strings.Contains(problems[0].Constraint, tt.problem) {
			t.Errorf("%s: got %q %v, want %q and %q", tt.path, got, problems, tt.want, tt.problem)
		}
	}
}

// FuzzFile: no file makes the loader panic or hang.
func FuzzFile(f *testing.F) {
	f.Add("gateway: {addr: ':1'}\nkinds: [{name: x, url: '/{id}'}]")
	f.Add("a: &a [*a]\nkinds: *a")
	f.Add("gateway: &g\n  <<: *g\n  addr: *g")
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return
		}
		s, _, loaded, problems := load(t, text, nil, nil)
		if len(problems) > 0 {
			return
		}
		_, wrong := catalog.New(loaded.Kinds, loaded.Pages)
		if err := s.Print(&strings.Builder{}, loaded); (err != nil) != (wrong != nil) {
			t.Errorf("print: %v, the catalogue: %v", err, wrong)
		}
	})
}

// Numbers, lists of words and texts with a form of their own: read, written back, and refused with their constraint.
func TestNumberWordsChecked(t *testing.T) {
	for _, c := range []struct {
		args    []string
		factor  float64
		words   []string
		even    string
		problem string
	}{
		{nil, 10, nil, "", ""},
		{[]string{"--factor=2.5", "--words", " a, ,b ", "--even= abcd "}, 2.5, []string{"a", "b"}, "abcd", ""},
		{[]string{"--factor=0.5"}, 10, nil, "", "must be a number of at least 1"},
		{[]string{"--factor=NaN"}, 10, nil, "", "must be a number of at least 1"},
		{[]string{"--even=abc"}, 10, nil, "", "must have an even length"},
	} {
		var (
			factor float64
			words  []string
			even   string
		)
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		s := config.Wrap(flags)
		s.Number(&factor, "factor", 10, 1, "a factor")
		s.Words(&words, "words", "word,...", "some words")
		s.Checked(&even, "even", "text", "", "a text", func(t string) error {
			if len(t)%2 != 0 {
				return errors.New("must have an even length")
			}
			return nil
		})
		if err := flags.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		_, problems := s.Load(config.Sources{Known: s.Names()})
		switch {
		case c.problem == "" && len(problems) > 0 || c.problem != "" && (len(problems) != 1 || problems[0].Constraint != c.problem):
			t.Errorf("%q: got the problems %v, want %q", c.args, problems, c.problem)
		case factor != c.factor || even != c.even || !cmp.Equal(words, c.words):
			t.Errorf("%q: got %v %q %q, want %v %q %q", c.args, factor, words, even, c.factor, c.words, c.even)
		}
	}
}
