package simulation

import (
	"fmt"
	"maps"
	"slices"
)

// Events counts what happened in schedules, by name.
type Events map[string]int

// Add adds other's counts.
func (e Events) Add(other Events) {
	for name, n := range other {
		e[name] += n
	}
}

// String lists the events by name.
func (e Events) String() string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(e)) {
		text += fmt.Sprintf("%12d  %s\n", e[name], name)
	}
	return text
}

func (e *Events) note(name string) {
	if *e == nil {
		*e = Events{}
	}
	(*e)[name]++
}

func (e *Events) crashed(before string) { e.note("crash before: " + before) }

// say adds a line to the trace.
func (w *world) say(format string, args ...any) {
	if w.cfg.Trace {
		w.lines = append(w.lines, fmt.Sprintf("%4d %8.3fs  ", w.steps, float64(w.now-1_000_000)/1000)+fmt.Sprintf(format, args...))
	}
}
