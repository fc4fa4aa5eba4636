package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"eshop/pkg/catalog"
)

func TestDefaultCatalogue(t *testing.T) {
	c := catalog.Default()
	if got, want := c.KindNames(), []string{"product", "shop"}; !slices.Equal(got, want) {
		t.Errorf("kinds: got %v, want %v", got, want)
	}
	for _, w := range []struct{ kind, key, path, batch string }{
		{"product", "product_info_7", "/getProductInfo?productId=7", "/getProductInfos?productIds=7,8"},
		{"shop", "shop_info_7", "/getShopInfo?shopId=7", ""},
	} {
		k := c.Kind(w.kind)
		if got := c.RedisKey(catalog.Key{Kind: w.kind, ID: 7}); got != w.key || k.RedisKey(7) != w.key {
			t.Errorf("%s: the Redis key is %q, want %q", w.kind, got, w.key)
		}
		if got := k.OriginPath(7); got != w.path {
			t.Errorf("%s: the origin's path is %q, want %q", w.kind, got, w.path)
		}
		if got := k.OriginBatchPath([]int64{7, 8}); got != w.batch {
			t.Errorf("%s: the batch path is %q, want %q", w.kind, got, w.batch)
		}
		if k.IDField != "id" {
			t.Errorf("%s: the id field is %q", w.kind, k.IDField)
		}
	}
	if c.Kind("category") != nil || c.RedisKey(catalog.Key{Kind: "category", ID: 1}) != "" {
		t.Error("an unknown kind is known")
	}
	if p := c.Pages(); len(p) != 1 || p[0].Path != "/product" || p[0].Root != "product" || p[0].Param != "productId" {
		t.Errorf("pages: got %+v", p)
	}
}

func TestNewFillsIn(t *testing.T) {
	c, err := catalog.New([]catalog.Kind{{Name: "category", URL: "/category/{id}"}}, []catalog.PageType{{Name: "category"}})
	if err != nil {
		t.Fatal(err)
	}
	k, p := c.Kind("category"), c.Pages()[0]
	if k.Prefix != "category_info_" || k.IDField != "id" || len(k.VersionFields) != 4 || p.Path != "/category" || p.Root != "category" || p.Param != "categoryId" {
		t.Errorf("got kind %+v and page %+v", k, p)
	}
}

// Every problem is listed, and each is found.
func TestNewRefuses(t *testing.T) {
	kind := catalog.Kind{Name: "a", URL: "/a/{id}", Field: "aId"}
	page := catalog.PageType{Name: "a", Root: "a"}
	for _, c := range []struct {
		name  string
		kinds []catalog.Kind
		pages []catalog.PageType
		want  []string
	}{
		{"no URL", []catalog.Kind{{Name: "a"}}, []catalog.PageType{page}, []string{"lacks {id}"}},
		{"odd name", []catalog.Kind{{Name: "A b", URL: "/{id}"}}, nil, []string{"lower-case"}},
		{"absolute URL", []catalog.Kind{{Name: "a", URL: "http://x/{id}"}}, []catalog.PageType{page}, []string{"begins with /"}},
		{"batch without ids", []catalog.Kind{{Name: "a", URL: "/{id}", BatchURL: "/b"}}, []catalog.PageType{page}, []string{"lacks {ids}"}},
		{"zone", []catalog.Kind{{Name: "a", URL: "/{id}", VersionZone: "Mars/Olympus"}}, []catalog.PageType{page}, []string{"time zone"}},
		{"braces in the prefix", []catalog.Kind{{Name: "a", URL: "/{id}", Prefix: "{a}"}}, []catalog.PageType{page}, []string{"braces"}},
		{"soft TTL", []catalog.Kind{{Name: "a", URL: "/{id}", SoftTTLMin: 2, SoftTTLMax: 1}}, []catalog.PageType{page}, []string{"in that order"}},
		{"twice", []catalog.Kind{kind, kind}, []catalog.PageType{page}, []string{"configured twice"}},
		{"same prefix", []catalog.Kind{kind, {Name: "b", URL: "/{id}", Prefix: "a_info_"}}, []catalog.PageType{page}, []string{"share a key"}},
		// a_info_1 with id 2 is a_info_ with id 12.
		{"prefixes that meet", []catalog.Kind{{Name: "b", URL: "/{id}", Prefix: "a_info_1"}, kind}, []catalog.PageType{page}, []string{"share a key"}},
		{"service without param", []catalog.Kind{{Name: "a", URL: "/{id}", Service: "s"}}, []catalog.PageType{page}, []string{"no param"}},
		{"same service", []catalog.Kind{{Name: "a", URL: "/{id}", Service: "s", Param: "p"}, {Name: "b", URL: "/{id}", Service: "s", Param: "p"}}, []catalog.PageType{page}, []string{"same service"}},
		{"unknown root", []catalog.Kind{kind}, []catalog.PageType{{Name: "x"}}, []string{"root kind"}},
		{"unknown related", []catalog.Kind{kind}, []catalog.PageType{{Name: "a", Related: []string{"x"}}}, []string{"related kind"}},
		{"related to itself", []catalog.Kind{kind}, []catalog.PageType{{Name: "a", Related: []string{"a"}}}, []string{"named twice"}},
		{"unreachable related", []catalog.Kind{kind, {Name: "b", URL: "/{id}"}}, []catalog.PageType{{Name: "a", Related: []string{"b"}}}, []string{"no field"}},
		{"same path", []catalog.Kind{kind}, []catalog.PageType{page, {Name: "b", Root: "a", Path: "/a"}}, []string{"same path"}},
		{"a path of the API's", []catalog.Kind{kind}, []catalog.PageType{{Name: "a", Path: "/api/v1/products"}, {Name: "b", Root: "a", Path: "/api"}, {Name: "c", Root: "a", Path: "/apis"}}, []string{`"/api/v1/products" is below /api/`, `"/api" is below`}},
		{"odd paths", []catalog.Kind{kind}, []catalog.PageType{{Name: "a", Path: "/a/"}, {Name: "a", Path: "//b"}, {Name: "a", Path: "c"}}, []string{`"/a/"`, `"//b"`, `"c"`}},
		{"two at once", []catalog.Kind{{Name: "a"}, {Name: "b", URL: "x{id}"}}, []catalog.PageType{page}, []string{`kind "a"`, `kind "b"`}},
	} {
		_, err := catalog.New(c.kinds, c.pages)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: the error lacks %q: %v", c.name, w, err)
			}
		}
	}
	many := make([]catalog.PageType, catalog.MaxPages+1)
	for i := range many {
		many[i] = catalog.PageType{Name: "a", Path: "/p" + strings.Repeat("x", i)}
	}
	if _, err := catalog.New([]catalog.Kind{kind}, many); err == nil {
		t.Errorf("%d pages: no error", len(many))
	}
	if _, err := catalog.New([]catalog.Kind{kind}, many[1:]); err != nil {
		t.Errorf("%d pages: %v", len(many)-1, err)
	}
}

// Prefixes of which one is the other and more, but not digits, are fine.
func TestPrefixesMayBeginAlike(t *testing.T) {
	if _, err := catalog.New([]catalog.Kind{
		{Name: "a", URL: "/{id}", Prefix: "a_"}, {Name: "b", URL: "/{id}", Prefix: "a_b"}, {Name: "c", URL: "/{id}", Prefix: "a_0"},
	}, []catalog.PageType{{Name: "a"}}); err != nil {
		t.Error(err)
	}
}

// The catalogue does not change with the lists it was made from.
func TestNewCopies(t *testing.T) {
	kinds, pages := catalog.DefaultKinds(), catalog.DefaultPages()
	c, err := catalog.New(kinds, pages)
	if err != nil {
		t.Fatal(err)
	}
	kinds[0].Prefix, pages[0].Path = "changed", "/changed"
	names := c.KindNames()
	names[0] = "changed"
	if c.Kind("product").Prefix != "product_info_" || c.Pages()[0].Path != "/product" || c.KindNames()[0] != "product" {
		t.Error("the catalogue changed with the lists it was made from")
	}
}
