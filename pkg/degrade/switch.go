package degrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of what is published.
const (
	// MaxFor is the longest time a switch is set for; MinFor the shortest.
	MaxFor, MinFor = 24 * time.Hour, time.Second
	// MaxSwitches is how many there may be.
	MaxSwitches = 256
	// MaxBy is the length in bytes of an author's name.
	MaxBy = 256
	// maxNode is the size of a node's data in bytes.
	maxNode = 4 << 10
)

// Every is the kind that stands for all kinds.
const Every = "*"

// Modes is a set of modes. The zero value is the empty set: nothing is degraded.
type Modes uint8

// The modes. The package's comment says what they mean.
const (
	NoOrigin Modes = 1 << iota
	StaleOnly
)

// All lists the modes one by one.
func All() []Modes { return []Modes{NoOrigin, StaleOnly} }

// Has reports whether the set has a mode.
func (m Modes) Has(mode Modes) bool { return m&mode != 0 }

// String is the modes' names, joined by a plus sign; "" for none.
func (m Modes) String() string {
	switch m & (NoOrigin | StaleOnly) {
	case NoOrigin:
		return "no-origin"
	case StaleOnly:
		return "stale-only"
	case NoOrigin | StaleOnly:
		return "no-origin+stale-only"
	}
	return ""
}

// ParseMode reads the name of one mode.
func ParseMode(text string) (Modes, error) {
	for _, m := range All() {
		if text == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("the mode %.40q is none: it is %v or %v", text, NoOrigin, StaleOnly)
}

// Switch is one mode for one kind, data of the node degrade/<kind>.<mode>.
type Switch struct {
	Kind string // the name of a kind, or Every
	Mode Modes  // one
	By   string
	// Since and Until by the clock of the process that set it, unix ms.
	Since, Until int64
}

// Length is how long the switch was set for.
func (s Switch) Length() time.Duration { return time.Duration(s.Until-s.Since) * time.Millisecond }

func (s Switch) node() string { return s.Kind + "." + s.Mode.String() }

// data is the form of a node.
type data struct {
	By    string `json:"by"`
	Since int64  `json:"since"`
	Until int64  `json:"until"`
}

// check is the one list of what a switch must be.
func (s Switch) check() error {
	switch {
	case s.Kind != Every && !isKind(s.Kind):
		return fmt.Errorf("%.40q is not the name of a kind", s.Kind)
	case len(s.By) > MaxBy:
		return fmt.Errorf("the name %.64q… has %d bytes, at most %d are allowed", s.By, len(s.By), MaxBy)
	case s.Since <= 0 || s.Until <= 0 || s.Until < s.Since || s.Length() < MinFor || s.Until-s.Since > MaxFor.Milliseconds():
		return fmt.Errorf("a switch is set for %v to %v", MinFor, MaxFor)
	}
	return nil
}

// isKind has the form of the catalogue's names.
func isKind(name string) bool {
	return len(name) > 0 && len(name) <= 32 && name[0] >= 'a' && name[0] <= 'z' &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func encode(s Switch) ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(data{s.By, s.Since, s.Until})
	if err == nil && len(b) > maxNode { // escapes
		err = fmt.Errorf("the name of the author takes %d bytes in JSON, at most %d are allowed", len(b), maxNode)
	}
	return b, err
}

// parse reads a node.
func parse(name string, b []byte) (Switch, error) {
	kind, mode, ok := strings.Cut(name, ".")
	if !ok {
		return Switch{}, errors.New("the node's name is not kind.mode")
	}
	m, err := ParseMode(mode)
	if err != nil {
		return Switch{}, err
	}
	if len(b) > maxNode {
		return Switch{}, fmt.Errorf("it has %d bytes, at most %d are allowed", len(b), maxNode)
	}
	var d data
	if err := json.Unmarshal(b, &d); err != nil {
		return Switch{}, err
	}
	s := Switch{Kind: kind, Mode: m, By: d.By, Since: d.Since, Until: d.Until}
	return s, s.check()
}
