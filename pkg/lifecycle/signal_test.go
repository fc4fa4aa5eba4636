package lifecycle_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"eshop/pkg/lifecycle"

	"go.uber.org/goleak"
)

// childVariable makes the test binary run as the process that gets the signals.
const childVariable = "ESHOP_LIFECYCLE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// child stops in an orderly way after the first signal, but takes a minute for it.
func child() int {
	ctx, stop := lifecycle.Signals(context.Background(), func(os.Signal) { os.Exit(3) })
	defer stop()
	g := lifecycle.New(lifecycle.Config{}, lifecycle.Deps{})
	g.Add("slow", func(ctx context.Context, ready func()) error {
		ready()
		fmt.Println("up")
		<-ctx.Done()
		fmt.Println("told")
		if os.Getenv(childVariable) == "slow" {
			<-time.After(time.Minute)
		}
		return nil
	})
	if err := g.Run(ctx); err != nil {
		return 1
	}
	return 0
}

func TestFirstSignalStopsSecondKills(t *testing.T) {
	for _, tt := range []struct {
		mode   string
		second bool
		want   string
	}{
		{mode: "quick", want: "exit status 0"},
		{mode: "slow", second: true, want: "exit status 3"},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"="+tt.mode)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			expect := func(want string) {
				t.Helper()
				if !lines.Scan() || strings.TrimSpace(lines.Text()) != want {
					t.Fatalf("child printed %q (%v), want %q", lines.Text(), lines.Err(), want)
				}
			}
			expect("up")
			signal(t, cmd, syscall.SIGTERM)
			expect("told")
			if tt.second {
				signal(t, cmd, syscall.SIGTERM)
			}
			got := "exit status 0"
			if err := cmd.Wait(); err != nil {
				if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
					t.Fatal(err)
				}
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("child ended with %q, want %q", got, tt.want)
			}
		})
	}
}

func signal(t *testing.T, cmd *exec.Cmd, s os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
