package roles

import (
	"context"
	"io"
	"log/slog"

	"eshop/pkg/logging"
)

// process is what a command sees of the world.
type process struct {
	environ []string
	stdin   io.Reader
	stdout  io.Writer // results
	stderr  io.Writer // log and problems
}

// logger writes to standard error, and of what is said over and over only some of it.
func (p process) logger(level, format string) *slog.Logger {
	least := new(slog.LevelVar) // info
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least.Set(slog.LevelInfo) // the flag allows known levels only
	}
	options := &slog.HandlerOptions{Level: least}
	var handler slog.Handler = slog.NewTextHandler(p.stderr, options)
	if format == "json" {
		handler = slog.NewJSONHandler(p.stderr, options)
	}
	return slog.New(logging.Sampled(handler))
}

// ran wraps an error of a command that was started: exit code 1. All others mean bad usage: 2.
type ran struct{ error }

func (r ran) Unwrap() error { return r.error }

// run is what a command does once its settings are known to be good.
type run func(ctx context.Context, p process) error
