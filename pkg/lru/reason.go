package lru

import "strconv"

// Reason says why an entry left the cache.
type Reason uint8

const (
	// Capacity: room was needed, and the policy could best do without it.
	Capacity Reason = iota
	// Expired: its time had passed; found out on access, overwrite or eviction.
	Expired
	// Replaced: a Put of the same key took its place (or was too large to).
	Replaced
	// Removed: Remove or Purge.
	Removed

	reasons
)

// Reasons returns all reasons, for the labels of a metric.
func Reasons() []Reason { return []Reason{Capacity, Expired, Replaced, Removed} }

// String returns the word used as a metric label.
func (r Reason) String() string {
	switch r {
	case Capacity:
		return "capacity"
	case Expired:
		return "expired"
	case Replaced:
		return "replaced"
	case Removed:
		return "removed"
	}
	return "reason " + strconv.Itoa(int(r))
}
