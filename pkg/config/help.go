package config

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Help returns the flags by area, in the order of definition: name, placeholder, default, meaning.
func (s *Set) Help() string {
	var b strings.Builder
	for _, area := range append([]string{""}, s.areas...) {
		var left, right []string
		width := 0
		s.each(func(f *pflag.Flag) {
			if areaOf(f) != area {
				return
			}
			head := "      --" + f.Name
			if f.Value.Type() != "bool" {
				head += " " + f.Value.Type()
			}
			left, right = append(left, head), append(right, describe(f))
			width = max(width, min(len(head), 48))
		})
		if len(left) == 0 {
			continue
		}
		if area != "" {
			fmt.Fprintf(&b, "%s:\n", area)
		}
		for i := range left {
			if len(left[i]) > width {
				fmt.Fprintf(&b, "%s\n%*s   %s\n", left[i], width, "", right[i])
				continue
			}
			fmt.Fprintf(&b, "%-*s   %s\n", width, left[i], right[i])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Row is one flag as documentation shows it. Secret says that Secret defined it, Invocation that
// OfInvocation named it, Reload that Reloadable did.
type Row struct {
	Area, Name, Default, Usage string
	Secret, Invocation, Reload bool
}

// Rows lists the flags for tables in the order of definition.
func (s *Set) Rows() []Row {
	var rows []Row
	s.each(func(f *pflag.Flag) {
		rows = append(rows, Row{Area: areaOf(f), Name: f.Name, Default: f.DefValue, Usage: f.Usage,
			Secret: f.Annotations[secretKey] != nil, Invocation: ofInvocation(f), Reload: f.Annotations[reloadKey] != nil})
	})
	return rows
}

func areaOf(f *pflag.Flag) string {
	if areas := f.Annotations[areaKey]; len(areas) > 0 {
		return areas[0]
	}
	return ""
}

func describe(f *pflag.Flag) string {
	var more []string
	if f.DefValue != "" && f.DefValue != "false" {
		more = append(more, "default "+f.DefValue)
	}
	if f.Annotations[reloadKey] != nil {
		more = append(more, "reloads")
	}
	if len(more) == 0 {
		return f.Usage
	}
	return f.Usage + " (" + strings.Join(more, "; ") + ")"
}
