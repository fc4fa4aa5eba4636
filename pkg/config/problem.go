package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one setting that cannot be used.
type Problem struct {
	Setting    string // "--gateway.addr", or a place in the file: "kinds[2].url"
	Value      string // as it was given; empty when there is none
	Source     string // "environment ESHOP_GATEWAY_ADDR", "eshop.yaml:12"; empty for the command line
	Constraint string // what it must be, or what is wrong with it
}

// String returns the problem as one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Setting)
	if p.Value != "" {
		fmt.Fprintf(&b, " %q", redact(p.Value))
	}
	if p.Source != "" {
		fmt.Fprintf(&b, " (%s)", p.Source)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(p.Constraint)
	return b.String()
}

// Problems are all that is wrong with a configuration. It is an error if it is not empty.
type Problems []Problem

// Error lists the problems, one a line.
func (p Problems) Error() string {
	if len(p) == 1 {
		return "1 problem with the settings:\n  " + p[0].String()
	}
	lines := make([]string, 0, len(p)+1)
	lines = append(lines, fmt.Sprintf("%d problems with the settings:", len(p)))
	for _, one := range p {
		lines = append(lines, "  "+one.String())
	}
	return strings.Join(lines, "\n")
}

// Err returns the problems as an error, nil when there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Add appends a problem with a flag, which is named without dashes. Adding the same one again, as
// two users of a setting may, changes nothing.
func (p *Problems) Add(flag, value, constraint string) {
	if one := (Problem{Setting: "--" + flag, Value: value, Constraint: constraint}); !slices.Contains(*p, one) {
		*p = append(*p, one)
	}
}

// AddOther is AddError for what another part finds wrong with the same settings: an error that begins with a flag with
// which there is a problem already says nothing new.
func (p *Problems) AddOther(err error) {
	var others Problems
	others.AddError("", err)
	for _, one := range others {
		flag, _, _ := strings.Cut(strings.TrimSuffix(one.String(), ":"), " ")
		if !strings.HasPrefix(flag, "--") || !p.Names(strings.TrimSuffix(flag[2:], ":")) {
			*p = append(*p, one)
		}
	}
}

// Locate says of each problem in which line of the file, or in which variable, the setting stands, as far as that
// is known and not told yet.
func (s *Set) Locate(loaded Loaded, problems Problems) {
	for i := range problems {
		p := &problems[i]
		if p.Source != "" {
			continue
		}
		if flag, ok := strings.CutPrefix(p.Setting, "--"); ok {
			p.Source = s.places[flag]
			continue
		}
		if subject, constraint, ok := strings.Cut(p.Constraint, ": "); ok && p.Setting == "" && loaded.places[subject] != "" {
			p.Setting, p.Constraint, p.Source = subject, constraint, loaded.places[subject]
			continue
		}
		if flag, rest, ok := strings.Cut(p.Constraint, " "); ok && p.Setting == "" && strings.HasPrefix(flag, "--") {
			if name := strings.TrimSuffix(flag[2:], ":"); s.places[name] != "" {
				p.Setting, p.Constraint, p.Source = "--"+name, rest, s.places[name]
			}
		}
	}
}

// Names reports whether there is a problem with a flag.
func (p Problems) Names(flag string) bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return one.Setting == "--"+flag })
}

// AddError appends every error that errors.Join put into err, each as a problem of its own, and
// nothing when err is nil. Problems within err keep their form.
func (p *Problems) AddError(setting string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			p.AddError(setting, one)
		}
		return
	}
	if others := (Problems)(nil); errors.As(err, &others) {
		*p = append(*p, others...)
		return
	}
	*p = append(*p, Problem{Setting: setting, Constraint: err.Error()})
}
