package lab_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"eshop/pkg/lab"
)

// victimMode is the variable that makes this test binary a victim: it starts servers and then ends as the mode says.
const victimMode = "LAB_TEST_VICTIM"

// TestVictim runs only in a test binary started by the tests below. It tells what it has started and ends badly.
func TestVictim(t *testing.T) {
	mode := os.Getenv(victimMode)
	if mode == "" {
		return // an ordinary run: the tests below start it
	}
	if mode == "shared" {
		for _, n := range lab.Redis(t).Nodes() {
			fmt.Println("pid", n.Pid())
		}
		return
	}
	p := lab.Start(t, lab.Command{Path: "sh", Args: []string{"-c", "sleep 300 & echo child $!; wait"}})
	pids := []string{strconv.Itoa(p.Pid()), strings.TrimPrefix(p.WaitOutput("child", soon), "child ")}
	for _, n := range lab.RedisNew(t).Nodes() {
		pids = append(pids, strconv.Itoa(n.Pid()))
	}
	for _, pid := range pids {
		fmt.Println("pid", pid)
	}
	fmt.Println("ready")
	switch mode {
	case "panic":
		panic("on purpose")
	case "exit":
		os.Exit(0)
	default: // killed, or into the time limit
		select {}
	}
}

// startVictim runs this test binary again, with a keeper of its own, and returns it with the pids it told and the
// directory all its files are under.
func startVictim(t *testing.T, mode string, env ...string) (victim *exec.Cmd, pids []string, dir string) {
	t.Helper()
	if missing := lab.Missing("redis"); missing != "" {
		lab.Redis(t) // skips or fails as every test does
	}
	dir = t.TempDir()
	victim = exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v=false", "-test.timeout="+victimTimeout(mode))
	victim.Env = append(os.Environ(), victimMode+"="+mode, "ESHOP_LAB_DIR=", "TMPDIR="+dir)
	victim.Env = append(victim.Env, env...)
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	victim.Stdout, victim.Stderr = out, out
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = victim.Process.Kill()
		_ = victim.Wait()
	})
	lab.Until(t, late, func(context.Context) error {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			return err
		}
		if !strings.Contains(string(text), "\nready\n") && !strings.Contains(string(text), "PASS\n") {
			return fmt.Errorf("the victim is not ready: %s", text)
		}
		pids = nil
		for line := range strings.Lines(string(text)) {
			if pid, ok := strings.CutPrefix(line, "pid "); ok {
				pids = append(pids, strings.TrimSpace(pid))
			}
		}
		return nil
	})
	return victim, pids, dir
}

func victimTimeout(mode string) string {
	if mode == "timeout" {
		return "15s"
	}
	return "5m"
}

// Whatever happens to a test binary, its servers, commands, their descendants and their files go.
func TestNothingLeftBehind(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"panic", "exit", "kill", "timeout"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			victim, pids, dir := startVictim(t, mode)
			if len(pids) != 8 {
				t.Fatalf("the victim told %d processes, want 8: six nodes, a command and its child", len(pids))
			}
			if mode == "kill" {
				if err := victim.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			_ = victim.Wait() // its exit code is bad on purpose
			waitGone(t, pids...)
			waitEmpty(t, dir)
		})
	}
}

// Nor does a killed keeper leave servers; its files are removed by the next keeper.
func TestKilledKeeperLeavesNoServers(t *testing.T) {
	t.Parallel()
	_, pids, dir := startVictim(t, "hang")
	if len(pids) != 8 {
		t.Fatalf("the victim told %d processes, want 8", len(pids))
	}
	server, err := strconv.Atoi(pids[2])
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := os.FindProcess(parent(t, server))
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Kill(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pids[0])
	waitGone(t, pids[2:]...) // not the grandchild: the kernel tells only children of their parent's death
	if child, err := strconv.Atoi(pids[1]); err == nil {
		if p, err := os.FindProcess(child); err == nil {
			_ = p.Kill()
		}
	}
	if left := entries(t, dir); len(left) != 1 {
		t.Fatalf("a killed keeper leaves %v, want its one directory", left)
	}
	next, _, _ := startVictim(t, "exit", "TMPDIR="+dir)
	_ = next.Wait()
	waitEmpty(t, dir)
}

func parent(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	ppid, err := strconv.Atoi(f[1])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

// Test binaries with one ESHOP_LAB_DIR use the same servers; these end when the directory's owner removes the state file.
func TestSharedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, pids, _ := startVictim(t, "shared", "ESHOP_LAB_DIR="+dir)
	second, again, _ := startVictim(t, "shared", "ESHOP_LAB_DIR="+dir)
	if err := errors.Join(first.Wait(), second.Wait()); err != nil {
		t.Fatal(err)
	}
	if len(pids) != 6 || fmt.Sprint(pids) != fmt.Sprint(again) {
		t.Errorf("got processes %v and %v, want six, the same", pids, again)
	}
	for _, pid := range pids {
		if state(pid) == "" {
			t.Errorf("server %s has ended with its test binary", pid)
		}
	}
	if err := os.Remove(filepath.Join(dir, "state.json")); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pids...)
}

// The keeper of a shared directory ends with the process that is named as the owner.
func TestSharedDirectoryOwner(t *testing.T) {
	t.Parallel()
	owner := exec.Command("sleep", "300")
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	first, pids, _ := startVictim(t, "shared", "ESHOP_LAB_DIR="+dir, "ESHOP_LAB_OWNER="+strconv.Itoa(owner.Process.Pid))
	if err := first.Wait(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Process.Kill()
	_ = owner.Wait()
	waitGone(t, pids...)
	lab.Until(t, soon, func(context.Context) error {
		if _, err := os.Stat(filepath.Join(dir, "state.json")); err == nil {
			return errors.New("the state file is left")
		}
		return nil
	})
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		// The go command works under TMPDIR too and cleans up by itself.
		if strings.Contains(e.Name(), "eshop-lab-") {
			names = append(names, e.Name())
		}
	}
	return names
}

func waitEmpty(t *testing.T, dir string) {
	t.Helper()
	lab.Until(t, soon, func(context.Context) error {
		if left := entries(t, dir); len(left) > 0 {
			return fmt.Errorf("%v is left", left)
		}
		return nil
	})
}
