package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"eshop/pkg/catalog"

	"go.yaml.in/yaml/v3"
)

func kindName(k catalog.Kind) string     { return k.Name }
func pageName(p catalog.PageType) string { return p.Name }

// overlay reads a section that is a list of named entries. An entry with the name of a built-in one
// changes the fields it mentions and leaves the others; any other entry is added at the end.
func overlay[T any](k *keys, section string, list *yaml.Node, builtin []T, nameOf func(T) string) []T {
	if list.Kind == yaml.ScalarNode && list.Tag == "!!null" {
		return builtin
	}
	if list.Kind != yaml.SequenceNode {
		k.problem(section, list, list.Value, "must be a list")
		return builtin
	}
	all := slices.Clone(builtin)
	named := make(map[string]bool)
	for i, item := range list.Content {
		at := fmt.Sprintf("%s[%d]", section, i)
		item = resolve(item)
		if item.Kind != yaml.MappingNode {
			k.problem(at, item, item.Value, "must be a mapping with a name")
			continue
		}
		name := field(item, "name")
		if name == "" {
			k.problem(at, item, "", "has no name")
			continue
		}
		if named[name] {
			k.problem(at, item, name, "is named twice")
			continue
		}
		named[name] = true
		place := slices.IndexFunc(all, func(one T) bool { return nameOf(one) == name })
		if place < 0 {
			var fresh T
			all = append(all, fresh)
			place = len(all) - 1
		}
		k.into.places[strings.TrimSuffix(section, "s")+" "+strconv.Quote(name)] = k.place(item)
		decodeEntry(k, at, item, &all[place])
	}
	return all
}

// field returns the text of a scalar member, "" if there is none.
func field(mapping *yaml.Node, name string) string {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if v := resolve(mapping.Content[i+1]); mapping.Content[i].Value == name && v.Kind == yaml.ScalarNode {
			return v.Value
		}
	}
	return ""
}

// decodeEntry decodes a mapping onto a struct. The check for unknown fields is made here because
// decoding a node, unlike decoding a text, cannot be told to refuse them.
func decodeEntry(k *keys, at string, mapping *yaml.Node, into any) {
	fields := yamlFields(into)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if key := mapping.Content[i]; !slices.Contains(fields, key.Value) {
			k.problem(at+"."+key.Value, key, "", "is no field"+meant("", key.Value, fields))
		}
	}
	err := mapping.Decode(into)
	if types := (*yaml.TypeError)(nil); errors.As(err, &types) {
		for _, message := range types.Errors {
			k.problem(at, mapping, "", message)
		}
	} else if err != nil {
		k.problem(at, mapping, "", err.Error())
	}
}

// yamlFields lists the names under which a struct's fields stand in YAML.
func yamlFields(pointer any) []string {
	t := reflect.TypeOf(pointer).Elem()
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if t.Field(i).IsExported() && name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}
