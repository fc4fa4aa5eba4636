package catalog

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Stamp orders the copies of one document. It is compared as the triple
// (Epoch, Version, Token), most significant first.
//
//   - Epoch is 0 until somebody forces an older document back; then it is the
//     token of the forced write.
//   - Version comes from the origin: milliseconds since 1970 for a time, the
//     plain number otherwise, 0 if the document has none.
//   - Token is the ZooKeeper transaction id under which the document was
//     pulled: taken before the pull, so a higher token saw a later origin.
//
// The zero Stamp is below every other.
type Stamp struct {
	Epoch   int64 `json:"epoch"`
	Version int64 `json:"version"`
	Token   int64 `json:"token"`
}

// Compare returns -1, 0 or +1 as s is below, equal to or above o.
func (s Stamp) Compare(o Stamp) int {
	if c := cmp.Compare(s.Epoch, o.Epoch); c != 0 {
		return c
	}
	if c := cmp.Compare(s.Version, o.Version); c != 0 {
		return c
	}
	return cmp.Compare(s.Token, o.Token)
}

// Less reports whether s is below o.
func (s Stamp) Less(o Stamp) bool { return s.Compare(o) < 0 }

// IsZero reports whether s is the stamp of nothing.
func (s Stamp) IsZero() bool { return s == Stamp{} }

// Max returns the higher of s and o.
func (s Stamp) Max(o Stamp) Stamp {
	if s.Less(o) {
		return o
	}
	return s
}

// String returns "epoch.version.token", which ParseStamp reads.
func (s Stamp) String() string {
	b := make([]byte, 0, 48)
	b = strconv.AppendInt(b, s.Epoch, 10)
	b = append(b, '.')
	b = strconv.AppendInt(b, s.Version, 10)
	b = append(b, '.')
	return string(strconv.AppendInt(b, s.Token, 10))
}

// ParseStamp reads what String wrote. Negative parts are refused.
func ParseStamp(text string) (Stamp, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Stamp{}, fmt.Errorf("the stamp %q is not of the form epoch.version.token", text)
	}
	var n [3]int64
	for i, p := range parts {
		v, err := strconv.ParseInt(p, 10, 64)
		if err != nil || v < 0 {
			return Stamp{}, fmt.Errorf("the stamp %q has a part that is not a number from 0 to 2^63-1: %q", text, p)
		}
		n[i] = v
	}
	return Stamp{Epoch: n[0], Version: n[1], Token: n[2]}, nil
}
