package config

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Print writes the settings in effect as a YAML file that Load reads, each with a comment that says
// where it comes from. Secrets are not among them, since they are files; passwords in URLs are hidden.
func (s *Set) Print(w io.Writer, loaded Loaded) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	s.each(func(f *pflag.Flag) {
		if f.Hidden || ofInvocation(f) {
			return
		}
		at := root
		parts := strings.Split(f.Name, ".")
		for _, part := range parts[:len(parts)-1] {
			at = child(at, part)
		}
		at.Content = append(at.Content, text(parts[len(parts)-1]), setting(f, s.Origin(f.Name)))
	})
	for _, section := range []struct {
		name string
		list any
	}{{"kinds", loaded.Kinds}, {"pages", loaded.Pages}} {
		var node yaml.Node
		if err := node.Encode(section.list); err != nil {
			return fmt.Errorf("write the section %s of the settings: %w", section.name, err)
		}
		hidePasswords(&node)
		root.Content = append(root.Content, text(section.name), &node)
	}
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
