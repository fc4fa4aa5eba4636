package catalog

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MaxPages is the highest number of page types.
const MaxPages = 64

// PageType configures one kind of page: a template over one root document and
// its related documents.
type PageType struct {
	// Name is how the page is called in logs: "product".
	Name string `yaml:"name"`
	// Path it is served at: "/product?productId=7", "/product/7", "/product/7.json".
	Path string `yaml:"path"`
	// Root is the kind of the root document, Param the request's parameter
	// that names its id.
	Root  string `yaml:"root"`
	Param string `yaml:"param"`
	// Related are the kinds reached from the root by their Field.
	Related []string `yaml:"related"`
	// Template is the path of an html/template file; empty: the bundled one.
	Template string `yaml:"template"`
}

// DefaultPages returns the bundled product page.
func DefaultPages() []PageType {
	return []PageType{{Name: "product", Path: "/product", Root: "product", Param: "productId", Related: []string{"shop"}}}
}

// reservedPath is where the gateway has its JSON API: no page may be there.
const reservedPath = "/api/"

var pagePath = regexp.MustCompile(`^/[A-Za-z0-9][A-Za-z0-9_/-]*$`)

func (p *PageType) complete(c *Catalog) []string {
	var bad []string
	say := func(format string, args ...any) {
		bad = append(bad, fmt.Sprintf("page %q: ", p.Name)+fmt.Sprintf(format, args...))
	}
	if !kindName.MatchString(p.Name) {
		say("the name must be lower-case letters, digits and dashes, begin with a letter and have at most 32 characters")
	}
	if p.Path == "" {
		p.Path = "/" + p.Name
	}
	if !pagePath.MatchString(p.Path) || strings.HasSuffix(p.Path, "/") || strings.Contains(p.Path, "//") {
		say("the path %q must begin with / and hold letters, digits, dashes and single slashes", p.Path)
	}
	if strings.HasPrefix(p.Path+"/", reservedPath) {
		say("the path %q is below %s, which is the JSON API's", p.Path, reservedPath)
	}
	if p.Root == "" {
		p.Root = p.Name
	}
	if c.kinds[p.Root] == nil {
		say("its root kind %q is not configured", p.Root)
	}
	if p.Param == "" {
		p.Param = p.Root + "Id"
	}
	for i, r := range p.Related {
		k := c.kinds[r]
		switch {
		case k == nil:
			say("its related kind %q is not configured", r)
		case k.Field == "":
			say("its related kind %q has no field by which it is reached", r)
		case slices.Contains(p.Related[:i], r) || r == p.Root:
			say("kind %q is named twice", r)
		}
	}
	if len(p.Related) > 8 {
		say("it has %d related kinds, at most 8 are possible", len(p.Related))
	}
	return bad
}

// MergedJSON returns the JSON of a page: the root document's own object with
// one member added for each related document, named after its kind and null if
// it is missing. The documents' bytes stand in it as they are; a member of the
// root that has the name of a related kind is overridden by what follows it.
//
// The result is a JSON object whatever the bodies are: a root that is none
// counts as an empty one, a related body that is no JSON as missing.
func (p *PageType) MergedJSON(root []byte, related [][]byte) []byte {
	body := trimSpace(root)
	if len(body) == 0 || body[0] != '{' || !json.Valid(body) {
		body = []byte("{}")
	}
	n := len(body) + 2
	for _, r := range related {
		n += len(r) + 40
	}
	out := make([]byte, 0, n)
	out = append(out, trimSpace(body[:len(body)-1])...) // without the closing brace
	for i, kind := range p.Related {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = append(out, kind...)
		out = append(out, '"', ':')
		if i < len(related) && json.Valid(related[i]) {
			out = append(out, trimSpace(related[i])...)
		} else {
			out = append(out, "null"...)
		}
	}
	return append(out, '}')
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }
