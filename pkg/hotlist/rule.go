package hotlist

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Rule says when a key is hot, data of the node rule.
type Rule struct {
	Floor  int64    `json:"floor"`  // hits in the window, at least
	Factor float64  `json:"factor"` // times the mean of the coldest 95 % of the keys, at least
	Cool   float64  `json:"cool"`   // a hot key cools below this share of what makes it hot
	Hold   Duration `json:"hold"`   // ... once it was below for so long
	Window Duration `json:"window"` // the length of the window
	Top    int      `json:"top"`    // length of a partition's top list
	Max    int      `json:"max"`    // hot keys of a partition, at most
}

// Limits of a rule.
const (
	// MaxTop keys make a top list that is always below MaxTopBytes: a pair has
	// at most 42 bytes.
	MaxTop = 20_000
	// Slice is what the window is a multiple of.
	Slice = 100 * time.Millisecond

	// MaxWindow is the longest window of a rule.
	MaxWindow = 10 * time.Minute

	minWindow = time.Second
	maxHold   = time.Hour
	maxFactor = 1e6
)

// Duration is a time.Duration whose JSON is text, "5s".
type Duration time.Duration

// String returns the text of time.Duration.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText returns the text of time.Duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// DefaultRule is the rule of a shop that has none of its own.
func DefaultRule() Rule {
	return Rule{Floor: 200, Factor: 10, Cool: 0.5, Hold: Duration(5 * time.Second), Window: Duration(10 * time.Second), Top: 2000, Max: 256}
}

// Validate returns every problem: the value and its constraint.
func (r Rule) Validate() error {
	var problems []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	require(r.Floor >= 1, "floor is %d: at least 1 is needed", r.Floor)
	require(r.Factor >= 0 && r.Factor <= maxFactor, "factor is %v: it is 0 to %v", r.Factor, maxFactor)
	require(r.Cool > 0 && r.Cool <= 1, "cool is %v: it is above 0 and at most 1", r.Cool)
	require(r.Hold >= 0 && time.Duration(r.Hold) <= maxHold, "hold is %v: it is 0s to %v", r.Hold, maxHold)
	window := time.Duration(r.Window)
	require(window >= minWindow && window <= MaxWindow && window%Slice == 0, "window is %v: it is a multiple of %v from %v to %v", r.Window, Slice, minWindow, MaxWindow)
	require(r.Top >= 1 && r.Top <= MaxTop, "top is %d: it is 1 to %d", r.Top, MaxTop)
	require(r.Max >= 1 && r.Max <= MaxHot, "max is %d: it is 1 to %d", r.Max, MaxHot)
	return errors.Join(problems...)
}

// encodeRule returns the node's data if the rule is valid.
func encodeRule(r Rule) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// parseRule reads the node's data. A field that is missing has its default.
func parseRule(data []byte) (Rule, error) {
	r := DefaultRule()
	if err := decode(data, &r); err != nil {
		return Rule{}, err
	}
	return r, r.Validate()
}
