package lab

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// Command is a program to run. Path is looked up in PATH when it has no slash; Dir defaults to the test's. The environment
// is the test's without its ESHOP_ variables (they steer the tests, the program would take them for its flags), and Env.
type Command struct {
	Path string
	Args []string
	Env  []string
	Dir  string
}

// Process is a running command. It is ended with the test, SIGTERM first, kill after three seconds, with all its
// descendants; the end of its output is shown when the test failed. All methods may be called from any goroutine.
type Process struct {
	group          *group
	stdout, stderr string
	pid            atomic.Int64
}

// Start runs a command.
func Start(tb testing.TB, c Command) *Process {
	tb.Helper()
	dir := c.Dir
	if dir == "" {
		var err error
		if dir, err = os.Getwd(); err != nil {
			tb.Fatalf("start %s: %v", c.Path, err)
		}
	}
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ESHOP_") {
			env = append(env, v)
		}
	}
	path := c.Path
	if strings.ContainsRune(path, filepath.Separator) && !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	g, nodes := newGroup(tb, filepath.Base(path), wire.Request{Op: wire.Run, Command: &wire.Command{
		Path: path, Args: c.Args, Env: append(env, c.Env...), Dir: dir,
	}})
	p := &Process{group: g, stdout: nodes[0].Stdout, stderr: nodes[0].Stderr}
	p.pid.Store(int64(nodes[0].Pid))
	return p
}

// Pid is the process id of the latest start.
func (p *Process) Pid() int { return int(p.pid.Load()) }

// Kill sends SIGKILL to the process and its descendants and returns when it is gone.
func (p *Process) Kill() {
	p.group.tb.Helper()
	p.signal(wire.Kill)
}

// Pause sends SIGSTOP.
func (p *Process) Pause() {
	p.group.tb.Helper()
	p.signal(wire.Pause)
}

// Resume sends SIGCONT.
func (p *Process) Resume() {
	p.group.tb.Helper()
	p.signal(wire.Resume)
}

// Terminate sends SIGTERM and returns at once.
func (p *Process) Terminate() {
	p.group.tb.Helper()
	p.signal(wire.Terminate)
}

// Stop sends SIGTERM and waits for the end. It returns the exit code, -1 after a signal; running longer than the limit is a
// failure of the test.
func (p *Process) Stop(limit time.Duration) int {
	p.group.tb.Helper()
	p.signal(wire.Terminate)
	return p.Wait(limit)
}

// Wait waits for the end of the process. It returns the exit code, -1 after a signal; running longer than the limit is a
// failure of the test.
func (p *Process) Wait(limit time.Duration) int {
	p.group.tb.Helper()
	return p.group.waitExit(0, limit)
}

// Exited reports whether the process has ended, and its exit code.
func (p *Process) Exited() (code int, exited bool) {
	p.group.tb.Helper()
	answer, _ := p.group.call(wire.Request{Op: wire.Wait})
	return answer.Code, answer.Exited
}

// Restart runs the command again, after a kill when it runs. The output is appended.
func (p *Process) Restart() {
	p.group.tb.Helper()
	if answer, ok := p.group.call(wire.Request{Op: wire.Restart}); ok && len(answer.Nodes) == 1 {
		p.pid.Store(int64(answer.Nodes[0].Pid))
	}
}

// Stdout is all that the process has written to its standard output up to now.
func (p *Process) Stdout() string { return p.read(p.stdout) }

// Stderr is all that the process has written to its standard error up to now.
func (p *Process) Stderr() string { return p.read(p.stderr) }

func (p *Process) read(file string) string {
	p.group.tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		p.group.tb.Errorf("read the output of the process: %v", err)
	}
	return string(text)
}

// WaitOutput polls until a line of standard output or standard error contains the text, and returns that line. The end of
// the process, or of the time, is a failure of the test and gives the empty string.
func (p *Process) WaitOutput(text string, limit time.Duration) string {
	p.group.tb.Helper()
	deadline := time.Now().Add(limit)
	for {
		_, exited := p.Exited() // asked first: what an ended process has written is all there
		for _, output := range []string{p.Stdout(), p.Stderr()} {
			for line := range strings.Lines(output) {
				if strings.Contains(line, text) && strings.HasSuffix(line, "\n") {
					return strings.TrimSuffix(line, "\n")
				}
			}
		}
		if exited || time.Now().After(deadline) {
			p.group.tb.Errorf("the process wrote no line with %q (exited: %t); its output:\n%s\n%s", text, exited, server.Tail(p.stdout), server.Tail(p.stderr))
			return ""
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *Process) signal(name string) {
	p.group.tb.Helper()
	p.group.call(wire.Request{Op: wire.Signal, Signal: name})
}

// waitExit asks in steps, so that a test binary that dies meanwhile is noticed by the keeper.
func (g *group) waitExit(node int, limit time.Duration) int {
	g.tb.Helper()
	deadline := time.Now().Add(limit)
	for {
		answer, ok := g.call(wire.Request{Op: wire.Wait, Node: node, Timeout: min(time.Until(deadline), 500*time.Millisecond)})
		if !ok {
			return -1
		}
		if answer.Exited {
			return answer.Code
		}
		if time.Now().After(deadline) {
			g.tb.Errorf("wait for the end of %s: it still runs after %v", g.kind, limit)
			return -1
		}
	}
}
