package gateway

import (
	"bytes"
	"strconv"

	"eshop/pkg/catalog"
)

// maxRelated is the highest number of related kinds of a page type; the
// catalogue refuses more.
const maxRelated = 8

// pageKey names one page: a page type, its root document, the related documents
// the request named itself (0: taken from the root document) and the form. It
// is comparable, so one lookup finds a page.
type pageKey struct {
	id   int64
	rel  [maxRelated]int64
	page uint8
	json bool
}

// hash spreads keys over the shards of the page cache.
func (k pageKey) hash() uint64 {
	h := uint64(k.id)*0x9e3779b97f4a7c15 + uint64(k.page)<<1
	if k.json {
		h++
	}
	for _, r := range k.rel {
		if r != 0 {
			h = (h ^ uint64(r)) * 0xff51afd7ed558ccd
		}
	}
	return h ^ h>>32
}

// verdict is what became of a request target.
type verdict uint8

const (
	targetOK verdict = iota
	targetUnknown
	targetMissingID
	targetBadID
	targetTwice
	targetBadEscape
)

// reason is the sentence a client gets.
func (v verdict) reason() string {
	switch v {
	case targetUnknown:
		return "There is no such page."
	case targetMissingID:
		return "The request names no id."
	case targetBadID:
		return "An id is a whole number from 1 on, without leading zeros."
	case targetTwice:
		return "The request names an id twice."
	case targetBadEscape:
		return "The request's address has a broken percent escape."
	}
	return ""
}

// route is how one page type is asked for.
type route struct {
	path   string
	param  string
	fields []string // parameters that name related documents, by their index
}

// router reads request targets. It is immutable.
type router struct {
	routes   []route
	products int // the route whose pages are the API's products, -1 without one
}

func newRouter(cat *catalog.Catalog) *router {
	r := &router{products: productsOf(cat)}
	for _, p := range cat.Pages() {
		rt := route{path: p.Path, param: p.Param}
		for _, kind := range p.Related {
			rt.fields = append(rt.fields, cat.Kind(kind).Field)
		}
		r.routes = append(r.routes, rt)
	}
	return r
}

// parse reads a request target as it stands in the request line: "/product/7",
// "/product/7.json", "/product?productId=7&shopId=3", "/api/v1/products/7", each
// also in absolute form. suffix tells that the path asked for JSON. Unless the
// target has escapes, nothing is allocated. Parameters nobody knows, requestPath and method among
// them, are ignored: a caller never chooses an upstream path.
func (r *router) parse(target []byte) (key pageKey, suffix bool, v verdict) {
	path, query, ok := splitTarget(target)
	if !ok {
		return key, false, targetBadEscape
	}
	at, rest, suffix, ok := r.match(path)
	if !ok {
		return key, false, targetUnknown
	}
	key.page = uint8(at)
	rt := &r.routes[at]
	if rest != nil {
		if n := len(rest) - len(".json"); n >= 0 && !suffix && string(rest[n:]) == ".json" {
			rest, suffix = rest[:n], true
		}
		if key.id, ok = catalog.ParseIDBytes(rest); !ok {
			return key, suffix, targetBadID
		}
	}
	for len(query) > 0 && v == targetOK {
		part := query
		if i := bytes.IndexByte(query, '&'); i >= 0 {
			part, query = query[:i], query[i+1:]
		} else {
			query = nil
		}
		v = rt.parameter(&key, part)
	}
	if v == targetOK && key.id == 0 {
		v = targetMissingID
	}
	return key, suffix, v
}

// splitTarget parts a request target into its path, without escapes, and its query.
func splitTarget(target []byte) (path, query []byte, ok bool) {
	target = originForm(target)
	if i := bytes.IndexByte(target, '#'); i >= 0 {
		target = target[:i]
	}
	path = target
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		path, query = target[:i], target[i+1:]
	}
	if bytes.IndexByte(path, '%') >= 0 {
		path, ok = unescape(path, false)
		return path, query, ok
	}
	return path, query, true
}

// match finds the page type of a path and what follows it as an id, nil if the
// path is the page's own. There are few page types, so a walk is quick. api tells
// that it is a product of the API's.
func (r *router) match(path []byte) (at int, rest []byte, api, ok bool) {
	for i := range r.routes {
		if string(path) == r.routes[i].path {
			return i, nil, false, true
		}
	}
	slash := bytes.LastIndexByte(path, '/')
	if slash <= 0 {
		return 0, nil, false, false
	}
	for i := range r.routes {
		if string(path[:slash]) == r.routes[i].path {
			return i, path[slash+1:], false, true
		}
	}
	if r.products >= 0 && string(path[:slash]) == productsPath {
		return r.products, path[slash+1:], true, true
	}
	return 0, nil, false, false
}

// parameter takes one name=value of the query.
func (rt *route) parameter(key *pageKey, part []byte) verdict {
	name, value, ok := cutParameter(part)
	if !ok {
		return targetBadEscape
	}
	if string(name) == rt.param {
		return takeID(&key.id, value)
	}
	for i, f := range rt.fields {
		if string(name) == f {
			return takeID(&key.rel[i], value)
		}
	}
	return targetOK
}

// cutParameter parts name=value and takes the escapes out of both.
func cutParameter(part []byte) (name, value []byte, ok bool) {
	name = part
	if i := bytes.IndexByte(part, '='); i >= 0 {
		name, value = part[:i], part[i+1:]
	}
	if bytes.IndexByte(part, '%') < 0 && bytes.IndexByte(part, '+') < 0 {
		return name, value, true
	}
	if name, ok = unescape(name, true); ok {
		value, ok = unescape(value, true)
	}
	return name, value, ok
}

func takeID(into *int64, value []byte) verdict {
	if *into != 0 {
		return targetTwice
	}
	id, ok := catalog.ParseIDBytes(value)
	if !ok {
		return targetBadID
	}
	*into = id
	return targetOK
}

// originForm strips scheme and authority from a target in absolute form.
func originForm(target []byte) []byte {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(target) >= len(scheme) && bytes.EqualFold(target[:len(scheme)], []byte(scheme)) {
			if i := bytes.IndexAny(target[len(scheme):], "/?#"); i >= 0 {
				return target[len(scheme)+i:]
			}
			return nil
		}
	}
	return target
}

// unescape decodes percent escapes, and a plus sign as a space where forms do.
func unescape(in []byte, plus bool) ([]byte, bool) {
	out := make([]byte, 0, len(in))
	for i := 0; i < len(in); i++ {
		switch c := in[i]; {
		case c == '%':
			if i+2 >= len(in) {
				return nil, false
			}
			hi, ok := unhex(in[i+1])
			lo, ok2 := unhex(in[i+2])
			if !ok || !ok2 {
				return nil, false
			}
			out = append(out, hi<<4|lo)
			i += 2
		case c == '+' && plus:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return out, true
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// target is the inverse of parse: the form in which a page is asked of a peer.
func (r *router) target(k pageKey) string { return string(r.appendTarget(nil, k)) }

// path is target without its query.
func (r *router) path(k pageKey) string {
	k.rel = [maxRelated]int64{}
	return r.target(k)
}

func (r *router) appendTarget(b []byte, k pageKey) []byte {
	rt := &r.routes[k.page]
	b = append(append(b, rt.path...), '/')
	b = strconv.AppendInt(b, k.id, 10)
	if k.json {
		b = append(b, ".json"...)
	}
	sep := byte('?')
	for i, f := range rt.fields {
		if k.rel[i] != 0 {
			b = append(append(append(b, sep), f...), '=')
			b = strconv.AppendInt(b, k.rel[i], 10)
			sep = '&'
		}
	}
	return b
}
