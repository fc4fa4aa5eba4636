// Package logging keeps a log readable while something fails a thousand times a
// second.
package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// Burst is how many lines of one level and message pass in an Interval.
	Burst = 20
	// Interval is the time after which the lines left out are told of.
	Interval = 10 * time.Second
	// most bounds the messages that are known at a time. They are the texts of the
	// code, so there are fewer; what is above it passes.
	most = 1000
)

// Sampled returns a handler that passes on to next the first Burst lines of each
// level and message in an Interval, whatever their attributes, and leaves out the
// others. At the interval's end one line more with the same level, message and
// logger's attributes says in "left_out" how many those were. Debug lines all
// pass: whoever asks for them wants to see each. Its methods may be called from
// any goroutine.
func Sampled(next slog.Handler) slog.Handler {
	return &sampled{next: next, seen: &seen{of: make(map[line]*tally)}}
}

type sampled struct {
	next slog.Handler
	seen *seen // shared by all loggers made of one
}

// line is what counts as the same.
type line struct {
	level   slog.Level
	message string
}

// seen counts lines.
type seen struct {
	mu sync.Mutex
	of map[line]*tally
}

// tally is one line's count since began.
type tally struct {
	began   time.Time
	passed  int
	leftOut int
}

// Enabled implements slog.Handler.
func (s *sampled) Enabled(ctx context.Context, level slog.Level) bool {
	return s.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (s *sampled) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo && !s.pass(line{r.Level, r.Message}) {
		return nil
	}
	return s.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (s *sampled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampled{next: s.next.WithAttrs(attrs), seen: s.seen}
}

// WithGroup implements slog.Handler.
func (s *sampled) WithGroup(name string) slog.Handler {
	return &sampled{next: s.next.WithGroup(name), seen: s.seen}
}

// pass counts a line and reports whether it is to be written.
func (s *sampled) pass(l line) bool {
	now := time.Now()
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	t := s.seen.of[l]
	if t == nil || t.leftOut == 0 && now.Sub(t.began) >= Interval {
		if t == nil && len(s.seen.of) >= most && !s.seen.forget(now) {
			return true
		}
		t = &tally{began: now}
		s.seen.of[l] = t
	}
	if t.passed < Burst {
		t.passed++
		return true
	}
	if t.leftOut++; t.leftOut == 1 {
		time.AfterFunc(t.began.Add(Interval).Sub(now), func() { s.tell(l, t) })
	}
	return false
}

// forget drops what was last counted an interval ago; false if there is no such.
// Caller holds mu.
func (s *seen) forget(now time.Time) bool {
	before := len(s.of)
	for l, t := range s.of {
		if t.leftOut == 0 && now.Sub(t.began) >= Interval {
			delete(s.of, l)
		}
	}
	return len(s.of) < before
}

// tell ends an interval in which lines were left out.
func (s *sampled) tell(l line, t *tally) {
	s.seen.mu.Lock()
	n := t.leftOut
	delete(s.seen.of, l)
	s.seen.mu.Unlock()
	r := slog.NewRecord(time.Now(), l.level, l.message, 0)
	r.AddAttrs(slog.Int("left_out", n), slog.Duration("within", Interval))
	_ = s.next.Handle(context.Background(), r) // a log that cannot be written has nobody to tell
}
