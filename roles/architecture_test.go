package roles_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// module is the project's import path.
const module = "eshop"

const maxLines = 400

// homes are the directories that may import a third-party module; "pkg/..." means all below pkg too. A
// module without a home is a new dependency and needs a line here.
func homes() map[string][]string {
	everywhere := []string{"pkg/...", "roles/..."}
	return map[string][]string{
		"github.com/redis/go-redis":           {"pkg/rediscluster"},
		"github.com/IBM/sarama":               {"pkg/kafka"},
		"github.com/go-zookeeper/zk":          {"pkg/zookeeper"},
		"github.com/hashicorp/golang-lru":     {"pkg/lru"},
		"github.com/spf13/cobra":              {"roles"},
		"github.com/spf13/pflag":              {"roles", "pkg/config"},
		"github.com/valyala/fasthttp":         {"roles/gateway"},
		"github.com/klauspost/compress":       {"roles/gateway"},
		"github.com/fsnotify/fsnotify":        {"pkg/filewatch"},
		"github.com/alicebob/miniredis":       {"pkg/embedded/redis"},
		"github.com/twmb/franz-go":            {"pkg/embedded/kafka"},
		"github.com/failsafe-go/failsafe-go":  {"pkg/origin"},
		"go.yaml.in/yaml":                     {"pkg/config"},
		"golang.org/x/sys":                    {"pkg/embedded/...", "pkg/lab/..."},
		"github.com/coreos/go-systemd":        {"pkg/systemd"},
		"github.com/yuin/gopher-lua":          {"pkg/simulation"}, // runs the text of the compare-and-set script
		"go.opentelemetry.io/otel":            {"pkg/tracing"},
		"go.opentelemetry.io/proto":           {"pkg/lab/..."}, // the receiver that tests hold traces against
		"google.golang.org/protobuf":          {"pkg/lab/..."}, // likewise
		"golang.org/x/sync":                   everywhere,
		"golang.org/x/time":                   {"roles/cache", "pkg/admission"}, // rates: failsafe-go's limiter stays in pkg/origin, and has no debt
		"github.com/cespare/xxhash":           everywhere,
		"github.com/prometheus/client_golang": everywhere,
		"github.com/chromedp":                 {"pkg/lab/browser"},
		"github.com/prometheus/client_model":  {"pkg/console"}, // the form in which a registry is gathered
	}
}

// testHomes are further directories whose tests may import a module: a server of our own is tested
// with the client that will talk to it.
func testHomes() map[string][]string {
	everywhere := []string{"pkg/...", "roles/..."}
	return map[string][]string{
		"github.com/redis/go-redis":          {"pkg/embedded/redis", "pkg/lab/..."},
		"github.com/IBM/sarama":              {"pkg/embedded/kafka", "pkg/lab/...", "roles/hotcount", "roles/fault", "roles"}, // a transactional producer; committed offsets; users and ACLs
		"github.com/go-zookeeper/zk":         {"pkg/embedded/zookeeper", "pkg/lab/...", "roles"},                              // a stranger to nodes with ACLs
		"github.com/valyala/fasthttp":        {"roles", "pkg/lab/...", "pkg/fastpath"},
		"github.com/twmb/franz-go":           {"pkg/kafka"},
		"github.com/chromedp":                {"roles/hotcount"},
		"github.com/maypok86/otter":          {"pkg/lru"}, // what it is compared with
		"github.com/dgraph-io/ristretto":     {"pkg/lru"}, // likewise
		"github.com/google/go-cmp":           everywhere,
		"go.uber.org/goleak":                 everywhere,
		"github.com/prometheus/client_model": everywhere,
	}
}

// topLevel is what the top of the repository holds, beside dot-files.
func topLevel() []string {
	return []string{"main.go", "roles", "pkg", "testdata", "go.mod", "go.sum", "Dockerfile", "LICENSE", "README.md"}
}

func TestArchitecture(t *testing.T) {
	tree := os.DirFS("..")
	files, err := parseTree(tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, violation := range violations(files) {
		t.Error(violation)
	}
	for _, violation := range topLevelViolations(tracked(t)) {
		t.Error(violation)
	}
}

// tracked lists what git knows at the top level, or would on the next add; without git, what is there.
func tracked(t *testing.T) []string {
	t.Helper()
	names := make(map[string]bool)
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = ".."
	if out, err := cmd.Output(); err == nil {
		for line := range strings.Lines(string(out)) {
			first, _, _ := strings.Cut(strings.TrimSpace(line), "/")
			if _, err := os.Lstat("../" + first); err == nil { // not deleted since
				names[first] = true
			}
		}
	} else {
		entries, err := os.ReadDir("..")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names[e.Name()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func topLevelViolations(names []string) []string {
	var found []string
	for _, name := range names {
		if !strings.HasPrefix(name, ".") && !slices.Contains(topLevel(), name) {
			found = append(found, name+" does not belong at the top level")
		}
	}
	for _, name := range topLevel() {
		if !slices.Contains(names, name) {
			found = append(found, name+" is missing at the top level")
		}
	}
	return found
}

// violations lists every breach of the rules in the order of the files.
func violations(files []*source) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	packages := make(map[string][]*source)
	documented := make(map[string]bool)
	for _, s := range files {
		if s.lines > maxLines {
			say("%s: %d lines, at most %d are allowed", s.path, s.lines, maxLines)
		}
		if s.hidden() {
			continue
		}
		for _, i := range s.imports {
			if why := importViolation(s, i); why != "" {
				say("%s: imports %s: %s", s.path, i, why)
			}
		}
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "manager", "misc"}, path.Base(s.dir)) {
			say("%s: the name of the package does not say what it owns", s.path)
		}
		for _, name := range initFunctions(s) {
			say("%s: has an init function", name)
		}
		if s.test {
			if !slices.Contains(s.imports, "testing/synctest") {
				for _, call := range s.sleeps() {
					say("%s: a test sleeps, and neither polls until a deadline nor uses testing/synctest", s.at(call))
				}
			}
			continue
		}
		packages[s.dir] = append(packages[s.dir], s)
		documented[s.dir] = documented[s.dir] || s.file.Doc != nil
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		if !documented[dir] {
			say("%s: no file has a package comment", dir)
		}
		if !within(dir, "pkg/lab") { // its servers belong to the test binary as a whole
			found = append(found, globals(packages[dir])...)
		}
	}
	return append(found, listViolations(files)...)
}

func initFunctions(s *source) []string {
	var found []string
	for _, fn := range functions(s) {
		if fn.Recv == nil && fn.Name.Name == "init" {
			found = append(found, s.at(fn))
		}
	}
	return found
}

// importViolation says why a file must not import a path; "" means that it may.
func importViolation(s *source, imported string) string {
	local, ours := strings.CutPrefix(imported, module+"/")
	switch {
	case !ours && !strings.Contains(strings.Split(imported, "/")[0], "."):
		return "" // the standard library
	case !ours:
		return homeViolation(s, imported)
	case s.dir == ".":
		if local != "roles" {
			return "main imports roles only"
		}
	case s.dir == "roles":
	case s.dir == "roles/all":
		if local == "roles" {
			return "imports go down: main, roles, roles/all, the roles, pkg"
		}
	case s.dir == "roles/fault" && s.test && local == "roles":
		// It plays with whole processes, which are its own binary started again.
	case within(s.dir, "roles"):
		if within(local, "roles") && !within(local, s.dir) {
			return "a role imports neither a sibling nor what is above it"
		}
	case s.dir == "pkg/catalog" && !s.test:
		return "pkg/catalog uses the standard library only"
	case within(s.dir, "pkg"):
		if within(local, "roles") {
			return "no package imports a role"
		}
	}
	switch {
	case !s.test && within(local, "pkg/lab") && !within(s.dir, "pkg/lab"):
		return "pkg/lab is for tests"
	case !s.test && within(local, "pkg/embedded") && !within(s.dir, "pkg/embedded") && s.dir != "roles" && s.dir != "roles/all":
		return "embedded servers are started by roles/all; everything else knows addresses only"
	}
	return ""
}

func homeViolation(s *source, imported string) string {
	if s.dir == "pkg/catalog" && !s.test {
		return "pkg/catalog uses the standard library only"
	}
	allowed, known := homeOf(homes(), imported)
	if s.test {
		more, knownToTests := homeOf(testHomes(), imported)
		allowed, known = append(allowed, more...), known || knownToTests
	}
	if !known {
		return "this module has no home yet"
	}
	for _, home := range allowed {
		tree, below := strings.CutSuffix(home, "/...")
		if s.dir == tree || below && within(s.dir, tree) {
			return ""
		}
	}
	return "the home of this module is " + strings.Join(allowed, ", ")
}

// homeOf finds the directories of the module that a package belongs to.
func homeOf(all map[string][]string, imported string) (dirs []string, known bool) {
	for prefix, dirs := range all {
		if within(imported, prefix) {
			return slices.Clone(dirs), true
		}
	}
	return nil, false
}

func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// TestViolationsAreFound feeds the rules a tree that breaks each of them once.
func TestViolationsAreFound(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	doc := "// Package x is documented.\npackage x\n"
	tree := fstest.MapFS{
		"main.go":                   file("// Command x.\npackage main\nimport (\n_ \"eshop/roles\"\n_ \"eshop/pkg/ring\"\n)\n"),
		"pinned.go":                 file("//go:build deps\n\npackage main\nimport _ \"github.com/IBM/sarama\"\n"),
		"pkg/listed/doc.go":         file("// Package x is documented.\n//\n//\tthere.go     it\n//\tgone.go      was\n//\tthere_test.go tests it\npackage x\n"),
		"pkg/listed/there.go":       file("package x\n"),
		"pkg/listed/there_test.go":  file("package x\n"),
		"pkg/listed/new.go":         file("package x\n"),
		"pkg/listed/new_test.go":    file("package x\n"),
		"roles/doc.go":              file(doc + "import (\n_ \"eshop/roles/all\"\n_ \"github.com/spf13/cobra\"\n)\n"),
		"roles/all/all.go":          file(doc + "import (\n_ \"eshop/roles\"\n_ \"eshop/roles/cache\"\n_ \"eshop/pkg/embedded\"\n)\n"),
		"roles/cache/cache.go":      file(doc + "import (\n_ \"eshop/roles/gateway\"\n_ \"eshop/roles/cache/inner\"\n_ \"github.com/spf13/cobra\"\n_ \"github.com/valyala/fasthttp\"\n_ \"github.com/prometheus/client_golang/prometheus\"\n)\n"),
		"roles/cache/cache_test.go": file("package x_test\nimport _ \"eshop/pkg/lab\"\nimport \"time\"\nfunc f() { time.Sleep(1)\nfor time.Now().Before(end) { time.Sleep(1) }\nfor { time.Sleep(1) } }\n"),
		"roles/gateway/gateway.go":  file(doc + "import (\n_ \"eshop/pkg/lab\"\n_ \"eshop/pkg/embedded/redis\"\n_ \"github.com/valyala/fasthttp\"\n)\n"),
		"pkg/catalog/catalog.go":    file(doc + "import (\n_ \"fmt\"\n_ \"eshop/pkg/ring\"\n_ \"golang.org/x/sync/errgroup\"\n)\n"),
		"pkg/ring/ring.go":          file(doc + "import (\n_ \"eshop/roles/cache\"\n_ \"github.com/redis/go-redis/v9\"\n_ \"example.org/left/pad\"\n)\nfunc init() {}\n"),
		"pkg/ring/ring_test.go":     file("package x_test\nimport _ \"testing/synctest\"\nimport \"time\"\nfunc f() { time.Sleep(1) }\n"),
		"pkg/util/util.go":          file("package util\n"),
		"pkg/lru/long.go":           file(doc + strings.Repeat("\n", maxLines)),
		"pkg/lab/lab.go":            file(doc + "import _ \"eshop/pkg/lab/inner\"\nvar shared = make(map[string]int)\n"),
		"pkg/window/state.go": file(doc + `import "errors"
var (
	ErrFull = errors.New("full")
	table = []int{1, 2}
	_ = table
	count int
	cache = map[string]int{}
	mu sync.Mutex
	seen atomic.Pointer[int]
	queue = make(chan int)
	hidden, escaped int
)
func f(hidden int) { hidden = table[0]; g(&escaped) }
func g(p *int) { count++; cache["a"] = *p }
`),
		"pkg/window/testdata/broken.go": file("not Go"),
	}
	files, err := parseTree(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"main.go: imports eshop/pkg/ring: main imports roles only",
		"pkg/catalog/catalog.go: imports eshop/pkg/ring: pkg/catalog uses the standard library only",
		"pkg/catalog/catalog.go: imports golang.org/x/sync/errgroup: pkg/catalog uses the standard library only",
		"pkg/lru/long.go: 402 lines, at most 400 are allowed",
		"pkg/ring/ring.go: imports eshop/roles/cache: no package imports a role",
		"pkg/ring/ring.go: imports github.com/redis/go-redis/v9: the home of this module is pkg/rediscluster",
		"pkg/ring/ring.go: imports example.org/left/pad: this module has no home yet",
		"pkg/ring/ring.go:8: has an init function",
		"pkg/util/util.go: the name of the package does not say what it owns",
		"roles/all/all.go: imports eshop/roles: imports go down: main, roles, roles/all, the roles, pkg",
		"roles/cache/cache.go: imports eshop/roles/gateway: a role imports neither a sibling nor what is above it",
		"roles/cache/cache.go: imports github.com/spf13/cobra: the home of this module is roles",
		"roles/cache/cache.go: imports github.com/valyala/fasthttp: the home of this module is roles/gateway",
		"roles/cache/cache_test.go:4: a test sleeps, and neither polls until a deadline nor uses testing/synctest",
		"roles/cache/cache_test.go:6: a test sleeps, and neither polls until a deadline nor uses testing/synctest",
		"roles/gateway/gateway.go: imports eshop/pkg/lab: pkg/lab is for tests",
		"roles/gateway/gateway.go: imports eshop/pkg/embedded/redis: embedded servers are started by roles/all; everything else knows addresses only",
		"pkg/util: no file has a package comment",
		"pkg/window/state.go:10: mu is at package level and holds state",
		"pkg/window/state.go:11: seen is at package level and holds state",
		"pkg/window/state.go:12: queue is at package level and holds state",
		"pkg/window/state.go:13: escaped is at package level and is changed by f",
		"pkg/window/state.go:8: count is at package level and is changed by g",
		"pkg/window/state.go:9: cache is at package level and is changed by g",
		"pkg/listed/doc.go: the list of files names gone.go, which is not there",
		"pkg/listed/doc.go: the list of files lacks new.go",
	}
	if diff := cmp.Diff(want, violations(files)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	if _, err := parseTree(fstest.MapFS{"a.go": file("not Go")}); err == nil {
		t.Error("a file that does not parse is no error")
	}
	if _, err := parseTree(fstest.MapFS{".": &fstest.MapFile{Mode: fs.ModeDir}}); err != nil {
		t.Errorf("an empty tree: %v", err)
	}
	gotTop := topLevelViolations([]string{".ci", "Makefile", "main.go", "roles", "pkg", "go.mod", "go.sum", "Dockerfile", "LICENSE", "README.md"})
	wantTop := []string{"Makefile does not belong at the top level", "testdata is missing at the top level"}
	if diff := cmp.Diff(wantTop, gotTop); diff != "" {
		t.Errorf("top level (-want +got):\n%s", diff)
	}
}
