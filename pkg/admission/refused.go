package admission

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Reason says why a caller got no slot.
type Reason uint8

// The reasons; Reasons lists them.
const (
	// Full: as many wait as may, or so many that the wait would be longer than anybody's patience.
	Full Reason = iota
	// Late: the caller's deadline would pass before the work was done.
	Late
	// Pressed: the queue has stood for a while, and newer callers are served first.
	Pressed
	reasons
)

// Reasons lists every Reason.
func Reasons() []Reason { return []Reason{Full, Late, Pressed} }

// String is the label of the metric and what an answer shows.
func (r Reason) String() string {
	switch r {
	case Full:
		return "full"
	case Late:
		return "late"
	case Pressed:
		return "pressed"
	}
	return "unknown"
}

// Refused is the error of a caller that got no slot.
type Refused struct {
	Gate   string
	Reason Reason
	// RetryAfter is when it makes sense to come back, at least a second. It is
	// drawn for each caller anew, so that those refused together do not come
	// back together.
	RetryAfter time.Duration
}

// Error names the gate and the reason.
func (r *Refused) Error() string {
	why := "as many calls wait as may"
	switch r.Reason {
	case Late:
		why = "the deadline would pass before it answers"
	case Pressed:
		why = "the queue stands and newer calls go first"
	}
	return fmt.Sprintf("no call to %s now: %s (ask again in %v)", r.Gate, why, r.RetryAfter.Round(time.Millisecond))
}

// Spread draws a time to come back: a second at least, and the more spread out
// the longer the trouble has lasted, from 2 s to 10 s more.
func Spread(trouble time.Duration) time.Duration {
	return time.Second + rand.N(min(10*time.Second, max(2*time.Second, trouble)))
}
