package logging_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/logging"
)

// output is a log that can be looked at.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// lines returns what came since the last call.
func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	return strings.Split(strings.TrimSuffix(o.text.String(), "\n"), "\n")
}

func logger(level slog.Level) (*slog.Logger, *output) {
	var o output
	return slog.New(logging.Sampled(slog.NewTextHandler(&o, &slog.HandlerOptions{Level: level}))), &o
}

// Each line is either written or counted, and the count is told of when the interval ends.
func TestSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := logger(slog.LevelInfo)
		role := log.With("role", "cache")
		for i := range 100 {
			role.Warn("Redis fails", "key", i)
			if i < 5 {
				log.Error("Redis fails")
				log.Info("a page is made")
			}
		}
		got := out.lines()
		if want := logging.Burst + 10; len(got) != want {
			t.Fatalf("%d lines, want %d", len(got), want)
		}
		time.Sleep(logging.Interval)
		synctest.Wait()
		got = out.lines()
		if len(got) != 1 || !strings.Contains(got[0], fmt.Sprintf(`level=WARN msg="Redis fails" role=cache left_out=%d within=10s`, 100-logging.Burst)) {
			t.Fatalf("at the end of the interval: %q", got)
		}
		role.Warn("Redis fails", "key", 100)
		if got = out.lines(); len(got) != 1 || !strings.Contains(got[0], "key=100") {
			t.Errorf("in the next interval: %q", got)
		}
	})
}

// A message that comes now and then is never left out, however long it goes on.
func TestRareLinesPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := logger(slog.LevelInfo)
		for range 10 * logging.Burst {
			log.Warn("a broker is away")
			time.Sleep(logging.Interval / (logging.Burst - 1))
		}
		if n := len(out.lines()); n != 10*logging.Burst {
			t.Errorf("%d of %d lines", n, 10*logging.Burst)
		}
	})
}

// Messages without number take no memory without bound, and are not lost.
func TestManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := logger(slog.LevelDebug)
		for i := range 3000 {
			log.Warn(fmt.Sprint("message ", i))
		}
		for range 50 {
			log.Debug("each is wanted")
		}
		if n := len(out.lines()); n != 3050 {
			t.Errorf("%d lines, want 3050", n)
		}
		time.Sleep(logging.Interval)
		for range 100 {
			log.Warn("message after the flood")
		}
		if n := len(out.lines()); n != logging.Burst {
			t.Errorf("after it, %d lines of a message, want %d", n, logging.Burst)
		}
	})
}

// Lines from everywhere at once.
func TestConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, out := logger(slog.LevelInfo)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 500 {
					log.WithGroup("g").Warn("at once")
				}
			})
		}
		all.Wait()
		time.Sleep(logging.Interval)
		synctest.Wait()
		got := out.lines()
		if len(got) != logging.Burst+1 || !strings.Contains(got[logging.Burst], fmt.Sprintf("left_out=%d", 4000-logging.Burst)) {
			t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
		}
	})
}
