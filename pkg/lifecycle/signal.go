package lifecycle

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Signals returns a context that is cancelled by the first interrupt or termination signal; its cause
// names the signal. A second signal, however soon it comes, calls kill, which is expected to end the
// process at once (os.Exit with a code). Stop releases the handlers and ends the goroutine behind them.
func Signals(parent context.Context, kill func(os.Signal)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	// Both signals may arrive before the goroutine looks: room for two, so that neither is lost.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for first := true; ; first = false {
			select {
			case s := <-signals:
				if !first {
					kill(s)
				}
				cancel(fmt.Errorf("signal %q", s))
			case <-quit:
				return
			}
		}
	}()
	return ctx, sync.OnceFunc(func() {
		signal.Stop(signals)
		close(quit)
		<-done
		cancel(nil)
	})
}
