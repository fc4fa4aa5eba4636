package catalog

import (
	"cmp"
	"fmt"
	"strconv"
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
func (s Stamp) String() string { return string(s.Append(make([]byte, 0, 48))) }

// Append appends what String returns.
func (s Stamp) Append(b []byte) []byte {
	b = append(strconv.AppendInt(b, s.Epoch, 10), '.')
	b = append(strconv.AppendInt(b, s.Version, 10), '.')
	return strconv.AppendInt(b, s.Token, 10)
}

// ParseStamp reads what String wrote. Negative parts are refused.
func ParseStamp(text string) (Stamp, error) {
	s, ok := parseStamp(text)
	if !ok {
		return Stamp{}, fmt.Errorf("the stamp %q is not of the form epoch.version.token, three numbers from 0 to 2^63-1", text)
	}
	return s, nil
}

// ParseStampBytes is ParseStamp for the hop between gateways: it allocates nothing.
func ParseStampBytes(text []byte) (Stamp, bool) { return parseStamp(text) }

func parseStamp[T string | []byte](text T) (Stamp, bool) {
	var part [3]uint64
	n, digits := 0, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '.':
			if n++; n == len(part) || digits == 0 {
				return Stamp{}, false
			}
			digits = 0
		case c < '0' || c > '9' || digits == 19:
			return Stamp{}, false
		default:
			part[n] = part[n]*10 + uint64(c-'0') // 19 digits fit 64 bits without a sign
			digits++
		}
	}
	if n != len(part)-1 || digits == 0 || max(part[0], part[1], part[2]) > 1<<63-1 {
		return Stamp{}, false
	}
	return Stamp{Epoch: int64(part[0]), Version: int64(part[1]), Token: int64(part[2])}, true
}
