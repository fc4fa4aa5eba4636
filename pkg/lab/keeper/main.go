// The keeper owns the servers that tests start; pkg/lab starts it by itself. By hand it is only needed to end it:
// keeper -dir DIR -quit.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"eshop/pkg/lab/internal/keep"
	"eshop/pkg/lab/internal/wire"
)

func main() {
	dir := flag.String("dir", "", "directory shared by test binaries; empty: one binary's own keeper")
	owner := flag.Int("owner", 0, "end when the process with this id has ended")
	idle := flag.Duration("idle", 3*time.Minute, "end after so long without a connected test binary")
	quit := flag.Bool("quit", false, "end the keeper of the directory and wait until its servers are gone")
	flag.Parse()
	err := error(nil)
	if *quit {
		err = stop(*dir)
	} else {
		// Standard output tells the socket and is closed then: go test waits for whoever holds its streams.
		ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
		defer cancel()
		err = keep.Run(ctx, keep.Config{Dir: *dir, Owner: *owner, Idle: *idle}, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab keeper:", err)
		os.Exit(1)
	}
}

// stop is content when there is no keeper.
func stop(dir string) error {
	state, err := keep.ReadState(dir)
	if err != nil {
		return nil
	}
	c, err := wire.Dial(state.Socket)
	if err != nil {
		return nil
	}
	defer c.Close()
	// The answer is the end of the connection, which comes at once; the state file goes when all is gone.
	_, _ = c.Call(wire.Request{Op: wire.Quit}, 30*time.Second)
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if s, err := keep.ReadState(dir); err != nil || s.Pid != state.Pid {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the keeper (pid %d) of %s did not end within 30 s", state.Pid, dir)
}
