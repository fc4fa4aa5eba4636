package lab_test

import (
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab"
)

func shell(t *testing.T, script string, env ...string) *lab.Process {
	t.Helper()
	return lab.Start(t, lab.Command{Path: "sh", Args: []string{"-c", script}, Env: env})
}

func TestProcessOutputAndExitCode(t *testing.T) {
	p := shell(t, "echo one; echo two >&2; exit 7")
	if got, want := p.Wait(soon), 7; got != want {
		t.Errorf("exit code: got %d, want %d", got, want)
	}
	if got, want := p.Stdout(), "one\n"; got != want {
		t.Errorf("standard output: got %q, want %q", got, want)
	}
	if got, want := p.Stderr(), "two\n"; got != want {
		t.Errorf("standard error: got %q, want %q", got, want)
	}
	if code, exited := p.Exited(); !exited || code != 7 {
		t.Errorf("got %d, %t, want 7, true", code, exited)
	}
}

func TestProcessStop(t *testing.T) {
	p := shell(t, `trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done`)
	if got := p.WaitOutput("up", soon); got != "up" {
		t.Fatalf("got line %q, want %q", got, "up")
	}
	if _, exited := p.Exited(); exited {
		t.Fatal("the process has ended by itself")
	}
	if got, want := p.Stop(soon), 3; got != want {
		t.Errorf("exit code: got %d, want %d", got, want)
	}
	if got, want := p.Stdout(), "up\nbye\n"; got != want {
		t.Errorf("standard output: got %q, want %q", got, want)
	}
}

func TestProcessKillPauseRestart(t *testing.T) {
	p := shell(t, "echo up $$; sleep 60 & echo child $!; wait")
	child := strings.TrimPrefix(p.WaitOutput("child", soon), "child ")
	p.Pause()
	waitState(t, p.Pid(), "T")
	p.Resume()
	waitState(t, p.Pid(), "SR")
	p.Kill()
	if got, want := p.Wait(soon), -1; got != want {
		t.Errorf("exit code after a kill: got %d, want %d", got, want)
	}
	waitGone(t, child)
	old := p.Pid()
	p.Restart()
	if p.Pid() == old {
		t.Error("a restarted process has its old process id")
	}
	lab.Until(t, soon, outputHas(p, "up", 2))
}

// Only what the caller names reaches the program of the variables that are flags to it.
func TestProcessEnvironment(t *testing.T) {
	t.Setenv("ESHOP_GATEWAY_ADDR", "from the test")
	t.Setenv("OTHER", "kept")
	p := shell(t, `echo "$ESHOP_GATEWAY_ADDR|$ESHOP_CACHE_ADDR|$OTHER"`, "ESHOP_CACHE_ADDR=named")
	p.Wait(soon)
	if got, want := p.Stdout(), "|named|kept\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProcessFailures(t *testing.T) {
	cases := []struct {
		name, want string
		use        func(testing.TB)
	}{
		{"no such program", "no-such-program", func(tb testing.TB) {
			lab.Start(tb, lab.Command{Path: "no-such-program"})
		}},
		{"runs too long", "still runs", func(tb testing.TB) {
			lab.Start(tb, lab.Command{Path: "sleep", Args: []string{"60"}}).Wait(50 * time.Millisecond)
		}},
		{"line never written", "no line with", func(tb testing.TB) {
			lab.Start(tb, lab.Command{Path: "echo", Args: []string{"this"}}).WaitOutput("that", soon)
		}},
		{"signal to the dead", "not running", func(tb testing.TB) {
			p := lab.Start(tb, lab.Command{Path: "true"})
			p.Wait(soon)
			p.Pause()
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := record(t, c.use)
			if got := strings.Join(append(r.errors, r.fatal), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want a failure with %q", got, c.want)
			}
		})
	}
}
