package lab_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"eshop/pkg/lab"
)

// state is the letter of /proc/PID/stat, empty for a process that is gone. A zombie counts as gone: it only waits for its
// parent.
func state(pid string) string {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	if strings.HasPrefix(rest, "Z") || rest == "" {
		return ""
	}
	return rest[:1]
}

func waitState(t *testing.T, pid int, letters string) {
	t.Helper()
	lab.Until(t, soon, func(context.Context) error {
		if s := state(strconv.Itoa(pid)); s == "" || !strings.Contains(letters, s) {
			return fmt.Errorf("process %d is in state %q, want one of %q", pid, s, letters)
		}
		return nil
	})
}

func waitGone(t *testing.T, pids ...string) {
	t.Helper()
	lab.Until(t, soon, func(context.Context) error {
		for _, pid := range pids {
			if s := state(pid); s != "" {
				return fmt.Errorf("process %s is left, in state %q", pid, s)
			}
		}
		return nil
	})
}

func outputHas(p *lab.Process, text string, times int) func(context.Context) error {
	return func(context.Context) error {
		if got := strings.Count(p.Stdout(), text); got != times {
			return fmt.Errorf("the output has %q %d times, want %d", text, got, times)
		}
		return nil
	}
}
