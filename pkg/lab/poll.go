package lab

import (
	"context"
	"testing"
	"time"
)

// Until polls a condition every 20 ms and fails the test with its last error when it does not hold within the limit.
func Until(tb testing.TB, limit time.Duration, cond func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := cond(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			tb.Fatalf("not reached within %v: %v", limit, err)
		case <-tick.C:
		}
	}
}
