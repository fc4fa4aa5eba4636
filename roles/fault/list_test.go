package fault_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the list of scenarios in doc.go anew")

func scenarios() []scenario {
	return slices.Concat(redisScenarios(), kafkaScenarios(), zookeeperScenarios(), originScenarios(), fleetScenarios(), pairScenarios())
}

// TestDocListsScenarios keeps the list at the end of doc.go true; -update writes it.
func TestDocListsScenarios(t *testing.T) {
	var list strings.Builder
	seen := map[string]bool{}
	for i, s := range scenarios() {
		if seen[s.name] {
			t.Errorf("two scenarios are named %s", s.name)
		}
		seen[s.name] = true
		name := s.name
		if s.ci {
			name += " *"
		}
		if i%2 == 0 {
			list.WriteString("//\t" + name)
		} else {
			list.WriteString(strings.Repeat(" ", max(1, 48-len([]rune(lastLine(list.String()))))) + name + "\n")
		}
	}
	if !strings.HasSuffix(list.String(), "\n") {
		list.WriteString("\n")
	}
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	const head = "in the short form too.\n"
	before, _, ok := strings.Cut(string(text), head)
	want := before + head + "//\n" + list.String() + "package fault\n"
	if !ok {
		t.Fatalf("doc.go has no line that ends with %q", head)
	}
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatal("the list of scenarios in doc.go is not up to date: run go test ./roles/fault -run TestDoc -update")
	}
	if err := os.WriteFile("doc.go", []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func lastLine(text string) string { return text[strings.LastIndex(text, "\n")+1:] }
