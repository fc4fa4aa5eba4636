package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eshop/pkg/catalog"
)

// Names and texts come from shop owners; the replaced system printed them raw (stored XSS).
func TestStoredScriptsAreEscaped(t *testing.T) {
	payloads := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `</title><script>alert(1)</script>`, `' onmouseover='alert(1)`,
		"<svg/onload=alert(1)>", "{{.productId}}", "</style><script>alert(1)</script>", "\u2028<script>", `data:text/html,<script>alert(1)</script>`,
		`https://x/"onerror="alert(1)`, `/a.svg" onerror="alert(1)`,
	}
	for _, p := range payloads {
		g := newRig(t, nil)
		fields := map[string]any{"id": 7, "shopId": 3}
		for _, f := range []string{"name", "price", "pictureList", "specification", "service", "color", "size"} {
			fields[f] = p
		}
		body, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		shopBody, err := json.Marshal(map[string]any{"id": 3, "name": p, "level": p, "goodCommentRate": p})
		if err != nil {
			t.Fatal(err)
		}
		g.redis.set(catalog.Document{Key: keyP7, State: catalog.Live, Body: body, Stamp: catalog.Stamp{Token: 1}})
		g.redis.set(catalog.Document{Key: keyS3, State: catalog.Live, Body: shopBody, Stamp: catalog.Stamp{Token: 1}})
		page := string(g.get(t, "/product/7").Response.Body())
		for _, bad := range []string{"<script", "<img src=x", "<svg/", `" onerror="`, `"onerror="`, `src="javascript`, `src="data:`, "' onmouseover='"} {
			if strings.Contains(page, bad) {
				t.Errorf("payload %q gets %q into the page", p, bad)
			}
		}
		if n := strings.Count(page, "</style>"); n != 1 {
			t.Errorf("payload %q closes the style", p)
		}
	}
}

func TestPriceIsPrintedAsTheJSONHasIt(t *testing.T) {
	for _, price := range []string{"5599", "5599.0", "0.10", "1e3", "12345678901234567890"} {
		g := newRig(t, nil)
		g.redis.set(product(1, 10, price))
		wantPage(t, g.get(t, "/product/7"), price, "stored")
	}
}

func TestOddDocumentsRender(t *testing.T) {
	for _, body := range []string{`{}`, `{"id":7}`, `{"name":null,"pictureList":["/a.svg",1],"color":{"a":1},"size":[],"price":null}`,
		`{"pictureList":"a.jpg, b.jpg,,https://x/c.jpg","color":",,"}`} {
		g := newRig(t, nil)
		g.redis.set(catalog.Document{Key: keyP7, State: catalog.Live, Body: []byte(body), Stamp: catalog.Stamp{Token: 1}})
		ctx := g.get(t, "/product/7")
		if ctx.Response.StatusCode() != 200 {
			t.Errorf("%s gave %d", body, ctx.Response.StatusCode())
		}
		if strings.Contains(string(ctx.Response.Body()), "a.jpg") {
			t.Errorf("%s: a bare file name is shown as a picture", body)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil { // as editors do
		t.Fatal(err)
	}
}

func TestTemplateReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	write(t, file, `one {{.productName}} {{.shopName}}`)
	g := newRig(t, func(c *Config, _ *Deps) { c.Template = file })
	if err := g.views.load(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); g.views.run(ctx) }()
	defer func() { cancel(); <-done }()

	body := func() string { return string(g.get(t, "/product/7").Response.Body()) }
	eventually := func(want string) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for body() != want {
			if time.Now().After(deadline) {
				t.Fatalf("the page is %q, want %q", body(), want)
			}
			time.Sleep(5 * time.Millisecond) // the poll of this loop
		}
	}
	eventually("one Phone seven Shop three")
	write(t, file, `two {{.productName}}`)
	eventually("two Phone seven") // although the page of the old template was in L1
	if csp := header(g.get(t, "/product/7"), "Content-Security-Policy"); csp != "" {
		t.Errorf("a user's template got the bundled one's policy %q", csp)
	}

	failures := counter(t, g.metrics.templateErrors)
	for i, broken := range []string{`three {{.productName`, `three {{.productName.nope.nope}}`, `three {{template "x"}}`, `{{define "page"}}{{end}}three {{index .Pictures 99}}`} {
		write(t, file, broken)
		deadline := time.Now().Add(10 * time.Second)
		for counter(t, g.metrics.templateErrors) <= failures+float64(i) {
			if time.Now().After(deadline) {
				t.Fatalf("the broken template %q was not noticed", broken)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if got := body(); got != "two Phone seven" {
			t.Errorf("the broken template %q changed the page to %q", broken, got)
		}
	}
	write(t, file, `four {{.productPrice}}`)
	eventually("four 5599.0")
}

func TestBrokenTemplateAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	g := newRig(t, func(c *Config, _ *Deps) { c.Template = file })
	if err := g.Listen(); err == nil || !strings.Contains(err.Error(), "--gateway.template") {
		t.Errorf("a missing template file: %v, want an error that names the flag", err)
	}
	write(t, file, "{{")
	if err := g.Listen(); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken template: %v, want an error that names the file", err)
	}
}

// Kinds and page types of the user's own, without code.
func TestAddedKinds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "category.html")
	write(t, file, `{{.productName}}|{{.Documents.category.name}}|{{index .Documents "product" "size"}}`)
	kinds := append(catalog.DefaultKinds(), catalog.Kind{Name: "category", URL: "/c?id={id}", Field: "categoryId"})
	pages := append(catalog.DefaultPages(), catalog.PageType{Name: "full", Path: "/p/full", Root: "product", Related: []string{"shop", "category"}, Template: file},
		catalog.PageType{Name: "category"})
	cat, err := catalog.New(kinds, pages)
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, func(_ *Config, d *Deps) { d.Catalog = cat })
	if err := g.views.load(); err != nil {
		t.Fatal(err)
	}
	g.redis.set(catalog.Document{Key: catalog.Key{Kind: "category", ID: 4}, State: catalog.Live, Body: []byte(`{"id":4,"name":"Phones & <more>"}`), Stamp: catalog.Stamp{Token: 1}})
	g.redis.set(catalog.Document{Key: keyP7, State: catalog.Live, Body: []byte(`{"id":7,"name":"P","size":"L","categoryId":"4","shopId":3}`), Stamp: catalog.Stamp{Token: 1}})
	for target, want := range map[string]string{
		"/p/full/7":                        "P|Phones &amp; &lt;more&gt;|L",
		"/p/full?productId=7&categoryId=4": "P|Phones &amp; &lt;more&gt;|L",
		"/p/full/7.json":                   `{"id":7,"name":"P","size":"L","categoryId":"4","shopId":3,"shop":` + string(shop(11, "Shop three").Body) + `,"category":{"id":4,"name":"Phones & <more>"}}`,
	} {
		if got := string(g.get(t, target).Response.Body()); got != want {
			t.Errorf("%s gave %s\nwant %s", target, got, want)
		}
	}
	if got := string(g.get(t, "/category?categoryId=4").Response.Body()); !strings.Contains(got, "Phones &amp; &lt;more&gt;") {
		t.Errorf("the bundled template shows nothing of a category: %s", got)
	}
	if got, want := fmt.Sprint(len(g.views.now)), "3"; got != want {
		t.Errorf("%s views, want %s", got, want)
	}
}
