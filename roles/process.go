package roles

import (
	"context"
	"io"
	"log/slog"

	"eshop/pkg/config"
	"eshop/pkg/logging"
	"eshop/pkg/tracing"
)

// process is what a command sees of the world.
type process struct {
	environ []string
	stdin   io.Reader
	stdout  io.Writer // results
	stderr  io.Writer // log and problems

	settings []config.Setting // in effect at the start
	reread   func() *reading  // reads them anew; see reload.go
}

// logger writes to standard error, and of what is said over and over only some of it.
func (p process) logger(level, format string) *slog.Logger {
	log, _ := p.leveled(level, format)
	return log
}

// leveled is logger, with what changes the level.
func (p process) leveled(level, format string) (*slog.Logger, *slog.LevelVar) {
	least := new(slog.LevelVar) // info
	setLevel(least, level)
	options := &slog.HandlerOptions{Level: least}
	var handler slog.Handler = slog.NewTextHandler(p.stderr, options)
	if format == "json" {
		handler = slog.NewJSONHandler(p.stderr, options)
	}
	return slog.New(logging.Sampled(tracing.Logs(handler))), least
}

func setLevel(least *slog.LevelVar, level string) {
	if err := least.UnmarshalText([]byte(level)); err != nil {
		least.Set(slog.LevelInfo) // the flag allows known levels only
	}
}

// ran wraps an error of a command that was started: exit code 1. All others mean bad usage: 2.
type ran struct{ error }

func (r ran) Unwrap() error { return r.error }

// run is what a command does once its settings are known to be good.
type run func(ctx context.Context, p process) error
