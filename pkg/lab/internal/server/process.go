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

	mu     sync.Mutex
	pid    int           // guarded by mu; 0 before the first start
	exited chan struct{} // closed once the child is reaped
	code   int           // valid after exited is closed
}

var errRunning = errors.New("the process is running")

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited != nil && !closed(p.exited) {
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
	exited := make(chan struct{})
	p.pid, p.exited = cmd.Process.Pid, exited
	go func() {
		_ = cmd.Wait() // the exit code says it all
		p.code = cmd.ProcessState.ExitCode()
		close(exited)
	}()
	return nil
}

// signal reaches the whole process group. A process that has ended is an error, except for kill.
func (p *process) signal(name string) error {
	p.mu.Lock()
	pid, exited := p.pid, p.exited
	p.mu.Unlock()
	if exited == nil || closed(exited) {
		if name == wire.Kill {
			return nil
		}
		return fmt.Errorf("send %s to %s: it is not running", name, p.command.Path)
	}
	if err := signalGroup(pid, name); err != nil && !closed(exited) {
		return err
	}
	if name == wire.Kill {
		<-exited
	}
	return nil
}

// wait reports whether the process ended within the limit, and its exit code.
func (p *process) wait(limit time.Duration) (int, bool) {
	p.mu.Lock()
	exited := p.exited
	p.mu.Unlock()
	if exited == nil {
		return 0, true
	}
	select {
	case <-exited:
		return p.code, true
	case <-time.After(limit):
		return 0, false
	}
}

func (p *process) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exited != nil && !closed(p.exited)
}

func (p *process) id() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// end stops the process: politely first when grace is positive, then by kill. The descendants it left in its group go too.
func (p *process) end(grace time.Duration) {
	if grace > 0 && p.running() {
		_ = p.signal(wire.Resume)
		if p.signal(wire.Terminate) == nil {
			p.wait(grace)
		}
	}
	_ = p.signal(wire.Kill)
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
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
