package roles

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"eshop/pkg/config"
	"eshop/pkg/monitoring"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite what the tests compare with")

// TestREADMEFlags: the tables of flags are what --help says.
func TestREADMEFlags(t *testing.T) { sameInREADME(t, "flags", flagTables(commands())) }

// TestREADMEAlerts: what each alert means and what to do is what its annotations say.
func TestREADMEAlerts(t *testing.T) { sameInREADME(t, "alerts", monitoring.AlertTable()) }

// sameInREADME compares what stands between a part's two markers with what it should be; with -update it
// rewrites it:
//
//	go test ./roles -run TestREADME -update
func sameInREADME(t *testing.T, part, want string) {
	t.Helper()
	const path = "../README.md"
	begin, end := "<!-- "+part+":start -->", "<!-- "+part+":end -->"
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("ESHOP_TEST_STRICT") == "" {
		t.Skip("there is no README.md")
	} else if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	between, tail, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s lacks the lines %s and %s", path, begin, end)
	}
	want = "\n" + want
	if between == want {
		return
	}
	if !*update {
		t.Fatalf("the %s differ; rewrite them with: go test ./roles -run TestREADME -update\n(-README +ours)\n%s", part, cmp.Diff(between, want))
	}
	if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// flagTables writes one table for each area, in the order of the commands' own help.
func flagTables(all []command) string {
	type entry struct {
		config.Row
		defaults []string // "127.0.0.1:8080 (all)", one for each different default
		commands []string
	}
	var entries []*entry
	index := make(map[string]*entry)
	var areas []string
	for _, c := range all {
		if c.hidden {
			continue
		}
		set, _, _ := c.flags()
		for _, row := range set.Rows() {
			e := index[row.Area+row.Name]
			if e == nil {
				e = &entry{Row: row}
				index[row.Area+row.Name] = e
				entries = append(entries, e)
			}
			if !slices.Contains(areas, row.Area) {
				areas = append(areas, row.Area)
			}
			e.commands = append(e.commands, c.name)
			e.defaults = append(e.defaults, row.Default)
		}
	}
	var b strings.Builder
	for _, area := range areas {
		fmt.Fprintf(&b, "\n**%s**\n\n| flag | default | commands | meaning |\n| --- | --- | --- | --- |\n", area)
		for _, e := range entries {
			if e.Area == area {
				fmt.Fprintf(&b, "| `--%s`%s | %s | %s | %s |\n", e.Name, reloadSign(e.Row), defaultCell(e.defaults, e.commands), strings.Join(e.commands, ", "), strings.ReplaceAll(e.Usage, "|", "\\|"))
			}
		}
	}
	return b.String() + "\n"
}

// reloadSign marks what a running process takes over when it reloads.
func reloadSign(row config.Row) string {
	if row.Reload {
		return " ↻"
	}
	return ""
}

// defaultCell names the command with each default when they are not all the same.
func defaultCell(defaults, commands []string) string {
	if len(slices.Compact(slices.Clone(defaults))) == 1 {
		return code(defaults[0])
	}
	var parts []string
	for i, d := range defaults {
		parts = append(parts, fmt.Sprintf("%s (%s)", code(d), commands[i]))
	}
	return strings.Join(parts, ", ")
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// TestTablesAndHelpAgree: every row of the tables stands in the help of each command it names.
func TestTablesAndHelpAgree(t *testing.T) {
	for _, c := range commands() {
		set, _, _ := c.flags()
		help := c.help(set)
		for _, row := range set.Rows() {
			if row.Reload != slices.Contains(reloadable(), row.Name) {
				t.Errorf("eshop %s: --%s reloads: %v", c.name, row.Name, row.Reload)
			}
			if !strings.Contains(help, "--"+row.Name+" ") || !strings.Contains(help, row.Usage) || !strings.Contains(help, row.Area+":\n") {
				t.Errorf("eshop %s --help does not show --%s as the table does", c.name, row.Name)
			}
		}
	}
}

// TestSettingNames: no two settings share an environment variable, and no setting is a group of others,
// which a nested file could not express. A setting means the same in every command.
func TestSettingNames(t *testing.T) {
	variables := make(map[string]string)
	usages := make(map[string]string)
	known := knownSettings(commands())
	for _, name := range known {
		if other := variables[config.EnvName(name)]; other != "" {
			t.Errorf("--%s and --%s are both set by %s", name, other, config.EnvName(name))
		}
		variables[config.EnvName(name)] = name
		for _, other := range known {
			if strings.HasPrefix(other, name+".") {
				t.Errorf("--%s cannot be a setting and the group of --%s", name, other)
			}
		}
	}
	for _, c := range commands() {
		set, _, cmd := c.flags()
		settings := set.Names()
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(settings, f.Name) {
				return
			}
			if seen, twice := usages[f.Name]; twice && seen != f.Usage {
				t.Errorf("--%s means %q and %q", f.Name, seen, f.Usage)
			}
			usages[f.Name] = f.Usage
		})
	}
}
