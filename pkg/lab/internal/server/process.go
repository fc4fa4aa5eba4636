package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"eshop/pkg/lab/internal/wire"
)

// Spawner starts processes from one thread that lives as long as the keeper: the kernel's parent-death signal fires when
// the starting thread ends, not the starting process.
type Spawner struct{ start chan func() }

// NewSpawner starts the thread. It is never stopped: its end would kill the children.
func NewSpawner() *Spawner {
	s := &Spawner{start: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for f := range s.start {
			f()
		}
	}()
	return s
}

func (s *Spawner) run(cmd *exec.Cmd) error {
	done := make(chan error)
	s.start <- func() { done <- cmd.Start() }
	return <-done
}

// process is one command that can be started again after it ended.
type process struct {
	command        wire.Command
	stdout, stderr string // files, appended to; the same path puts both into one file
	spawner        *Spawner

	mu   sync.Mutex
	last *run // guarded by mu; the latest start, nil before the first
}

// run is one start of a process.
type run struct {
	pid    int
	exited chan struct{} // closed once the child is reaped
	code   int           // exit code, -1 after a signal; written before exited is closed
}

// ended needs no lock: it asks the channel.
func (r *run) ended() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

var errRunning = errors.New("the process is running")

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && !p.last.ended() {
		return errRunning
	}
	cmd := exec.Command(p.command.Path, p.command.Args...)
	cmd.Env = p.command.Env
	cmd.Dir = p.command.Dir
	ownGroup(cmd)
	out, err := os.OpenFile(p.stdout, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.command.Path, err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if p.stderr != p.stdout {
		errFile, err := os.OpenFile(p.stderr, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open the log of %s: %w", p.command.Path, err)
		}
		defer errFile.Close()
		cmd.Stderr = errFile
	}
	if err := p.spawner.run(cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.command.Path, err)
	}
	r := &run{pid: cmd.Process.Pid, exited: make(chan struct{})}
	p.last = r
	go p.reap(cmd, r)
	return nil
}

// reap waits for the child's end, ends the descendants it has left in its group, and only then takes its exit code. Until
// then the child's number, which is the group's, is not given to anybody else; signals are sent under the same lock, so
// none can hit a stranger.
func (p *process) reap(cmd *exec.Cmd, r *run) {
	awaitEnd(r.pid)
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = signalGroup(r.pid, wire.Kill) // the zombie itself is in the group: it is never empty
	_ = cmd.Wait()                    // the exit code says it all
	r.code = cmd.ProcessState.ExitCode()
	close(r.exited)
}

func (p *process) latest() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// signal reaches the whole process group. A process that has ended is an error, except for kill, which returns when the
// process is reaped.
func (p *process) signal(name string) error {
	p.mu.Lock()
	r := p.last
	if r == nil || r.ended() {
		p.mu.Unlock()
		if name == wire.Kill {
			return nil
		}
		return fmt.Errorf("send %s to %s: it is not running", name, p.command.Path)
	}
	err := signalGroup(r.pid, name)
	p.mu.Unlock()
	if err == nil && name == wire.Kill {
		<-r.exited
	}
	return err
}

// wait reports whether the process ended within the limit, and its exit code.
func (p *process) wait(limit time.Duration) (code int, ended bool) {
	r := p.latest()
	if r == nil {
		return 0, true
	}
	select {
	case <-r.exited:
	case <-time.After(limit):
		// Both may have been ready, as they are for a process that has ended and a limit of 0.
		if !r.ended() {
			return 0, false
		}
	}
	return r.code, true
}

func (p *process) running() bool {
	r := p.latest()
	return r != nil && !r.ended()
}

func (p *process) id() int {
	if r := p.latest(); r != nil {
		return r.pid
	}
	return 0
}

// end stops the process: politely first when grace is positive, then by kill.
func (p *process) end(grace time.Duration) {
	if grace > 0 && p.running() {
		if p.signal(wire.Resume) == nil && p.signal(wire.Terminate) == nil {
			p.wait(grace)
		}
	}
	_ = p.signal(wire.Kill)
}

// Tail returns the last lines of a log file, at most 4 KiB.
func Tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 4096 {
		if _, err := f.Seek(-4096, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
