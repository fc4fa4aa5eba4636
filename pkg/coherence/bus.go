package coherence

import "time"

// Bus is what a process knows of the invalidation bus at one moment.
type Bus struct {
	Generation uint64        // counts losses of messages
	Until      int64         // unix nanoseconds: the watermark and Max; the bus is behind from then on
	Max        time.Duration // --gateway.max-staleness
}

// Until returns until when a watermark vouches, in unix nanoseconds; 0 for a
// watermark that is not known yet.
func Until(watermark time.Time, max time.Duration) int64 {
	if watermark.IsZero() {
		return 0
	}
	return watermark.Add(max).UnixNano()
}

// Behind reports whether the bus has been silent for too long at the time now,
// in unix nanoseconds.
func (b Bus) Behind(now int64) bool { return now > b.Until }

// VerifiedSince returns from when on a copy must have been verified to be used
// at the time now: for all time while the bus tells of changes.
func (b Bus) VerifiedSince(now int64) int64 {
	if now > b.Until {
		return now - int64(b.Max)
	}
	return 0
}

// Vouches reports whether a copy may be used at the time now without a look at
// Redis. It was verified at a time, in the generation that the bus had then.
func (b Bus) Vouches(now int64, generation uint64, verified int64) bool {
	return generation == b.Generation && verified >= b.VerifiedSince(now)
}

// TakesWord reports whether another process's memory may count as verified now.
// Its copy may have been looked at Max ago, and while this process is behind too
// it would be used for Max once more.
func (b Bus) TakesWord(now int64, fromMemory bool) bool { return !fromMemory || !b.Behind(now) }

// Distrusts reports whether a replica may hold something older than a change that
// the bus has not told, and will not: it is behind, or lost messages at lastGap
// (unix nanoseconds, 0 for never).
func (b Bus) Distrusts(now, lastGap int64) bool {
	return b.Behind(now) || lastGap != 0 && now-lastGap < int64(b.Max)
}
