package filewatch_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/filewatch"
	"eshop/pkg/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run watches until the test's end and returns what was read last.
func run(t *testing.T, file string, poll time.Duration) *atomic.Value {
	t.Helper()
	var seen atomic.Value
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := filewatch.Watch{What: "test", Files: []string{file}, Poll: poll, Log: slog.New(slog.DiscardHandler)}
		w.Run(ctx, func() {
			if text, err := os.ReadFile(file); err == nil {
				seen.Store(string(text))
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return &seen
}

func until(t *testing.T, seen *atomic.Value, want string) {
	t.Helper()
	lab.Until(t, 20*time.Second, func(context.Context) error {
		if got, _ := seen.Load().(string); got != want {
			return errors.New("the last that was read is " + got)
		}
		return nil
	})
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A change in the file's own directory is told without a poll.
func TestNotified(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "one")
	seen := run(t, file, time.Hour)
	lab.Until(t, 20*time.Second, func(context.Context) error { // the watch may not have begun
		put(t, file, "two")
		if seen.Load() != "two" {
			return errors.New("it was not told")
		}
		return nil
	})
	put(t, file+".new", "three")
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	until(t, seen, "three")
	put(t, file, "four") // the new file is watched as the old one was
	until(t, seen, "four")
}

// A change behind a link into another directory is found by the poll, also when the file's own directory comes later.
func TestPolled(t *testing.T) {
	target, dir := filepath.Join(t.TempDir(), "target"), filepath.Join(t.TempDir(), "late")
	seen := run(t, filepath.Join(dir, "link"), 5*time.Millisecond)
	put(t, target, "one")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	until(t, seen, "one")
	put(t, target, "two")
	until(t, seen, "two")
}

// Without files it waits for the end, and watches nothing.
func TestNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	filewatch.Watch{}.Run(ctx, func() { t.Error("it looked for nothing") })
}
