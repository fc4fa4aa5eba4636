package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds the configuration file.
const maxFileBytes = 1 << 20

// loadFile sets flags from the file's keys and decodes its sections.
func (s *Set) loadFile(path string, src Sources, into *Loaded) {
	root, err := readYAML(path)
	if err != nil {
		s.problems = append(s.problems, Problem{Setting: "--config", Value: path, Constraint: err.Error()})
		return
	}
	if root == nil {
		return
	}
	k := &keys{set: s, path: path, known: src.Known, others: src.Others, into: into, lines: make(map[string]int)}
	if root.Kind != yaml.MappingNode {
		k.problem("", root, "", "must be a mapping of settings")
		return
	}
	k.walk(root, "", func(name string, value *yaml.Node) bool {
		switch name {
		case "kinds":
			into.Kinds = overlay(k, name, value, into.Kinds, kindName)
		case "pages":
			into.Pages = overlay(k, name, value, into.Pages, pageName)
		default:
			return false
		}
		return true
	})
}

// readYAML returns the root node of the one document in the file, nil when it is empty.
func readYAML(path string) (*yaml.Node, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot be opened: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	if len(text) > maxFileBytes {
		return nil, fmt.Errorf("is larger than %s", FormatBytes(maxFileBytes))
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("is no YAML: %w", err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("must hold one YAML document")
	}
	root := resolve(doc.Content[0])
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	return root, nil
}

// keys walks the mappings of a file, whose nested and dotted keys are the same names.
type keys struct {
	set    *Set
	path   string
	known  []string
	others []*Set
	into   *Loaded
	lines  map[string]int // full name → line it stands on
}

func (k *keys) problem(name string, at *yaml.Node, value, constraint string) {
	if name == "" {
		name = k.path
	}
	k.set.problems = append(k.set.problems, Problem{Setting: name, Value: value, Source: k.place(at), Constraint: constraint})
}

func (k *keys) place(at *yaml.Node) string { return fmt.Sprintf("%s:%d", k.path, at.Line) }

// walk visits a mapping below prefix, which ends in a dot or is empty. It goes deeper only where a
// known name does, so that a file which refers to itself ends too.
func (k *keys) walk(mapping *yaml.Node, prefix string, section func(string, *yaml.Node) bool) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], resolve(mapping.Content[i+1])
		name := prefix + key.Value
		switch {
		case k.isFlag(name) || prefix == "" && (name == "kinds" || name == "pages"):
			if line, twice := k.lines[name]; twice {
				k.problem(name, key, "", fmt.Sprintf("is set twice, first on line %d", line))
				continue
			}
			k.lines[name] = key.Line
			if prefix != "" || !section(name, value) {
				k.assign(name, key, value)
			}
		case slices.ContainsFunc(k.known, func(flag string) bool { return strings.HasPrefix(flag, name+".") }):
			switch {
			case value.Kind == yaml.MappingNode:
				k.walk(value, name+".", section)
			case value.Tag == "!!null": // a section whose lines are all commented out
			default:
				k.problem(name, key, value.Value, "is a group of settings, not one setting")
			}
		default:
			k.problem(name, key, "", "is no setting"+meant("", name, k.known))
		}
	}
}

// isFlag reports whether a file may set the flag of that name.
func (k *keys) isFlag(name string) bool {
	if f := k.set.flags.Lookup(name); f != nil && ofInvocation(f) {
		return false
	}
	return slices.Contains(k.known, name)
}

// assign sets the flag unless it belongs to another command, for which it is only checked, or has a value already.
func (k *keys) assign(name string, key, value *yaml.Node) {
	text, constraint := scalar(value)
	if constraint != "" {
		k.problem(name, key, "", constraint)
		return
	}
	f := k.set.ours(name)
	switch {
	case f == nil:
		k.checkOther(name, text, key)
	case k.set.free(f):
		k.set.set(f, text, "file", k.place(key))
	default:
		// Wrong is wrong, whether or not it counts: the next start may be without what overrules it.
		if err := f.Value.(checker).check(text); err != nil {
			k.problem("--"+name, key, text, err.Error())
		} else if !k.set.same(f, text) {
			k.into.Overruled = append(k.into.Overruled, name)
		}
	}
}

// checkOther finds a problem with the setting of another command, so that a file is good or bad for all of them.
func (k *keys) checkOther(name, text string, key *yaml.Node) {
	for _, other := range k.others {
		if f := other.ours(name); f != nil {
			if err := f.Value.(checker).check(text); err != nil {
				k.problem("--"+name, key, text, err.Error())
			}
			return
		}
	}
}

// checker is every flag of a Set.
type checker interface {
	check(text string) error
	normal(text string) string
}

// ours returns the flag of that name if it was defined through the set.
func (s *Set) ours(name string) *pflag.Flag {
	if f := s.flags.Lookup(name); f != nil {
		if _, ours := f.Value.(checker); ours {
			return f
		}
	}
	return nil
}

// same reports whether a text means what the flag has.
func (s *Set) same(f *pflag.Flag, text string) bool {
	return f.Value.(checker).normal(text) == f.Value.String()
}

// scalar returns the text of a value; a list of scalars is written with commas.
func scalar(value *yaml.Node) (text, constraint string) {
	switch {
	case value.Kind == yaml.ScalarNode && value.Tag == "!!null":
		return "", "has no value"
	case value.Kind == yaml.ScalarNode:
		return value.Value, ""
	case value.Kind == yaml.SequenceNode:
		parts := make([]string, 0, len(value.Content))
		for _, item := range value.Content {
			item = resolve(item)
			if item.Kind != yaml.ScalarNode || item.Tag == "!!null" {
				return "", "must be a list of plain values"
			}
			parts = append(parts, item.Value)
		}
		return strings.Join(parts, ","), ""
	}
	return "", "must be one value or a list of values, not a group"
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
