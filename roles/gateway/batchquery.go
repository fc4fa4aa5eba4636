package gateway

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"eshop/pkg/accesslog"
	"eshop/pkg/catalog"
)

// Paths of the JSON API. productsPath alone takes ids, below it is one product;
// what that has is what ".json" of the page has.
const (
	apiPath      = "/api/v1/"
	productsPath = apiPath + "products"
	documentPath = apiPath + "openapi.json"
)

// productsOf is the page type of which the API has products: the first one whose
// root is what the access log counts; -1 if there is none.
func productsOf(cat *catalog.Catalog) int {
	for i, pt := range cat.Pages() {
		if pt.Root == accesslog.Kind {
			return i
		}
	}
	return -1
}

// isAPI reports whether a request target is of the JSON API, of which errors are for programs.
func isAPI(target []byte) bool { return bytes.HasPrefix(originForm(target), []byte(apiPath)) }

// batch is a request for several products.
type batch struct {
	// keys are the pages that it asks for, none twice.
	keys []pageKey
	// entries are what it named, in the order in which each was first named.
	entries []named
}

// named is one id of a batch: text as the request had it, and which of the keys it is, -1 if it is no id.
type named struct {
	text string
	at   int
}

// parseBatch reads the query of a batch: ids, separated by commas, and the ids of
// related documents, which hold for all of them as they do for one page. Other
// parameters are ignored. What is named again gets no second entry, and what is no
// id harms no other.
func (r *router) parseBatch(query []byte, most int) (b batch, bad *problem) {
	refuse := func(format string, args ...any) (batch, *problem) {
		return batch{}, &problem{code: fasthttp.StatusBadRequest, title: "Bad request", reason: fmt.Sprintf(format, args...), json: true}
	}
	if r.products < 0 {
		return batch{}, &problem{code: fasthttp.StatusNotFound, title: "Not found", reason: "There are no products here.", json: true}
	}
	rt := &r.routes[r.products]
	shared := pageKey{page: uint8(r.products), json: true}
	var ids []byte
	there := false
	for len(query) > 0 {
		var part []byte
		part, query, _ = bytes.Cut(query, []byte("&"))
		name, value, ok := cutParameter(part)
		if !ok {
			return refuse("%s", targetBadEscape.reason())
		}
		if string(name) == "ids" {
			if there {
				return refuse("The request has the parameter ids twice.")
			}
			ids, there = value, true
			continue
		}
		for i, f := range rt.fields {
			if string(name) != f {
				continue
			}
			if v := takeID(&shared.rel[i], value); v != targetOK {
				return refuse("%s: %s", f, v.reason())
			}
		}
	}
	if len(ids) == 0 {
		return refuse("The request names no ids: ids=1,2,3.")
	}
	n := bytes.Count(ids, []byte(",")) + 1
	if n > most {
		return refuse("The request names %d ids, at most %d are answered at a time.", n, most)
	}
	b = batch{keys: make([]pageKey, 0, n), entries: make([]named, 0, n)}
	seen := make(map[string]struct{}, n)
	for text := range strings.SplitSeq(string(ids), ",") {
		if _, again := seen[text]; again {
			continue
		}
		seen[text] = struct{}{}
		e := named{text: text, at: -1}
		if id, ok := catalog.ParseIDBytes([]byte(text)); ok {
			key := shared
			key.id, e.at = id, len(b.keys)
			b.keys = append(b.keys, key)
		}
		b.entries = append(b.entries, e)
	}
	return b, nil
}

// appendBatch is the inverse of parseBatch: the form in which pages are asked of a peer.
func (r *router) appendBatch(b []byte, keys []pageKey) []byte {
	b = append(b, productsPath+"?ids="...)
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, k.id, 10)
	}
	for i, f := range r.routes[keys[0].page].fields {
		if rel := keys[0].rel[i]; rel != 0 {
			b = append(append(append(b, '&'), f...), '=')
			b = strconv.AppendInt(b, rel, 10)
		}
	}
	return b
}
