package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
)

// A URL is explained by the role that knows URLs, its documents by every role.
func TestExplainURL(t *testing.T) {
	explain := func(role string) func(*admin.Server) {
		return func(s *admin.Server) {
			s.Explain(role, func(_ context.Context, key catalog.Key) any { return role + " has " + key.String() })
		}
	}
	cache := running(t, admin.Config{}, admin.Deps{}, explain("cache"))
	both := running(t, admin.Config{}, admin.Deps{}, func(s *admin.Server) {
		explain("cache")(s)
		explain("gateway")(s)
		s.ExplainURL(func(url string) (any, []catalog.Key) {
			n := strings.Count(url, "7")
			documents := make([]catalog.Key, n)
			for i := range documents {
				documents[i] = catalog.Key{Kind: "product", ID: int64(7 + i)}
			}
			return "the page of " + url, documents
		})
	})
	get := func(addr, query string) (int, map[string]any) {
		t.Helper()
		code, _, body := ask(t, http.MethodGet, "http://"+addr+"/api/explain?"+query, nil)
		var out map[string]any
		if err := json.Unmarshal([]byte(body), &out); err != nil {
			t.Fatalf("%s: %v in %s", query, err, body)
		}
		return code, out
	}
	of := func(text string) string { return "url=" + url.QueryEscape(text) }
	code, out := get(both, of("https://shop.example/product?a=1&productId=7"))
	documents, _ := out["documents"].([]any)
	if code != 200 || out["answer"] != "the page of https://shop.example/product?a=1&productId=7" || len(documents) != 1 {
		t.Fatalf("%d %v", code, out)
	}
	if d := documents[0].(map[string]any); d["kind"] != "product" || d["id"] != 7.0 || d["cache"] != "cache has product/7" || d["gateway"] != "gateway has product/7" {
		t.Errorf("the document is %v", d)
	}
	if _, out := get(both, of("/"+strings.Repeat("7", 30))); len(out["documents"].([]any)) != 20 || out["note"] == nil {
		t.Errorf("of 30 documents: %v", out)
	}
	if code, out := get(both, "kind=product&id=7"); code != 200 || out["gateway"] != "gateway has product/7" {
		t.Errorf("by kind and id: %d %v", code, out)
	}
	for _, c := range []struct{ addr, query, want string }{
		{cache, of("/product/7"), "Ask the admin listener of a gateway"},
		{both, of("/product/7") + "&kind=product&id=7", "Ask for one of them"},
		{both, "url=", "A URL begins with"},
		{both, of("product/7"), "A URL begins with"},
		{both, of("ftp://shop.example/product/7"), "A URL begins with"},
		{both, of("/" + strings.Repeat("x", 9000)), "longer than"},
		{both, "kind=product", "id"},
	} {
		if code, out := get(c.addr, c.query); code != 400 || !strings.Contains(out["error"].(string), c.want) {
			t.Errorf("%.60s: %d %v, want 400 and %q", c.query, code, out, c.want)
		}
	}
}
