package roles_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"eshop/pkg/lab"
)

// service is one unit as systemd keeps it: its sockets stay open and its notification socket is read,
// while its process comes and goes.
type service struct {
	t       testing.TB
	args    []string
	env     []string // of its processes, beside what systemd sets
	names   []string
	sockets []*os.File
	notify  *net.UnixConn
	path    string
	log     bytes.Buffer // of all its processes; read when none runs
	cmd     *exec.Cmd

	mu    sync.Mutex
	lines []string // told by the process that runs
}

// newService makes a unit of this binary as eshop.
func newService(t testing.TB, args ...string) *service {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("there is no systemd on " + runtime.GOOS)
	}
	dir, err := os.MkdirTemp("", "eshop") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	s := &service{t: t, args: args, path: filepath.Join(dir, "notify")}
	if s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.read() }()
	t.Cleanup(func() {
		if s.cmd != nil {
			s.cmd.Process.Kill()
			s.cmd.Wait()
		}
		s.notify.Close()
		<-done
		for _, f := range s.sockets {
			f.Close()
		}
		os.RemoveAll(dir)
		if t.Failed() {
			text := s.log.String()
			t.Logf("eshop %s wrote:\n%s", args[0], text[max(0, len(text)-4000):])
		}
	})
	return s
}

func (s *service) read() {
	b := make([]byte, 4096)
	for {
		n, err := s.notify.Read(b)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.lines = append(s.lines, strings.Split(string(b[:n]), "\n")...)
		s.mu.Unlock()
	}
}

// listen opens a socket that is passed to every process by this name, and returns its address.
func (s *service) listen(name string) string {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		s.t.Fatal(err)
	}
	s.names, s.sockets = append(s.names, name), append(s.sockets, f)
	return l.Addr().String()
}

// start begins a process, with everything in its environment that systemd puts there; the shell stays the
// same process, whose id some of it must have.
func (s *service) start() {
	s.t.Helper()
	binary, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.lines = nil
	s.mu.Unlock()
	s.cmd = exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" "$@"`, binary}, s.args...)...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ESHOP_") {
			s.cmd.Env = append(s.cmd.Env, v)
		}
	}
	s.cmd.Env = append(append(s.cmd.Env, runAsEshop+"=1", "NOTIFY_SOCKET="+s.path, "WATCHDOG_USEC=2000000",
		fmt.Sprintf("LISTEN_FDS=%d", len(s.sockets)), "LISTEN_FDNAMES="+strings.Join(s.names, ":")), s.env...)
	s.cmd.ExtraFiles, s.cmd.Stderr, s.cmd.Dir = s.sockets, &s.log, s.t.TempDir()
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
}

// told waits until the process has told so many lines that begin like this one, and returns the last.
func (s *service) told(begin string, times int, limit time.Duration) string {
	s.t.Helper()
	var last string
	lab.Until(s.t, limit, func(context.Context) error {
		all := s.all()
		n := 0
		for _, line := range all {
			if strings.HasPrefix(line, begin) {
				n++
				last = line
			}
		}
		if n < times {
			return fmt.Errorf("eshop %s told %d times %q; in all: %q", s.args[0], n, begin, all[max(0, len(all)-12):])
		}
		return nil
	})
	return last
}

func (s *service) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines)
}

func (s *service) count(begin string) (n int) {
	for _, line := range s.all() {
		if strings.HasPrefix(line, begin) {
			n++
		}
	}
	return n
}

// end waits for the process and returns how it ended.
func (s *service) end(limit time.Duration) *os.ProcessState {
	s.t.Helper()
	kill := time.AfterFunc(limit, func() { s.cmd.Process.Kill() })
	err := s.cmd.Wait()
	if !kill.Stop() {
		s.t.Errorf("eshop %s did not end within %v", s.args[0], limit)
	}
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.t.Fatal(err)
	}
	state := s.cmd.ProcessState
	s.cmd = nil
	return state
}

// stop is systemctl stop.
func (s *service) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if state := s.end(patience); state.ExitCode() != 0 {
		s.t.Errorf("eshop %s ended with %v", s.args[0], state)
	}
	for _, line := range []string{"STOPPING=1", "EXTEND_TIMEOUT_USEC=35000000"} {
		s.told(line, 1, 10*time.Second)
	}
}

// restart is systemctl restart: the next process is started when the last has ended, and waited for until
// it says that it is ready.
func (s *service) restart() {
	s.t.Helper()
	s.stop()
	s.start()
	s.told("READY=1", 1, time.Minute)
}

// freeAddr is an address that a process can come back to: below the ports that the kernel gives away.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 11_000+rand.N(20_000))); err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port was found")
	return ""
}

// A role whose Kafka and ZooKeeper are away is alive, says what it waits for, and asks for more time to
// start; it is not restarted. One that does not run any more says nothing. A crash does not look like
// wrong settings, which alone are not tried again.
func TestServiceWithoutItsServers(t *testing.T) {
	s := newService(t, "hotcount", "--kafka.brokers", "127.0.0.1:1", "--zookeeper.servers", "127.0.0.1:1", "--hotcount.admin-addr", "127.0.0.1:0")
	s.env = []string{"WATCHDOG_USEC=600000"}
	s.start()
	s.told("STATUS=not ready yet: hotcount ", 1, 20*time.Second)
	s.told("WATCHDOG=1", 4, 20*time.Second)
	s.told("EXTEND_TIMEOUT_USEC=1200000", 4, 20*time.Second)
	if s.count("READY=1") > 0 {
		t.Error("it is ready without its servers")
	}

	signal := func(sig syscall.Signal) {
		t.Helper()
		if err := s.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	lab.Until(t, 10*time.Second, func(context.Context) error {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
		if err == nil && !bytes.Contains(text, []byte(") T ")) {
			err = errors.New("it is not stopped yet")
		}
		return err
	})
	before := s.count("WATCHDOG=1")
	silent := time.NewTimer(900 * time.Millisecond) // longer than the watchdog allows
	<-silent.C
	if n := s.count("WATCHDOG=1"); n != before {
		t.Errorf("a process that is stopped told the watchdog %d times", n-before)
	}
	signal(syscall.SIGCONT)
	s.told("WATCHDOG=1", before+2, 20*time.Second)
	s.stop()

	s.env = []string{"GOTRACEBACK=crash"} // as the unit has it
	s.start()
	s.told("STATUS=", 1, 20*time.Second)
	signal(syscall.SIGABRT) // as the watchdog does
	if state := s.end(patience); state.ExitCode() != -1 {
		t.Errorf("after an abort it ended with %v, and must by a signal: exit code 2 means wrong settings", state)
	}
	if !strings.Contains(s.log.String(), "goroutine ") {
		t.Error("there are no stacks in its log")
	}

	s.args = []string{"hotcount"}
	s.start()
	if state := s.end(patience); state.ExitCode() != 2 {
		t.Errorf("without settings it ended with %v, want exit code 2", state)
	}
}

// A peer listener that other machines can reach needs the cluster's token, whatever the flag says; and a
// socket must have a name that is known. Both are wrong settings.
func TestPassedListenersAreChecked(t *testing.T) {
	s := newService(t, "gateway", "--redis.addrs", "127.0.0.1:1", "--kafka.brokers", "127.0.0.1:1", "--zookeeper.servers", "127.0.0.1:1",
		"--gateway.admin-addr", "127.0.0.1:0", "--gateway.addr", "127.0.0.1:0", "--gateway.peer-addr", "127.0.0.1:0")
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	s.sockets = []*os.File{f}
	for name, want := range map[string]string{
		"peer":                 "is reachable from other machines: set --cluster.token-file",
		"eshop-gateway.socket": `a socket named "eshop-gateway.socket": its unit must have FileDescriptorName=`,
	} {
		s.names = []string{name}
		s.start()
		if state := s.end(patience); state.ExitCode() != 2 {
			t.Errorf("with a socket named %s it ended with %v, want exit code 2", name, state)
		}
		if text := s.log.String(); !strings.Contains(text, want) {
			t.Errorf("with a socket named %s it says:\n%s", name, text)
		}
	}
}
