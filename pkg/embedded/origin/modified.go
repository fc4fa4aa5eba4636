package origin

import "time"

// maxAhead is how far modifiedTime may run ahead of the clock.
const maxAhead = time.Minute

// nextModified returns the modifiedTime of an edit made at now to a document
// that had prev, both in whole seconds.
//
// Its resolution is one second, so edits within a second would look equally
// new; each is set one second after the one before instead, while that stays
// within maxAhead of the clock. Beyond it they do look equal, and readers order
// them by when they pulled. It never goes back, nor when the clock does.
func nextModified(prev, now time.Time) time.Time {
	now = now.Truncate(time.Second)
	switch next := prev.Add(time.Second); {
	case now.After(prev):
		return now
	case next.Sub(now) <= maxAhead:
		return next
	}
	return prev
}
