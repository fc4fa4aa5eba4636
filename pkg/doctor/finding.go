package doctor

import (
	"fmt"
	"strings"
)

// Severity says how bad a finding is.
type Severity string

// The severities, from good to bad.
const (
	OK      Severity = "ok"
	Skipped Severity = "skipped" // it could not be checked; Found says because of what
	Warning Severity = "warning" // works now, and will hurt when something else fails or grows
	Failure Severity = "failure" // a promise of eshop does not hold with it
)

// Finding is what one check found. Check is the id, "<area>.<what>", which does
// not change between releases; On is the topic, group or kind it is about, where
// there are several.
type Finding struct {
	Check    string   `json:"check"`
	On       string   `json:"on,omitempty"`
	Severity Severity `json:"severity"`
	Found    string   `json:"found"`
	Why      string   `json:"why,omitempty"`  // what it leads to; of warnings and failures
	Mend     string   `json:"mend,omitempty"` // the command, or the line of a file, that mends it
}

// Area is the part of the id before the dot.
func (f Finding) Area() string {
	area, _, _ := strings.Cut(f.Check, ".")
	return area
}

// Report is all that was found, in the order of the areas and of their checks.
type Report struct {
	Findings []Finding
}

// Count returns how many findings have the severity.
func (r Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// notes collects the findings of one area.
type notes struct {
	area     string
	findings []Finding
}

func (n *notes) add(f Finding) {
	f.Check = n.area + "." + f.Check
	n.findings = append(n.findings, f)
}

func (n *notes) ok(check, format string, args ...any) {
	n.add(Finding{Check: check, Severity: OK, Found: fmt.Sprintf(format, args...)})
}

func (n *notes) skip(because string, checks ...string) {
	for _, check := range checks {
		n.add(Finding{Check: check, Severity: Skipped, Found: because})
	}
}

// bad is a verdict that is neither good nor skipped, before it is known what it
// is about.
type bad struct {
	severity  Severity
	why, mend string
}

func warn(why, mend string) bad { return bad{Warning, why, mend} }
func fail(why, mend string) bad { return bad{Failure, why, mend} }

func (n *notes) say(b bad, check, format string, args ...any) {
	n.add(Finding{Check: check, Severity: b.severity, Found: fmt.Sprintf(format, args...), Why: b.why, Mend: b.mend})
}

// on says of the findings that were added after the first count which thing they
// are about.
func (n *notes) on(count int, thing string) {
	for i := count; i < len(n.findings); i++ {
		n.findings[i].On = thing
	}
}

// some names at most three things of a list and counts the rest.
func some(things []string) string {
	const most = 3
	if len(things) <= most {
		return strings.Join(things, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(things[:most], ", "), len(things)-most)
}
