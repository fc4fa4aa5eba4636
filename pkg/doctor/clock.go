package doctor

import (
	"fmt"
	"time"
)

// reading is one answer about another machine's clock: it showed told at some
// time between two readings of the own one.
type reading struct {
	whose                 string
	asked, told, answered time.Time
}

// offset returns by how much the other clock is ahead, and how wrong that can be.
func (r reading) offset() (ahead, margin time.Duration) {
	margin = r.answered.Sub(r.asked) / 2
	return r.told.Sub(r.asked.Add(margin)), margin
}

// skewTold is what is spoken of: clocks that are kept in step by NTP differ by a
// few milliseconds.
const skewTold = 500 * time.Millisecond

// clocks judges the clock that is furthest off. Heartbeats and records carry the
// clock of their sender, so a difference of max-staleness makes a gateway take a
// live bus for a silent one; half of it is the limit.
func (d *doctor) clocks(n *notes, readings []reading) {
	if len(readings) == 0 {
		n.skip("no server tells its time", "clock")
		return
	}
	var worst reading
	var most time.Duration
	for _, r := range readings {
		ahead, margin := r.offset()
		if off := ahead.Abs() - margin; worst.whose == "" || off > most {
			worst, most = r, off
		}
	}
	ahead, margin := worst.offset()
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	found := fmt.Sprintf("the clock of %s is %s %s this machine's (± %s)", worst.whose, short(ahead.Abs()), direction, short(margin))
	b := warn("times of records and heartbeats are compared between machines: delays are shown wrong, and from "+short(d.MaxStaleness)+
		" on a live invalidation bus looks silent and pages are checked or marked stale for nothing",
		"chronyc tracking; timedatectl set-ntp true    # on both machines")
	switch {
	case most < skewTold:
		n.ok("clock", "%s", found)
	case most >= d.MaxStaleness/2:
		b.severity = Failure
		fallthrough
	default:
		n.say(b, "clock", "%s", found)
	}
}

// short rounds a duration to what one wants to read.
func short(v time.Duration) string {
	switch {
	case v >= 24*time.Hour && v%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", v/(24*time.Hour))
	case v >= time.Minute && v%time.Minute == 0 && v < time.Hour:
		return fmt.Sprintf("%dm", v/time.Minute)
	case v >= time.Hour && v%time.Hour == 0:
		return fmt.Sprintf("%dh", v/time.Hour)
	case v >= 10*time.Second:
		return v.Round(time.Second).String()
	case v >= time.Second:
		return v.Round(10 * time.Millisecond).String()
	case v >= time.Millisecond:
		return v.Round(100 * time.Microsecond).String()
	}
	return v.Round(time.Microsecond).String()
}
