package fault_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"eshop/pkg/lab"
	"eshop/roles"
)

// These make the test binary another program: eshop itself, so that the processes run exactly the code under test, and
// a process that holds locks.
const (
	runAsEshop  = "RUN_TEST_BINARY_AS_ESHOP"
	runAsHolder = "RUN_TEST_BINARY_AS_HOLDER"
)

func TestMain(m *testing.M) {
	if os.Getenv(runAsEshop) != "" {
		os.Exit(roles.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if setting := os.Getenv(runAsHolder); setting != "" {
		os.Exit(holdLocks(setting))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { lab.Close(); os.Exit(code) }),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"), // ends within a second of its pool
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),            // one for the process, for ever
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// long selects the nightly form: every scenario, and outages of a minute.
func long() bool { return os.Getenv("ESHOP_LONG") == "1" }
