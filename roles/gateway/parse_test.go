package gateway

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"eshop/pkg/catalog"
)

func TestNegotiation(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "br, gzip": true, "gzip;q=0": false, "gzip;q=0.0": false, "gzip; q=0.001": true, "*": true, "*;q=0": false,
		"*, gzip;q=0": false, "identity": false, "identity;q=1, gzip;q=0.5": false, "gzip;q=0.5, identity;q=0.5": true, "x-gzip": true, "gzip;q=2": false, "gzip;q=abc": false,
		"deflate, br": false, "identity;q=0, *": true, ",,gzip,": true, "gzip;foo=bar;q=0": false,
	} {
		if got := acceptsGzip([]byte(header)); got != want {
			t.Errorf("acceptsGzip(%q) = %v, want %v", header, got, want)
		}
	}
	for header, want := range map[string]bool{
		"": false, "application/json": true, "text/html": false, "*/*": false, "application/json, */*": true, "application/json, text/plain, */*": true,
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": false, "text/html;q=0.5, application/json": true, "application/json;q=0": false,
		"application/*": true, "text/*, application/json;q=0.9": false, "application/json;q=0.9, text/html;q=0.9": false, "image/png": false,
		"application/json;charset=utf-8": true, "APPLICATION/JSON": true,
	} {
		if got := prefersJSON([]byte(header)); got != want {
			t.Errorf("prefersJSON(%q) = %v, want %v", header, got, want)
		}
	}
	etag := []byte(`"abc"`)
	for header, want := range map[string]bool{
		`"abc"`: true, `W/"abc"`: true, `"x", "abc"`: true, `"x,y", W/"abc"`: true, "*": true, `"abcd"`: false, `abc`: false, "": false, `"a,"abc"`: false, `"x" , *`: true,
	} {
		if got := matchesETag([]byte(header), etag); got != want {
			t.Errorf("matchesETag(%q) = %v, want %v", header, got, want)
		}
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip", "gzip;q=0", "*;q=0.5,identity;q=0", `"`, ";;,,q=", "gzip;q=1.000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if got := acceptsGzip([]byte(header)); got && !strings.Contains(header, "*") && !strings.Contains(strings.ToLower(header), "gzip") {
			t.Errorf("acceptsGzip(%q) although it names neither gzip nor *", header)
		}
		prefersJSON([]byte(header))
		element, q := weight([]byte(header))
		if q < 0 || q > 1000 || len(element) > len(header) {
			t.Errorf("weight(%q) = %q, %d", header, element, q)
		}
	})
}

func FuzzIfNoneMatch(f *testing.F) {
	for _, s := range []string{`"abc"`, `W/"abc", *`, `"a\"`, `,`, `"a,b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if matchesETag([]byte(header), []byte(`"abc"`)) && !strings.Contains(header, `"abc"`) && !strings.Contains(header, "*") {
			t.Errorf("%q matches", header)
		}
		for rest := []byte(header); len(rest) > 0; {
			before := len(rest)
			if _, rest = nextElement(rest); len(rest) >= before {
				t.Fatalf("no progress in %q", header)
			}
		}
	})
}

// FuzzTarget compares the parser with net/url on targets both can read.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/product?productId=7&shopId=3", "/product/7.json", "/product/7?shopId=%33", "http://h/product/7", "/product?productId=7#x", "/%70roduct/7",
		"/product?productId=7&productId=8", "/product/7.json.json", "/product?&&=&productId=+7", "/product?productId=7&a=%zz", "http://h?productId=7", "?", "", "/product/7?shopId", "/api/v1/products/7?shopId=3", "/api/v1/products/7.json"} {
		f.Add(s)
	}
	r := newRouter(catalog.Default())
	f.Fuzz(func(t *testing.T, target string) {
		key, suffix, v := r.parse([]byte(target))
		if v != targetOK {
			return
		}
		if key.id <= 0 || key.page != 0 || key.json {
			t.Fatalf("parse(%q) = %+v", target, key)
		}
		key.json = suffix
		if again, s2, v2 := r.parse([]byte(r.target(key))); v2 != targetOK || s2 != suffix {
			t.Fatalf("the own form %q of %q is refused", r.target(key), target)
		} else if again.json = s2; again != key {
			t.Fatalf("%q reads as %+v, its own form %q as %+v", target, key, r.target(key), again)
		}
		u, err := url.Parse(target)
		if err != nil || strings.Contains(u.RawQuery, ";") || strings.ContainsAny(target, "#") {
			return // net/url is stricter about hosts and control characters
		}
		id := strings.TrimSuffix(strings.TrimPrefix(u.Path, "/product/"), ".json")
		if rest, ok := strings.CutPrefix(u.Path, productsPath+"/"); ok {
			id = rest
		}
		if u.Path == "/product" {
			id = u.Query().Get("productId")
		}
		if id != strconv.FormatInt(key.id, 10) {
			t.Errorf("parse(%q) has the id %d, net/url has %q", target, key.id, id)
		}
	})
}
