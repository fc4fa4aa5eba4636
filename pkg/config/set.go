package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Set is the schema of one command: a flag set that knows how its flags belong together, and that
// collects bad values instead of stopping at the first.
type Set struct {
	flags    *pflag.FlagSet
	area     string
	areas    []string
	problems Problems
	source   string            // where the value comes from that is being set; "" while the command line is parsed
	origins  map[string]string // flag → where its value came from
	places   map[string]string // flag → the same as problems name it: the file's line, the variable
}

// areaKey marks a flag with the area it belongs to, invocationKey one that OfInvocation named, secretKey
// one that Secret defined, reloadKey one that Reloadable named, rereadKey one that Reread named.
const (
	areaKey       = "eshop_area"
	invocationKey = "eshop_invocation"
	secretKey     = "eshop_secret"
	reloadKey     = "eshop_reload"
	rereadKey     = "eshop_reread"
)

// Wrap returns a schema whose flags are defined on flags, which is parsed as usual.
func Wrap(flags *pflag.FlagSet) *Set {
	flags.SortFlags = false
	return &Set{flags: flags, origins: make(map[string]string), places: make(map[string]string)}
}

// Area names the group in which help shows the flags defined from here on.
func (s *Set) Area(title string) {
	s.area = title
	if !slices.Contains(s.areas, title) {
		s.areas = append(s.areas, title)
	}
}

// Names lists the settings in the order they were defined: all flags but those of one
// invocation.
func (s *Set) Names() []string {
	var names []string
	s.each(func(f *pflag.Flag) {
		if !ofInvocation(f) {
			names = append(names, f.Name)
		}
	})
	return names
}

// each visits the flags that were defined through the set; the flag set may hold others, like help.
func (s *Set) each(visit func(*pflag.Flag)) {
	s.flags.VisitAll(func(f *pflag.Flag) {
		if _, ours := f.Value.(interface{ ofSet() }); ours {
			visit(f)
		}
	})
}

// Origin says where the value of a flag came from: "flag", "environment", "file" or "default".
func (s *Set) Origin(name string) string {
	if from, ok := s.origins[name]; ok {
		return from
	}
	return "default"
}

// value makes a pflag.Value of any type with a parser and a formatter.
type value[T any] struct {
	set    *Set
	name   string
	target *T
	parse  func(string) (T, error) // its error is the constraint
	format func(T) string
	kind   string
}

// Set never fails: a bad value becomes a problem of the set, so that parsing goes on to the next.
func (v *value[T]) Set(text string) error {
	parsed, err := v.parse(text)
	if err != nil {
		v.set.problems = append(v.set.problems, Problem{
			Setting: "--" + v.name, Value: text, Source: v.set.source, Constraint: err.Error(),
		})
		return nil
	}
	*v.target = parsed
	return nil
}

// check returns the constraint that a text would break.
func (v *value[T]) check(text string) error {
	_, err := v.parse(text)
	return err
}

// normal returns a good text in the form that String has.
func (v *value[T]) normal(text string) string {
	parsed, err := v.parse(text)
	if err != nil {
		return text
	}
	return v.format(parsed)
}

// String returns the value in the form Set reads.
func (v *value[T]) String() string {
	if v.target == nil { // pflag asks the zero value
		return ""
	}
	return v.format(*v.target)
}

func (v *value[T]) ofSet() {}

// Type is the placeholder that help shows for the value.
func (v *value[T]) Type() string { return v.kind }

func add[T any](s *Set, target *T, name, kind string, def T, usage string, parse func(string) (T, error), format func(T) string) *pflag.Flag {
	*target = def
	f := s.flags.VarPF(&value[T]{set: s, name: name, target: target, parse: parse, format: format, kind: kind}, name, "", usage)
	if s.area != "" {
		f.Annotations = map[string][]string{areaKey: {s.area}}
	}
	return f
}

func plain(text string) string { return text }

// Text defines a flag for any text.
func (s *Set) Text(target *string, name, kind, def, usage string) {
	add(s, target, name, kind, def, usage, func(t string) (string, error) { return t, nil }, plain)
}

// Secret defines a flag that names a file which holds a secret and nothing else; see ReadSecret.
func (s *Set) Secret(target *string, name, usage string) {
	f := add(s, target, name, "file", "", usage, func(t string) (string, error) { return t, nil }, plain)
	annotate(f, secretKey)
}

// Checked defines a flag for text that has a form of its own; the error of check is the constraint.
func (s *Set) Checked(target *string, name, kind, def, usage string, check func(string) error) {
	parse := func(t string) (string, error) {
		t = strings.TrimSpace(t)
		return t, check(t)
	}
	add(s, target, name, kind, def, usage, parse, plain)
}

// Words defines a flag for a comma-separated list of words.
func (s *Set) Words(target *[]string, name, kind, usage string) {
	parse := func(t string) ([]string, error) {
		var words []string
		for word := range strings.SplitSeq(t, ",") {
			if word = strings.TrimSpace(word); word != "" {
				words = append(words, word)
			}
		}
		return words, nil
	}
	add(s, target, name, kind, nil, usage, parse, func(w []string) string { return strings.Join(w, ",") })
}

// Choice defines a flag that takes one of a few words; upper and lower case are the same.
func (s *Set) Choice(target *string, name, def string, words []string, usage string) {
	parse := func(t string) (string, error) {
		if word := strings.ToLower(strings.TrimSpace(t)); slices.Contains(words, word) {
			return word, nil
		}
		return "", fmt.Errorf("must be one of %s", strings.Join(words, ", "))
	}
	add(s, target, name, strings.Join(words, "|"), def, usage, parse, plain)
}

// Switch defines a flag that is on or off; naming it without a value turns it on.
func (s *Set) Switch(target *bool, name string, def bool, usage string) {
	parse := func(t string) (bool, error) {
		b, err := strconv.ParseBool(strings.TrimSpace(t))
		if err != nil {
			return false, fmt.Errorf("must be true or false")
		}
		return b, nil
	}
	add(s, target, name, "bool", def, usage, parse, strconv.FormatBool).NoOptDefVal = "true"
}

// Whole defines a flag for a whole number from low to high.
func (s *Set) Whole(target *int, name string, def, low, high int, usage string) {
	parse := func(t string) (int, error) {
		n, err := strconv.Atoi(strings.TrimSpace(t))
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		return n, nil
	}
	add(s, target, name, "n", def, usage, parse, strconv.Itoa)
}

// Number defines a flag for a decimal number of at least low.
func (s *Set) Number(target *float64, name string, def, low float64, usage string) {
	write := func(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }
	parse := func(t string) (float64, error) {
		n, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) || n < low {
			return 0, fmt.Errorf("must be a number of at least %s", write(low))
		}
		return n, nil
	}
	add(s, target, name, "number", def, usage, parse, write)
}

// Bytes defines a flag for a size of at least low bytes.
func (s *Set) Bytes(target *int64, name string, def, low int64, usage string) {
	parse := func(t string) (int64, error) {
		n, err := ParseBytes(t)
		if err == nil && n < low {
			err = fmt.Errorf("must be at least %s", FormatBytes(low))
		}
		return n, err
	}
	add(s, target, name, "size", def, usage, parse, FormatBytes)
}

// Duration defines a flag for a duration of at least low.
func (s *Set) Duration(target *time.Duration, name string, def, low time.Duration, usage string) {
	parse := func(t string) (time.Duration, error) {
		d, err := ParseDuration(t)
		if err == nil && d < low {
			err = fmt.Errorf("must be at least %s", FormatDuration(low))
		}
		return d, err
	}
	add(s, target, name, "duration", def, usage, parse, FormatDuration)
}

// Range defines a flag for a range of durations, from which its user draws at random.
func (s *Set) Range(target *DurationRange, name string, def DurationRange, low time.Duration, usage string) {
	parse := func(t string) (DurationRange, error) {
		r, err := ParseDurationRange(t)
		if err == nil && r.Min < low {
			err = fmt.Errorf("must begin with at least %s", FormatDuration(low))
		}
		return r, err
	}
	add(s, target, name, "range", def, usage, parse, DurationRange.String)
}

// Addrs defines a flag for a list of host:port to connect to.
func (s *Set) Addrs(target *[]string, name, usage string) {
	add(s, target, name, "host:port,...", nil, usage, ParseAddrs, func(a []string) string { return strings.Join(a, ",") })
}

// Addr defines a flag for one host:port to connect to, which may be left empty.
func (s *Set) Addr(target *string, name, usage string) {
	parse := func(t string) (string, error) {
		addrs, err := ParseAddrs(t)
		switch {
		case err != nil || len(addrs) > 1:
			return "", errors.New("must be one host:port")
		case len(addrs) == 0:
			return "", nil
		}
		return addrs[0], nil
	}
	add(s, target, name, "host:port", "", usage, parse, plain)
}

// Listen defines a flag for the host:port of a listener.
func (s *Set) Listen(target *string, name, def, usage string) {
	add(s, target, name, "host:port", def, usage, ParseListen, plain)
}

// URL defines a flag for the base URL of an HTTP service.
func (s *Set) URL(target *string, name, usage string) {
	add(s, target, name, "url", "", usage, ParseURL, plain)
}

// OfInvocation says that a flag belongs to one call of the command, not to its settings: it cannot
// stand in the environment or the file and is not printed.
func (s *Set) OfInvocation(name string) {
	annotate(s.flags.Lookup(name), invocationKey)
}

// Reloadable says which settings a running process takes over when it reloads; those that the command
// does not have are passed over. Every other one needs a restart.
func (s *Set) Reloadable(names ...string) { s.annotateAll(reloadKey, names) }

// Reread says which settings name a file that is read again by itself, whenever it is needed: another path
// needs a restart, other content does not.
func (s *Set) Reread(names ...string) { s.annotateAll(rereadKey, names) }

func (s *Set) annotateAll(key string, names []string) {
	for _, name := range names {
		if f := s.flags.Lookup(name); f != nil {
			annotate(f, key)
		}
	}
}

func annotate(f *pflag.Flag, key string) {
	if f.Annotations == nil {
		f.Annotations = make(map[string][]string)
	}
	f.Annotations[key] = []string{"true"}
}

func ofInvocation(f *pflag.Flag) bool { return f.Annotations[invocationKey] != nil }
