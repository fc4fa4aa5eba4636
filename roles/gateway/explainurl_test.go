package gateway

import (
	"slices"
	"strings"
	"testing"

	"eshop/pkg/catalog"
)

// Any URL is explained: which route it takes, or why none, and what it is made of.
func TestExplainURL(t *testing.T) {
	g := newRig(t, nil)
	g.get(t, "/product/7")
	g.get(t, "/product/8") // its absence is known
	key8, key9 := catalog.Key{Kind: "product", ID: 8}, catalog.Key{Kind: "product", ID: 9}
	for _, c := range []struct {
		url, route string
		status     int
		says       string
		html, json string // states in L1
		documents  []catalog.Key
	}{
		{"/product/7", "page", 0, "Memory has it, and it is fresh", "fresh", "none", []catalog.Key{keyP7, keyS3}},
		{"https://shop.example/product?productId=7&utm_source=x#top", "page", 0, "Memory has it, and it is fresh", "fresh", "none", []catalog.Key{keyP7, keyS3}},
		{"/product/7.json", "page", 0, "this gateway is its owner", "", "none", []catalog.Key{keyP7}},
		{"/api/v1/products/9", "page", 0, "This is the page /product/9. ", "", "none", []catalog.Key{key9}},
		{"/product?productId=9&shopId=3", "page", 0, "loaded here", "none", "none", []catalog.Key{key9, keyS3}},
		{"/product/8", "page", 404, "does not exist", "none", "none", []catalog.Key{key8}},
		{"/product/07", "page", 400, "The path is that of the page type /product. An id is a whole number", "", "", nil},
		{"/product", "page", 400, "The request names no id.", "", "", nil},
		{"/product?productId=7&productId=7", "page", 400, "names an id twice", "", "", nil},
		{"/product%zz", "", 400, "broken percent escape", "", "", nil},
		{"/hot?productId=7", "", 404, "There is no such page. No page type", "", "", nil},
		{"http://shop.example", "", 404, "There is no such page.", "", "", nil},
		{"/api/v1/products?ids=7,9", "products", 0, "2 products", "", "", []catalog.Key{keyP7, key9}},
		{"/api/v1/products", "products", 400, "names no ids", "", "", nil},
		{"/api/v1/openapi.json", "description", 200, "description of the JSON API", "", "", nil},
	} {
		about, documents := g.explainURL(c.url)
		got := about.(explainedURL)
		if got.Route != c.route || got.Status != c.status || !strings.Contains(got.Says, c.says) || !strings.HasSuffix(got.Says, ".") {
			t.Errorf("%s: route %q, status %d, %q; want %q, %d, a sentence with %q", c.url, got.Route, got.Status, got.Says, c.route, c.status, c.says)
		}
		if got.Forms["html"].State != c.html || got.Forms["json"].State != c.json {
			t.Errorf("%s: in memory %+v, want %q as HTML and %q as JSON", c.url, got.Forms, c.html, c.json)
		}
		if !slices.Equal(documents, c.documents) {
			t.Errorf("%s: of the documents %v, want %v", c.url, documents, c.documents)
		}
	}
	g.floor.Raise(keyP7, catalog.Stamp{Version: 99})
	g.l1.index.find(keyP7).kill(superseded)
	if about, _ := g.explainURL("/product/7"); !strings.Contains(about.(explainedURL).Says, "has changed") {
		t.Errorf("after a change: %+v", about)
	}
}
