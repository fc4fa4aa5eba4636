package roles

import (
	"context"
	"io"
	"log/slog"
)

// process is what a command sees of the world.
type process struct {
	environ []string
	stdin   io.Reader
	stdout  io.Writer // results
	stderr  io.Writer // log and problems
}

// logger writes to standard error.
func (p process) logger(level, format string) *slog.Logger {
	least := new(slog.LevelVar) // info
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least.Set(slog.LevelInfo) // the flag allows known levels only
	}
	options := &slog.HandlerOptions{Level: least}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, options))
	}
	return slog.New(slog.NewTextHandler(p.stderr, options))
}

// ran wraps an error of a command that was started: exit code 1. All others mean bad usage: 2.
type ran struct{ error }

func (r ran) Unwrap() error { return r.error }

// run is what a command does once its settings are known to be good.
type run func(ctx context.Context, p process) error
