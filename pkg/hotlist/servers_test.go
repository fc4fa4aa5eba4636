package hotlist_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	embedded "eshop/pkg/embedded/zookeeper"
	"eshop/pkg/hotlist"
	"eshop/pkg/lab"
	"eshop/pkg/zookeeper"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }))
}

// env is one server, or ensemble, under test, and a root of the test's own.
type env struct {
	testing.TB
	addrs []string
	root  string
}

// onBoth runs a body on the embedded ZooKeeper server and on a real ensemble.
func onBoth(t *testing.T, body func(e *env)) {
	t.Run("embedded", func(t *testing.T) { body(embeddedEnv(t)) })
	t.Run("real", func(t *testing.T) { body(realEnv(t)) })
}

func embeddedEnv(tb testing.TB) *env {
	s, err := embedded.Start(tb.Context(), embedded.Config{}, embedded.Deps{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("close the embedded server: %v", err)
		}
	})
	return &env{TB: tb, addrs: []string{s.Addr()}, root: "/" + lab.Name(tb)}
}

func realEnv(tb testing.TB) *env {
	return &env{TB: tb, addrs: lab.ZooKeeper(tb).Addrs(), root: "/" + lab.Name(tb)}
}

// session starts a session that ends with the test.
func (e *env) session(change ...func(*zookeeper.Config)) *zookeeper.Session {
	e.Helper()
	cfg := zookeeper.Config{Servers: e.addrs, Root: e.root, SessionTimeout: 4 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	s, err := zookeeper.New(cfg, zookeeper.Deps{})
	if err != nil {
		e.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	e.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			e.Errorf("end the session: %v", err)
		}
	})
	return s
}

// behind makes a session use a link to the first server.
func behind(l *lab.Link) func(*zookeeper.Config) {
	return func(c *zookeeper.Config) { c.Servers = []string{l.Addr()} }
}

func timeout(d time.Duration) func(*zookeeper.Config) {
	return func(c *zookeeper.Config) { c.SessionTimeout = d }
}

// client is a client on a session of its own, with its log.
func (e *env) client(change ...func(*zookeeper.Config)) (*hotlist.Client, *journal) {
	e.Helper()
	return clientOn(e.session(change...))
}

func clientOn(s hotlist.Session) (*hotlist.Client, *journal) {
	var j journal
	return hotlist.New(hotlist.Deps{Session: s, Log: slog.New(slog.NewTextHandler(&j, nil))}), &j
}

// ctx ends with the test, or when its patience does.
func (e *env) ctx() context.Context {
	ctx, cancel := context.WithTimeout(e.Context(), patience)
	e.Cleanup(cancel)
	return ctx
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// put writes a node by hand.
func (e *env) put(s *zookeeper.Session, path, data string) {
	e.Helper()
	e.must(s.Put(e.ctx(), path, []byte(data)))
}

func (e *env) claim(c *hotlist.Client, partition int32, holder string) (*hotlist.Publisher, hotlist.Hot) {
	e.Helper()
	p, former, err := c.Claim(e.ctx(), partition, holder)
	e.must(err)
	return p, former
}

// journal is a log that can be searched.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// count is the number of lines with the words.
func (j *journal) count(words string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), words)
}

// told collects what a watch tells, as text.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (t *told) add(line string) { t.mu.Lock(); t.lines = append(t.lines, line); t.mu.Unlock() }

func (t *told) all() []string { t.mu.Lock(); defer t.mu.Unlock(); return slices.Clone(t.lines) }

// wait polls until the newest line is want.
func (t *told) wait(e *env, want string) {
	e.Helper()
	lab.Until(e, patience, func(context.Context) error {
		lines := t.all()
		if len(lines) == 0 || lines[len(lines)-1] != want {
			return fmt.Errorf("told %q, want %q at the end", lines[max(0, len(lines)-5):], want)
		}
		return nil
	})
}

// during runs a watch until stop is called, which the end of the test does too.
func (e *env) during(watch func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); watch(ctx) }()
	stop = func() {
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			e.Error("a watch did not return at the end of its context")
		}
	}
	e.Cleanup(stop)
	return stop
}

// views follows a client's view.
func (e *env) views(c *hotlist.Client) (*told, func()) {
	var t told
	return &t, e.during(func(ctx context.Context) { c.Watch(ctx, func(v *hotlist.View) { t.add(show(v)) }) })
}

// show is a view in one line: "7:rule(30)@5 9:pin(0)@6".
func show(v *hotlist.View) string {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(v.Hot)) {
		k := v.Hot[id]
		if k.ID != id {
			parts = append(parts, fmt.Sprintf("%d under %d", k.ID, id))
		}
		parts = append(parts, fmt.Sprintf("%d:%s(%d)", id, k.Reason, k.Count))
	}
	return strings.Join(parts, " ")
}

// keys makes hot keys of ids, each with ten times its id as the count.
func keys(ids ...int64) []hotlist.Key {
	out := []hotlist.Key{}
	for _, id := range ids {
		out = append(out, hotlist.Key{ID: id, Count: 10 * id, Since: 1_700_000_000_000 + id, Reason: hotlist.ReasonRule})
	}
	return out
}
