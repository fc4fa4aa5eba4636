package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	var out strings.Builder
	r := report{out: &out, kept: map[name][]string{}}
	for _, line := range []string{
		`{"Action":"start","Package":"p"}`,
		`{"Action":"output","Package":"p","Test":"A","Output":"=== RUN   A\n"}`,
		`{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:1: fine\n"}`,
		`{"Action":"pass","Package":"p","Test":"A"}`,
		`{"Action":"output","Package":"p","Test":"B","Output":"    b_test.go:1: no server\n"}`,
		`{"Action":"output","Package":"p","Test":"B","Output":"--- SKIP: B (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"B"}`,
		`{"Action":"output","Package":"p","Test":"C","Output":"    c_test.go:1: got 1, want 2\n"}`,
		`{"Action":"fail","Package":"p","Test":"C"}`,
		`{"Action":"output","Package":"p","Output":"FAIL\tp\t1.0s\n"}`,
		`{"Action":"fail","Package":"p"}`,
		`{"Action":"output","Package":"q","Output":"?   \tq\t[no test files]\n"}`,
		`{"Action":"skip","Package":"q"}`,
		`{"Action":"build-output","ImportPath":"r","Output":"r.go:1: broken\n"}`,
		`no event`,
	} {
		r.line(line + "\n")
	}
	want := "    c_test.go:1: got 1, want 2\nFAIL\tp\t1.0s\n?   \tq\t[no test files]\nr.go:1: broken\nno event\n"
	if got := out.String(); got != want {
		t.Errorf("output: got %q, want %q", got, want)
	}
	if r.passed != 1 || r.failed != 1 || !r.broken {
		t.Errorf("got %d passed, %d failed, broken %t, want 1, 1, true", r.passed, r.failed, r.broken)
	}
	if got, want := strings.Join(r.skipped, ";"), "p B: b_test.go:1: no server"; got != want {
		t.Errorf("skipped: got %q, want %q", got, want)
	}
}
