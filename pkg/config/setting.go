package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"eshop/pkg/catalog"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Setting is one setting in effect, in a form in which two readings of the same sources can be compared.
type Setting struct {
	Name  string
	Value string // as Print shows it: no secret
	// Reload: a running process can take another value over. Reread: it reads the file that is named by itself.
	Reload, Reread bool

	exact string // the whole value, as a sum: what Value hides counts too
	file  string // sum of the content of the file with a secret that Value names
}

// Settings lists all settings in effect, those of the kinds and pages too, in a fixed order.
func (s *Set) Settings(loaded Loaded) []Setting {
	var all []Setting
	s.each(func(f *pflag.Flag) {
		if ofInvocation(f) {
			return
		}
		one := newSetting(f.Name, f.Value.String())
		one.Reload, one.Reread = f.Annotations[reloadKey] != nil, f.Annotations[rereadKey] != nil
		if f.Annotations[secretKey] != nil {
			var ignored Problems // those that matter have been found by whoever uses the secret
			one.file = sum(readSecretFile(f.Name, f.Value.String(), &ignored))
		}
		all = append(all, one)
	})
	cat, err := catalog.New(loaded.Kinds, loaded.Pages)
	if err != nil { // which is a problem of its own
		return all
	}
	for _, name := range cat.KindNames() {
		k := *cat.Kind(name)
		ttl := DurationRange{Min: k.SoftTTLMin, Max: k.SoftTTLMax}
		k.SoftTTLMin, k.SoftTTLMax = 0, 0
		all = append(all, newSetting("kinds["+name+"]", asYAML(k)), newSetting("kinds["+name+"].soft-ttl", ttl.String()))
		all[len(all)-1].Reload = true
	}
	for _, p := range cat.Pages() {
		all = append(all, newSetting("pages["+p.Name+"]", asYAML(p)))
	}
	return all
}

func newSetting(name, value string) Setting {
	return Setting{Name: name, Value: redact(value), exact: sum(value)}
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// asYAML is a value on one line.
func asYAML(v any) string {
	var node yaml.Node
	if err := node.Encode(v); err != nil {
		return err.Error()
	}
	node.Style = yaml.FlowStyle
	hidePasswords(&node)
	text, err := yaml.Marshal(&node)
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// Hash names the settings in effect in a few characters: equal ones have the same, whatever they came from. The
// content of secrets is no part of it.
func Hash(settings []Setting) string {
	h := sha256.New()
	for _, s := range settings {
		fmt.Fprintf(h, "%s=%s\n", s.Name, s.exact)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Change is a setting that has another value than before.
type Change struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
	Note string `json:"note,omitempty"`
}

// String returns the change on one line.
func (c Change) String() string {
	text := fmt.Sprintf("%s: %q → %q", c.Name, c.Old, c.New)
	if c.Old == c.New {
		text = c.Name
	}
	if c.Note != "" {
		text += " (" + c.Note + ")"
	}
	return text
}

// otherContent is the note of a change that is one of a file only.
const otherContent = "the content of the file"

// Difference is what lies between the settings of a running process and those that were read anew.
type Difference struct {
	Applied   []Change  // what the process takes over
	Restart   []Change  // what needs a restart
	Unchanged int       // how many are as before
	Running   []Setting // what is in effect once the first are
}

// Compare tells them apart. Held says why a setting that can be taken over otherwise needs a restart this time.
func Compare(running, next []Setting, held map[string]string) Difference {
	var d Difference
	for _, n := range next {
		i := slices.IndexFunc(running, func(s Setting) bool { return s.Name == n.Name })
		if i < 0 {
			d.Restart = append(d.Restart, Change{Name: n.Name, New: n.Value, Note: "is new"})
			continue
		}
		was := running[i]
		value, file := was.exact != n.exact, was.file != n.file
		change := Change{Name: n.Name, Old: was.Value, New: n.Value, Note: held[n.Name]}
		if !value {
			change.Note = strings.TrimSuffix(otherContent+": "+change.Note, ": ")
		}
		switch {
		case !value && !file:
			d.Unchanged++
			d.Running = append(d.Running, was)
		case held[n.Name] == "" && (n.Reload || !value && n.Reread):
			d.Applied = append(d.Applied, change)
			d.Running = append(d.Running, n)
		default:
			d.Restart = append(d.Restart, change)
			d.Running = append(d.Running, was)
		}
	}
	for _, was := range running {
		if !slices.ContainsFunc(next, func(s Setting) bool { return s.Name == was.Name }) {
			d.Restart = append(d.Restart, Change{Name: was.Name, Old: was.Value, Note: "is gone"})
			d.Running = append(d.Running, was)
		}
	}
	return d
}
