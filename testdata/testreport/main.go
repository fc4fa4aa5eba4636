// Testreport reads the output of go test -json and prints what go test without -v would print: the output of failed tests,
// and one closing line for each package. Skipped tests are listed with their reason; with -strict they are a failure, since
// a check that skips has not checked.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is one line of go test -json, as "go doc test2json" describes it.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Output     string
}

// name tells tests of different packages apart; Test is empty for what the package itself prints.
type name struct{ Package, Test string }

type report struct {
	out     io.Writer
	kept    map[name][]string // output of what has not ended yet, and of packages
	skipped []string
	passed  int
	failed  int
	broken  bool // a package failed: a test in it, its build, or its end
}

func main() {
	strict := flag.Bool("strict", false, "fail when a test was skipped")
	flag.Parse()
	r := report{out: os.Stdout, kept: map[name][]string{}}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err != nil {
			break
		}
	}
	for _, s := range r.skipped {
		fmt.Println("SKIP", s)
	}
	fmt.Printf("%d tests passed, %d failed, %d skipped\n", r.passed, r.failed, len(r.skipped))
	if r.broken || r.failed > 0 || *strict && len(r.skipped) > 0 {
		os.Exit(1)
	}
}

// line takes one line; what is no event is passed on, it is the go command's own message.
func (r *report) line(line string) {
	var e event
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(r.out, line)
		return
	}
	n := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		if e.Test == "" && closing(e.Output) {
			fmt.Fprint(r.out, e.Output)
			return
		}
		r.kept[n] = append(r.kept[n], e.Output)
	case "pass":
		if e.Test != "" {
			r.passed++
		}
		delete(r.kept, n)
	case "skip":
		if e.Test != "" {
			r.skipped = append(r.skipped, fmt.Sprintf("%s %s: %s", e.Package, e.Test, r.reason(n)))
		}
		delete(r.kept, n)
	case "build-fail":
		r.broken = true
	case "fail":
		if e.Test == "" {
			r.broken = true
		} else {
			r.failed++
		}
		fmt.Fprint(r.out, strings.Join(r.kept[n], ""))
		delete(r.kept, n)
	}
}

// closing tells go test's last line about a package from what the package printed.
func closing(line string) bool {
	for _, p := range []string{"ok  \t", "FAIL\t", "?   \t"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return strings.HasPrefix(line, "\t") && strings.Contains(line, "coverage:")
}

// reason is the line with which the test was skipped.
func (r *report) reason(n name) string {
	reason := "no reason given"
	for _, line := range r.kept[n] {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			reason = line
		}
	}
	return reason
}
