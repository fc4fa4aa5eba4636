package config

import (
	"slices"
	"strings"

	"eshop/pkg/catalog"

	"github.com/spf13/pflag"
)

// EnvPrefix begins the name of every environment variable that is read.
const EnvPrefix = "ESHOP_"

// Sources are where values come from that the command line leaves open.
type Sources struct {
	Environ  []string // as os.Environ returns it
	FileFlag string   // the flag that names the YAML file, which the environment may set too; empty: no file is read
	Known    []string // the settings of all commands, so that one file and one environment serve them all
	Others   []*Set   // the commands that have these settings: what the file says to them is checked too
}

// Loaded is what is configured beside the flags.
type Loaded struct {
	Kinds  []catalog.Kind     // the built-in kinds with the file's changes, then the file's own
	Pages  []catalog.PageType // likewise
	Unused []string           // environment variables with EnvPrefix that belong to no flag, sorted: a likely slip
	// Overruled are settings of the file that the command line or the environment sets too, to something
	// else: the file's word does not count.
	Overruled []string

	places map[string]string // kind "x", page "x" → where the file has it
}

// Load fills the flags that the command line has not set, after it was parsed, and reads the file's
// sections. It returns every problem there is, those of the command line included; the values are
// usable only without any.
func (s *Set) Load(src Sources) (Loaded, Problems) {
	s.each(func(f *pflag.Flag) {
		if f.Changed {
			s.origins[f.Name] = "flag"
		}
	})
	unused := s.loadEnviron(src)
	loaded := Loaded{Kinds: catalog.DefaultKinds(), Pages: catalog.DefaultPages(), Unused: unused, places: make(map[string]string)}
	if f := s.flags.Lookup(src.FileFlag); f != nil && f.Value.String() != "" {
		s.loadFile(f.Value.String(), src, &loaded)
	}
	return loaded, s.problems
}

// EnvName returns the environment variable of a flag: gateway.admin-addr is ESHOP_GATEWAY_ADMIN_ADDR.
func EnvName(flag string) string {
	return EnvPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(flag))
}

// loadEnviron sets flags from the environment and returns the variables that belong to none.
func (s *Set) loadEnviron(src Sources) []string {
	belongs := make(map[string]bool)
	for _, name := range src.Known {
		belongs[EnvName(name)] = true
	}
	given := make(map[string]string)
	var unused []string
	for _, entry := range src.Environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) || text == "" {
			continue
		}
		given[name] = text
	}
	s.each(func(f *pflag.Flag) {
		if ofInvocation(f) && f.Name != src.FileFlag {
			return
		}
		name := EnvName(f.Name)
		belongs[name] = true
		if text, ok := given[name]; ok && s.free(f) {
			s.set(f, text, "environment", "environment "+name)
		}
	})
	for name := range given {
		if !belongs[name] {
			unused = append(unused, name)
		}
	}
	slices.Sort(unused)
	return unused
}

// all lists every flag.
func (s *Set) all() []string {
	var names []string
	s.each(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// free reports whether no source of higher precedence has set the flag.
func (s *Set) free(f *pflag.Flag) bool {
	_, taken := s.origins[f.Name]
	return !taken
}

// set gives a flag a value from a named source; problems are collected as on the command line.
func (s *Set) set(f *pflag.Flag, text, origin, source string) {
	s.source = source
	defer func() { s.source = "" }()
	s.origins[f.Name], s.places[f.Name] = origin, source
	if err := f.Value.Set(text); err != nil {
		s.problems = append(s.problems, Problem{Setting: "--" + f.Name, Value: text, Source: source, Constraint: err.Error()})
	}
}

// CheckArgs adds a problem for every word of the command line that is no flag of the set: unknown
// flags, with the known one that is nearest, and words that are no flags at all when none are allowed.
// Pflag must be told to let unknown flags pass.
func (s *Set) CheckArgs(args []string, wordsAllowed bool) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--" || arg == "-" || !strings.HasPrefix(arg, "-"):
			if !wordsAllowed {
				s.problems = append(s.problems, Problem{Setting: arg, Constraint: "is not a flag; this command takes flags only"})
			}
			if arg == "--" {
				return
			}
		case !strings.HasPrefix(arg, "--"):
			if s.flags.ShorthandLookup(arg[1:2]) == nil && arg != "-h" {
				s.problems = append(s.problems, Problem{Setting: arg, Constraint: "is no flag; flags begin with two dashes"})
			}
		default:
			name, _, hasValue := strings.Cut(arg[2:], "=")
			f := s.flags.Lookup(name)
			if f == nil {
				if name != "help" {
					s.problems = append(s.problems, Problem{Setting: "--" + name, Constraint: "is no flag of this command" + meant("--", name, s.all())})
				}
				// As pflag does: the word after an unknown flag counts as its value.
				if !hasValue && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
					i++
				}
				continue
			}
			if !hasValue && f.NoOptDefVal == "" {
				i++ // the next word is the value, whatever it looks like
			}
		}
	}
}
