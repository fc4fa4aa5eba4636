package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// titles are the areas, in the order of the report.
func titles() [][2]string {
	return [][2]string{{"settings", "Settings and this machine"}, {"redis", "Redis Cluster"}, {"kafka", "Kafka"},
		{"zookeeper", "ZooKeeper"}, {"origin", "Origin"}, {"canary", "Canary: written, announced, read back, removed"}}
}

// Table writes the report for people: by area, what is bad first, with what it
// leads to and what mends it. Good findings of one check share a line.
func (r Report) Table(w io.Writer) error {
	var b strings.Builder
	for _, t := range titles() {
		var own []Finding
		for _, f := range r.Findings {
			if f.Area() == t[0] {
				own = append(own, f)
			}
		}
		if len(own) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s\n", t[1])
		for _, s := range []Severity{Failure, Warning, OK, Skipped} {
			lines(&b, own, s)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s, %s, %d ok, %d skipped\n", Times(r.Count(Failure), "failure"), Times(r.Count(Warning), "warning"), r.Count(OK), r.Count(Skipped))
	_, err := io.WriteString(w, b.String())
	return err
}

func lines(b *strings.Builder, own []Finding, s Severity) {
	line := func(what, found string) { fmt.Fprintf(b, "  %-8s %-15s %s\n", s, what, found) }
	var done []string
	for i, f := range own {
		if f.Severity != s {
			continue
		}
		_, check, _ := strings.Cut(f.Check, ".")
		switch s {
		case OK:
			if slices.Contains(done, check) {
				continue
			}
			done = append(done, check)
			line(check, strings.Join(goods(own[i:], f.Check), "; "))
		case Skipped:
			if slices.Contains(done, f.Found) {
				continue
			}
			done = append(done, f.Found)
			line("", strings.Join(skippedBy(own[i:], f.Found), ", ")+": "+f.Found)
		default:
			if slices.Contains(done, f.Check+f.Found) {
				continue
			}
			done = append(done, f.Check+f.Found)
			things := alike(own[i:], f)
			line(check, strings.TrimPrefix(strings.Join(things, ", ")+": "+f.Found, ": "))
			if f.Why != "" {
				fmt.Fprintf(b, "           why:  %s\n", f.Why)
			}
			if len(things) > 1 && f.Mend != "" {
				f.Mend += "    # and so for the others"
			}
			if f.Mend != "" {
				fmt.Fprintf(b, "           mend: %s\n", f.Mend)
			}
		}
	}
}

// Times is a number with its noun: "1 failure", "2 failures".
func Times(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// alike are the things of which one check found the same.
func alike(own []Finding, as Finding) (things []string) {
	for _, f := range own {
		if f.Check == as.Check && f.Severity == as.Severity && f.Found == as.Found && f.On != "" {
			things = append(things, f.On)
		}
	}
	return things
}

// goods are the good findings of one check.
func goods(own []Finding, check string) (found []string) {
	for _, f := range own {
		if f.Check == check && f.Severity == OK {
			found = append(found, strings.TrimPrefix(f.On+": "+f.Found, ": "))
		}
	}
	return found
}

// skippedBy are the checks that were skipped for one reason.
func skippedBy(own []Finding, because string) (checks []string) {
	for _, f := range own {
		_, check, _ := strings.Cut(f.Check, ".")
		if f.On != "" {
			check += " of " + f.On
		}
		if f.Severity == Skipped && f.Found == because {
			checks = append(checks, check)
		}
	}
	return checks
}

// JSON writes the report for programs; see the package comment for its form.
func (r Report) JSON(w io.Writer) error {
	findings := r.Findings
	if findings == nil {
		findings = []Finding{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false) // commands have & and >
	return e.Encode(struct {
		Failures int       `json:"failures"`
		Warnings int       `json:"warnings"`
		OK       int       `json:"ok"`
		Skipped  int       `json:"skipped"`
		Findings []Finding `json:"findings"`
	}{r.Count(Failure), r.Count(Warning), r.Count(OK), r.Count(Skipped), findings})
}
