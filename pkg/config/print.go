package config

import (
	"fmt"
	"io"
	"strings"

	"eshop/pkg/catalog"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Print writes the settings in effect as a YAML file that Load reads, each with a comment that says
// where it comes from, and with their hash. Secrets are not among them, since they are files; passwords in URLs are hidden.
func (s *Set) Print(w io.Writer, loaded Loaded) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	s.each(func(f *pflag.Flag) {
		if ofInvocation(f) {
			return
		}
		at := root
		parts := strings.Split(f.Name, ".")
		for _, part := range parts[:len(parts)-1] {
			at = child(at, part)
		}
		at.Content = append(at.Content, text(parts[len(parts)-1]), setting(f, s.Origin(f.Name)))
	})
	if err := sections(root, loaded); err != nil {
		return err
	}
	root.HeadComment = "hash: " + Hash(s.Settings(loaded))
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	return nil
}

// sections adds the kinds and pages in effect, with what the catalogue fills in: a field that is
// missing and one that is empty are not the same there.
func sections(root *yaml.Node, loaded Loaded) error {
	cat, err := catalog.New(loaded.Kinds, loaded.Pages)
	if err != nil {
		return fmt.Errorf("write the kinds and pages of the settings: %w", err)
	}
	var kinds []*catalog.Kind
	for _, k := range loaded.Kinds {
		kinds = append(kinds, cat.Kind(k.Name))
	}
	for _, section := range []struct {
		name string
		list any
	}{{"kinds", kinds}, {"pages", cat.Pages()}} {
		var node yaml.Node
		if err := node.Encode(section.list); err != nil {
			return fmt.Errorf("write the section %s of the settings: %w", section.name, err)
		}
		hidePasswords(&node)
		root.Content = append(root.Content, text(section.name), &node)
	}
	return nil
}

// child returns the mapping under a key, which it adds when it is missing.
func child(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	node := &yaml.Node{Kind: yaml.MappingNode}
	mapping.Content = append(mapping.Content, text(key), node)
	return node
}

func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

func setting(f *pflag.Flag, origin string) *yaml.Node {
	node := text(redact(f.Value.String()))
	switch f.Value.Type() {
	case "bool":
		node.Tag = "!!bool"
	case "n":
		node.Tag = "!!int"
	}
	switch node.Value {
	case "on", "off", "yes", "no", "y", "n": // older YAML readers take these for true and false
		node.Style = yaml.DoubleQuotedStyle
	}
	node.LineComment = origin
	return node
}

func hidePasswords(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = redact(n.Value)
	}
	for _, c := range n.Content {
		hidePasswords(c)
	}
}
