package deadletter

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxMarks is how many marks one partition may have.
const MaxMarks = 1000

// What was done about a letter.
const (
	Open      = "open"
	Replayed  = "replayed"
	Discarded = "discarded"
)

// ErrFull is wrapped by the error of a change above MaxMarks.
var ErrFull = errors.New("there are too many marks")

// Mark says that the letters with the offsets From to To are dealt with.
type Mark struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Did  string `json:"did"`
	By   string `json:"by"`
	At   int64  `json:"at"` // unix ms
}

// skew is how far the clocks of two machines may be apart.
const skew = time.Minute

// covers reports whether the mark was made for a record of that time.
func (m Mark) covers(offset int64, written time.Time) bool {
	return m.From <= offset && offset <= m.To && !written.After(time.UnixMilli(m.At).Add(skew))
}

// marks are those of one partition, by offset, none of which overlap.
type marks struct {
	Marks []Mark `json:"marks"`
}

func parseMarks(data []byte) (marks, error) {
	var m marks
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("read the marks of dead letters: %w", err)
	}
	last := int64(-1)
	for _, k := range m.Marks {
		if k.From <= last || k.To < k.From || k.Did != Replayed && k.Did != Discarded {
			return m, fmt.Errorf("read the marks of dead letters: %+v is none, or in the wrong place", k)
		}
		last = k.To
	}
	return m, nil
}

// of returns the mark that a record has.
func (m marks) of(offset int64, written time.Time) (Mark, bool) {
	i, _ := slices.BinarySearchFunc(m.Marks, offset, func(k Mark, at int64) int { return cmp.Compare(k.To, at) })
	if i == len(m.Marks) || !m.Marks[i].covers(offset, written) {
		return Mark{}, false
	}
	return m.Marks[i], true
}

// within counts the offsets from <= o < to that have a mark.
func (m marks) within(from, to int64) (n int64) {
	for _, k := range m.Marks {
		n += max(0, min(k.To+1, to)-max(k.From, from))
	}
	return n
}

// with returns the marks and a new one, which holds for all its offsets, without
// what is below the oldest record.
func (m marks) with(k Mark, oldest int64) (marks, error) {
	var all []Mark
	for _, old := range m.Marks {
		if before := (Mark{old.From, min(old.To, k.From-1), old.Did, old.By, old.At}); before.From <= before.To {
			all = append(all, before)
		}
		if after := (Mark{max(old.From, k.To+1), old.To, old.Did, old.By, old.At}); after.From <= after.To {
			all = append(all, after)
		}
	}
	all = append(all, k)
	slices.SortFunc(all, func(a, b Mark) int { return cmp.Compare(a.From, b.From) })
	out := marks{Marks: all[:0]}
	for _, next := range all {
		if next.To < oldest {
			continue
		}
		if n := len(out.Marks); n > 0 {
			if last := &out.Marks[n-1]; last.To+1 == next.From && last.Did == next.Did && last.By == next.By {
				last.To, last.At = next.To, max(last.At, next.At)
				continue
			}
		}
		out.Marks = append(out.Marks, next)
	}
	if len(out.Marks) > MaxMarks {
		return m, fmt.Errorf("%w: %d for one partition, at most %d are allowed: discard the oldest letters up to one offset first", ErrFull, len(out.Marks), MaxMarks)
	}
	return out, nil
}
