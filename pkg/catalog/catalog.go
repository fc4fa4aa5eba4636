package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Catalog is the validated set of kinds and page types. It is immutable and
// safe for concurrent use.
type Catalog struct {
	kinds  map[string]*Kind
	names  []string
	pages  []PageType
	serves map[string]*Kind // by the replaced system's serviceId
}

// New validates kinds and pages and fills in their defaults. Empty lists mean
// the defaults. The error lists every problem, one a line.
func New(kinds []Kind, pages []PageType) (*Catalog, error) {
	if len(kinds) == 0 {
		kinds = DefaultKinds()
	}
	if len(pages) == 0 {
		pages = DefaultPages()
	}
	c := &Catalog{kinds: map[string]*Kind{}, serves: map[string]*Kind{}}
	var bad []error
	say := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	prefixes := map[string]string{}
	for i := range kinds {
		k := kinds[i]
		for _, p := range k.complete() {
			bad = append(bad, errors.New(p))
		}
		if _, twice := c.kinds[k.Name]; twice {
			say("kind %q is configured twice", k.Name)
			continue
		}
		for prefix, other := range prefixes {
			if collide(prefix, k.Prefix) {
				say("kinds %q and %q have Redis prefixes under which two documents share a key: %q and %q", other, k.Name, prefix, k.Prefix)
			}
		}
		prefixes[k.Prefix] = k.Name
		if k.Service != "" {
			if k.Param == "" {
				say("kind %q has the service %q but no param to read its id from", k.Name, k.Service)
			}
			if other := c.serves[k.Service]; other != nil {
				say("kinds %q and %q have the same service %q", other.Name, k.Name, k.Service)
			}
			c.serves[k.Service] = &k
		}
		c.kinds[k.Name] = &k
		c.names = append(c.names, k.Name)
	}
	paths := map[string]string{}
	for _, p := range pages {
		for _, m := range p.complete(c) {
			bad = append(bad, errors.New(m))
		}
		if other, taken := paths[p.Path]; taken {
			say("pages %q and %q have the same path %q", other, p.Name, p.Path)
		}
		paths[p.Path] = p.Name
		c.pages = append(c.pages, p)
	}
	if len(c.pages) > MaxPages {
		say("%d page types are configured, at most %d are possible", len(c.pages), MaxPages)
	}
	slices.Sort(c.names)
	if len(bad) > 0 {
		return nil, errors.Join(bad...)
	}
	return c, nil
}

// collide reports whether two prefixes give the same Redis key for some ids:
// if they are equal, or if one is the other with digits that an id can begin with.
func collide(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	rest, found := strings.CutPrefix(b, a)
	return found && strings.Trim(rest, "0123456789") == "" && !strings.HasPrefix(rest, "0")
}

// Default returns the catalogue of the replaced system: product and shop, and
// the product page.
func Default() *Catalog {
	c, err := New(nil, nil)
	if err != nil {
		panic("the built-in catalogue is invalid: " + err.Error())
	}
	return c
}

// Kind returns a kind by name, nil if there is none.
func (c *Catalog) Kind(name string) *Kind { return c.kinds[name] }

// KindNames returns the names of all kinds, sorted.
func (c *Catalog) KindNames() []string { return slices.Clone(c.names) }

// Pages returns the page types in the order they were configured; a page is
// referred to by its index in it.
func (c *Catalog) Pages() []PageType { return c.pages }

// RedisKey returns the Redis key of a document, "" if the kind is unknown.
func (c *Catalog) RedisKey(k Key) string {
	if kind := c.kinds[k.Kind]; kind != nil {
		return kind.RedisKey(k.ID)
	}
	return ""
}
