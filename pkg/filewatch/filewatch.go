// Package filewatch tells when files may have changed that a process keeps the
// content of.
package filewatch

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watch is what is watched.
type Watch struct {
	// What the files are, for the log: "template".
	What string
	// Files that may be replaced, written in place, or be symbolic links.
	Files []string
	// Poll is how often they are looked at without an occasion (2 s).
	Poll time.Duration
	Log  *slog.Logger
}

// Run calls look after every change until ctx ends, and at least once in Poll. It
// may call it for nothing: look has to find out by itself what has changed.
//
// The directories are watched, not the files: editors write a new file and rename
// it over the old one, and so do those who renew certificates with symbolic links.
// The poll finds what the notifications miss: network and overlay file systems,
// and links that lead through directories that are not watched.
func (w Watch) Run(ctx context.Context, look func()) {
	if len(w.Files) == 0 {
		<-ctx.Done()
		return
	}
	var events chan fsnotify.Event
	var errs chan error
	if n, err := fsnotify.NewWatcher(); err != nil {
		w.Log.Warn(w.What+" changes are found by polling only", "err", err)
	} else {
		defer n.Close()
		events, errs = n.Events, n.Errors
		for _, dir := range w.dirs() {
			if err := n.Add(dir); err != nil {
				w.Log.Warn(w.What+" changes are found by polling only", "dir", dir, "err", err)
			}
		}
	}
	tick := time.NewTicker(cmp.Or(w.Poll, 2*time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-events:
			settle(ctx, events)
		case err := <-errs: // events were lost, most likely: look at once
			w.Log.Warn("the watch for "+w.What+" changes had an error", "err", err)
		}
		look()
	}
}

// dirs are the directories that the files are in.
func (w Watch) dirs() []string {
	all := map[string]bool{}
	for _, f := range w.Files {
		all[filepath.Dir(f)] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// settle waits until a burst of events is over: an editor makes several.
func settle(ctx context.Context, events <-chan fsnotify.Event) {
	quiet := time.NewTimer(30 * time.Millisecond)
	defer quiet.Stop()
	for range 100 {
		select {
		case <-ctx.Done():
			return
		case <-quiet.C:
			return
		case <-events:
			quiet.Reset(30 * time.Millisecond)
		}
	}
}
