package catalog

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Key names one document of the shop.
type Key struct {
	Kind string `json:"kind"`
	ID   int64  `json:"id"`
}

// String returns "kind/id".
func (k Key) String() string { return k.Kind + "/" + strconv.FormatInt(k.ID, 10) }

// Append appends what String returns.
func (k Key) Append(b []byte) []byte {
	return strconv.AppendInt(append(append(b, k.Kind...), '/'), k.ID, 10)
}

// State says what is known of a document.
type State uint8

const (
	// Absent: nothing is stored, or the origin answered 404.
	Absent State = iota
	// Live: the body is the document.
	Live
	// Tombstone: the document was deleted; the stamp says when.
	Tombstone
)

// String returns the word used in logs, metrics and the admin API.
func (s State) String() string {
	switch s {
	case Absent:
		return "absent"
	case Live:
		return "live"
	case Tombstone:
		return "tombstone"
	}
	return "state " + strconv.Itoa(int(s))
}

// ParseState reads what State.String wrote.
func ParseState(s string) (State, error) {
	for _, st := range []State{Absent, Live, Tombstone} {
		if st.String() == s {
			return st, nil
		}
	}
	return Absent, fmt.Errorf("the document state %q is unknown: it is one of absent, live, tombstone", s)
}

// Document is one copy of a document. Body is opaque JSON: the bytes the origin
// sent, never re-encoded. A Document is immutable once it is shared.
type Document struct {
	Key   Key
	State State
	Body  []byte
	Stamp Stamp
	// Field is the name of the JSON field the version was read from, "" if the
	// document has none. Versions of different fields are not comparable.
	Field string
	// Pulled is when the body was read from the origin (millisecond precision,
	// zero if unknown, as for values the replaced system wrote).
	Pulled time.Time
	// Provisional marks a truthful copy that could not be stored in Redis
	// (Redis or ZooKeeper was away), so no other process can be held to it.
	Provisional bool
}

// ErrBadID is wrapped by ParseID's errors.
var ErrBadID = errors.New("bad id")

// ParseID reads an id: decimal digits, from 1 to 2^63-1, at most 19 of them.
// A leading zero is refused, so that one document has one spelling.
func ParseID(text string) (int64, error) {
	if id, ok := parseID(text); ok {
		return id, nil
	}
	if len(text) > 32 {
		text = text[:32] + "…"
	}
	return 0, fmt.Errorf("%w %q: an id is a whole number from 1 to %d without leading zeros", ErrBadID, text, int64(1<<63-1))
}

// ParseIDBytes is ParseID for the hit path: it allocates nothing.
func ParseIDBytes(text []byte) (int64, bool) { return parseID(text) }

func parseID[T string | []byte](text T) (int64, bool) {
	if len(text) == 0 || len(text) > 19 || text[0] == '0' {
		return 0, false
	}
	var n uint64
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0') // 19 digits fit 64 bits without a sign
	}
	if n > 1<<63-1 {
		return 0, false
	}
	return int64(n), true
}
