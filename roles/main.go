package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"eshop/pkg/lifecycle"
)

// Exit codes of the process.
const (
	exitClean   = 0
	exitFailed  = 1 // while running
	exitMisused = 2 // bad usage or settings: nothing was started
)

// Main runs the command that args, without the program's name, ask for, and returns the exit code.
// The first interrupt or termination signal stops it in an orderly way, as the end of ctx does; the
// second one ends the process at once with code 1.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := lifecycle.Signals(ctx, func(s os.Signal) {
		fmt.Fprintf(stderr, "eshop: killed by a second signal (%s)\n", s)
		os.Exit(exitFailed)
	})
	defer stop()
	return execute(ctx, args, process{environ: os.Environ(), stdin: stdin, stdout: stdout, stderr: stderr})
}

func execute(ctx context.Context, args []string, p process) int {
	root := newRoot(p, args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitClean
	case errors.As(err, new(ran)):
		fmt.Fprintf(p.stderr, "eshop: %v\n", err)
		return exitFailed
	}
	fmt.Fprintf(p.stderr, "eshop: %v\n", err)
	return exitMisused
}
