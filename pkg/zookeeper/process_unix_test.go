//go:build unix

package zookeeper_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"eshop/pkg/zookeeper"
)

// PITFALLS 39, 28: a process that is stopped cannot step down in time. When it
// goes on it is told at once, also if its session outlived the stop, and what
// it may have written until then carries the lower token.
func TestStoppedProcessLosesItsLock39(t *testing.T) {
	for _, test := range []struct {
		name  string
		until func(*env, *zookeeper.Ticket, time.Time)
	}{
		{"longer than the lease", func(e *env, _ *zookeeper.Ticket, stopped time.Time) {
			<-time.After(time.Until(stopped.Add(holdTimeout * 5 / 6)))
		}},
		{"longer than the session", func(e *env, next *zookeeper.Ticket, _ time.Time) {
			if err := next.Wait(e.ctx()); err != nil {
				e.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			onBoth(t, func(e *env) {
				s := e.session()
				command := exec.Command(os.Args[0])
				command.Env = append(os.Environ(), holdVariable+"="+e.root+","+strings.Join(e.addrs, ","))
				stdin, err := command.StdinPipe()
				if err != nil {
					e.Fatal(err)
				}
				stdout, err := command.StdoutPipe()
				if err != nil {
					e.Fatal(err)
				}
				if err := command.Start(); err != nil {
					e.Fatal(err)
				}
				e.Cleanup(func() {
					command.Process.Signal(syscall.SIGCONT)
					stdin.Close()
					if err := command.Wait(); err != nil {
						e.Errorf("the holder: %v", err)
					}
				})
				said := bufio.NewScanner(stdout)
				var token int64
				if !said.Scan() {
					e.Fatal("the holder says nothing")
				}
				if _, err := fmt.Sscanf(said.Text(), "held %d", &token); err != nil {
					e.Fatalf("the holder says %q", said.Text())
				}
				next, err := s.Enqueue(e.ctx(), "k")
				if err != nil {
					e.Fatal(err)
				}
				if err := command.Process.Signal(syscall.SIGSTOP); err != nil {
					e.Fatal(err)
				}
				test.until(e, next, time.Now())
				resumed := time.Now()
				if err := command.Process.Signal(syscall.SIGCONT); err != nil {
					e.Fatal(err)
				}
				if !said.Scan() || said.Text() != "lost" {
					e.Fatalf("the holder says %q, want lost", said.Text())
				}
				if took := time.Since(resumed); took > 500*time.Millisecond {
					e.Errorf("told %v after it went on", took)
				}
				if err := next.Wait(e.ctx()); err != nil {
					e.Fatal(err)
				}
				if next.Token() <= token {
					e.Errorf("token of the next holder: got %d, want more than %d", next.Token(), token)
				}
				next.Release()
			})
		})
	}
}
