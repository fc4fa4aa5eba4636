package systemd_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/lifecycle"
	"eshop/pkg/systemd"
)

// manager is the service manager's end of a notification socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn

	mu    sync.Mutex
	lines []string
}

// newManager listens and sets the environment that a service gets. Not t.TempDir: socket paths are short.
func newManager(t *testing.T, watchdog string) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "eshop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	m := &manager{t: t}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			n, err := m.conn.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.lines = append(m.lines, strings.Split(string(b[:n]), "\n")...)
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() { m.conn.Close(); <-done })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", watchdog)
	t.Setenv("WATCHDOG_PID", "")
	return m
}

func (m *manager) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lines)
}

func (m *manager) count(line string) (n int) {
	for _, l := range m.all() {
		if strings.HasPrefix(l, line) {
			n++
		}
	}
	return n
}

// until polls; it must hold within ten seconds.
func (m *manager) until(what string, ok func() bool) {
	m.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			m.t.Fatalf("not within 10 s: %s; told so far: %q", what, m.all())
		}
	}
}

// told waits until so many lines begin like that.
func (m *manager) told(line string, times int) {
	m.t.Helper()
	m.until(line, func() bool { return m.count(line) >= times })
}

// run starts a notifier; the returned functions ask the process to stop and end it.
func run(t *testing.T, ready *lifecycle.Ready, log *slog.Logger, alive func(context.Context) error) (stop, end func()) {
	t.Helper()
	n, err := systemd.New(systemd.Config{Stop: 7 * time.Second, Alive: alive, Serving: func() string { return "pages at http://a/" }}, systemd.Deps{Ready: ready, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	process, stop := context.WithCancel(t.Context())
	reporting, over := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.Run(reporting, process) }()
	end = sync.OnceFunc(func() { over(); stop(); <-done })
	t.Cleanup(end)
	return stop, end
}

func well(context.Context) error { return nil }

func TestMain(m *testing.M) {
	if names := os.Getenv(childVariable); names != "" {
		os.Exit(child(strings.Split(names, ",")))
	}
	goleak.VerifyTestMain(m)
}

// From the start to the end: what it waits for, that it serves, that it stops.
func TestNotifications(t *testing.T) {
	m := newManager(t, "")
	var ready lifecycle.Ready
	ready.Set("gateway kafka", false, "dial\n127.0.0.1:9092: refused")
	ready.Set("gateway warm", false, "waiting")
	stop, end := run(t, &ready, nil, well)
	m.told("STATUS=not ready yet: gateway kafka: dial 127.0.0.1:9092: refused; gateway warm: waiting", 1)
	ready.Set("gateway kafka", true, "")
	if m.count("READY=1") > 0 {
		t.Error("ready with one condition that does not hold")
	}
	ready.Set("gateway warm", true, "")
	m.told("READY=1", 1)
	m.told("STATUS=serving pages at http://a/", 1)
	if m.count("STOPPING=1") > 0 {
		t.Error("told of a stop before there was one")
	}
	stop()
	m.told("STOPPING=1", 1)
	m.told("EXTEND_TIMEOUT_USEC=7000000", 1)
	m.told("STATUS=stopping", 1)
	ready.Set("gateway warm", false, "shutting down")
	end()
	for _, once := range []string{"READY=1", "STOPPING=1"} {
		if n := m.count(once); n != 1 {
			t.Errorf("%s was told %d times", once, n)
		}
	}
	if n := m.count("WATCHDOG=1"); n != 0 {
		t.Errorf("a watchdog that is not there was told %d times", n)
	}
}

// A part that fails ends the process as a signal does.
func TestAFailureIsAStop(t *testing.T) {
	m := newManager(t, "")
	var ready lifecycle.Ready
	run(t, &ready, nil, well)
	m.told("READY=1", 1)
	ready.Set("lifecycle", false, "shutting down")
	m.told("STOPPING=1", 1)
}

// The status of a start that goes on for long is not a flood, and its last state is told.
func TestStatusIsBounded(t *testing.T) {
	m := newManager(t, "")
	var long lifecycle.Ready
	long.Set("warm", false, strings.Repeat("é", 2000))
	run(t, &long, nil, well)
	m.told("STATUS=", 1)
	for i := range 2000 {
		long.Set("warm", false, strings.Repeat("x", i%7))
	}
	long.Set("warm", false, "999 of 1,000 pages")
	m.told("STATUS=not ready yet: warm: 999 of 1,000 pages", 1)
	if n := m.count("STATUS="); n > 8 {
		t.Errorf("%d lines of status for a moment's changes", n)
	}
	if first := m.all()[0]; len(first) > 450 || !strings.HasSuffix(first, "…") {
		t.Errorf("the first line has %d bytes: %q", len(first), first)
	}
}

// The watchdog is told while the process is alive and at no other time; what is away has no part in it. A
// start may take for ever as long as it is alive.
func TestWatchdog(t *testing.T) {
	m := newManager(t, "200000")
	var log bytes.Buffer
	var ready lifecycle.Ready
	ready.Set("hotcount kafka", false, "no broker answers")
	var dead atomic.Bool
	looked := make(chan struct{}, 1)
	_, end := run(t, &ready, slog.New(slog.NewTextHandler(&log, nil)), func(ctx context.Context) error {
		if !dead.Load() {
			return nil
		}
		<-ctx.Done() // as a part does whose lock is held for ever
		select {
		case looked <- struct{}{}:
		default:
		}
		return errors.Join(errors.New("the part \"cache\" is stuck"), context.Cause(ctx))
	})
	m.told("WATCHDOG=1", 3)
	m.told("EXTEND_TIMEOUT_USEC=400000", 3)
	if n := m.count("READY=1"); n > 0 {
		t.Error("ready without Kafka")
	}
	ready.Set("hotcount kafka", true, "")
	m.told("READY=1", 1)
	extended := m.count("EXTEND_TIMEOUT_USEC=")
	m.told("WATCHDOG=1", m.count("WATCHDOG=1")+3)
	if n := m.count("EXTEND_TIMEOUT_USEC="); n > extended+1 {
		t.Errorf("a process that is ready asked %d times for more time to start", n-extended)
	}

	dead.Store(true)
	<-looked
	before := m.count("WATCHDOG=1")
	for range 3 {
		<-looked
	}
	if n := m.count("WATCHDOG=1"); n != before {
		t.Errorf("the watchdog was told %d times of a dead process", n-before)
	}
	dead.Store(false)
	m.told("WATCHDOG=1", before+2)
	end()
	if text := log.String(); strings.Count(text, "is not alive") != 1 || !strings.Contains(text, "is stuck") || !strings.Contains(text, "alive again") {
		t.Errorf("the log does not tell once what was wrong:\n%s", text)
	}
}

// Without a manager nothing happens; a watchdog that cannot be read is an error.
func TestWithoutAManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "soon")
	n, err := systemd.New(systemd.Config{}, systemd.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	n.Run(t.Context(), t.Context())
	t.Setenv("NOTIFY_SOCKET", "/nowhere")
	if _, err := systemd.New(systemd.Config{}, systemd.Deps{}); err == nil || !strings.Contains(err.Error(), "WATCHDOG_USEC") {
		t.Errorf("with a watchdog that cannot be read: %v", err)
	}
}

// A manager that cannot be told changes nothing but the log.
func TestManagerIsAway(t *testing.T) {
	m := newManager(t, "")
	m.conn.Close()
	var log bytes.Buffer
	var ready lifecycle.Ready
	_, end := run(t, &ready, slog.New(slog.NewTextHandler(&log, nil)), well)
	end()
	if !strings.Contains(log.String(), "could not be told") {
		t.Errorf("the log says %q", log.String())
	}
}
