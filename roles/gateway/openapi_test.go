package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// openDocument is the document as a gateway serves it, decoded.
type openDocument struct {
	all  map[string]any
	used map[string]bool // references that were followed
}

// at follows references: what a name of the document stands for.
func (d *openDocument) at(t *testing.T, v any) map[string]any {
	t.Helper()
	m, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%v is no object", v)
	}
	ref, is := m["$ref"].(string)
	if !is {
		return m
	}
	path, local := strings.CutPrefix(ref, "#/")
	if !local || len(m) != 1 {
		t.Fatalf("%v is no reference into the document", m)
	}
	to := any(d.all)
	for name := range strings.SplitSeq(path, "/") {
		in, _ := to.(map[string]any)
		if to, ok = in[name]; !ok {
			t.Fatalf("%s leads nowhere: there is no %s", ref, name)
		}
	}
	d.used[ref] = true
	return d.at(t, to)
}

// walk visits every object of the document.
func walk(v any, visit func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		visit(v)
		for _, of := range v {
			walk(of, visit)
		}
	case []any:
		for _, of := range v {
			walk(of, visit)
		}
	}
}

// target is the address of an operation for one product; shop is the shop that is asked for with it.
func (d *openDocument) target(t *testing.T, path string, operation map[string]any, id int64, shop string) string {
	t.Helper()
	query := []string{"shopId=" + shop}
	parameters, _ := operation["parameters"].([]any)
	for _, p := range parameters {
		p := d.at(t, p)
		name := p["name"].(string)
		switch in := fmt.Sprint(p["in"], " ", p["required"]); {
		case in == "path true" && strings.Contains(path, "{"+name+"}"):
			path = strings.Replace(path, "{"+name+"}", strconv.FormatInt(id, 10), 1)
		case in == "query true":
			query = append(query, fmt.Sprintf("%s=%d", name, id))
		case in != "query <nil>" || name != "shopId":
			t.Fatalf("%s: no test knows what to give for the parameter %v", path, p)
		}
	}
	if strings.Contains(path, "{") {
		t.Fatalf("%s has no parameter for a part of its path", path)
	}
	return path + "?" + strings.Join(query, "&")
}

// TestDocument holds the document that a running gateway serves against what it answers: each reference leads
// somewhere and nothing is left that none leads to, each operation can be brought to each status that it has, with a
// type that is listed, and each example is of its type.
func TestDocument(t *testing.T) {
	g, strict := stocked(t, 9, nil), stocked(t, 9, func(c *Config, _ *Deps) { c.Limits.UnknownRate, c.Limits.UnknownBurst = 0.001, 1 })
	addr, _ := serveLoopback(t, g)
	strictAddr, _ := serveLoopback(t, strict)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method, addr, target, etag string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if etag != "" {
			req.Header.Set("If-None-Match", etag)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}

	d := &openDocument{used: map[string]bool{}}
	if err := json.NewDecoder(ask("GET", addr, documentPath, "").Body).Decode(&d.all); err != nil {
		t.Fatal(err)
	}
	walk(d.all, func(o map[string]any) {
		d.at(t, o)
		if example, ok := o["example"]; ok {
			if why := unlike(example, d.at(t, o["schema"])); why != "" {
				t.Errorf("the example %v: %s", example, why)
			}
		}
	})
	for kind, all := range d.all["components"].(map[string]any) {
		for name := range all.(map[string]any) {
			if ref := "#/components/" + kind + "/" + name; !d.used[ref] {
				t.Errorf("nothing refers to %s", ref)
			}
		}
	}

	// Product 1 is there, 99 never was; 50 nobody has asked for when nothing is left that could tell.
	paths := d.all["paths"].(map[string]any)
	served := 0
	for _, code := range []int{200, 304, 400, 404, 429, 503} {
		switch code {
		case 429:
			for id := range 3 {
				ask("GET", strictAddr, fmt.Sprintf("/product/%d", 90+id), "")
			}
		case 503:
			g.redis.fail(true)
			g.cache.setDown(true)
		}
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			for method, operation := range d.at(t, paths[path]) {
				operation := d.at(t, operation)
				responses := operation["responses"].(map[string]any)
				listed, ok := responses[strconv.Itoa(code)]
				if !ok {
					continue
				}
				method = strings.ToUpper(method)
				at, target, etag := addr, d.target(t, path, operation, 1, "1"), ""
				switch code {
				case 304:
					etag = ask(method, addr, target, "").Header.Get("ETag")
				case 400:
					target = d.target(t, path, operation, 1, "x")
				case 404:
					target = d.target(t, path, operation, 99, "1")
				case 429:
					at, target = strictAddr, d.target(t, path, operation, 99, "1")
				case 503:
					target = d.target(t, path, operation, 50, "1")
				}
				resp := ask(method, at, target, etag)
				served++
				if resp.StatusCode != code {
					t.Errorf("%s %s: %s, want %d", method, target, resp.Status, code)
					continue
				}
				content, _ := d.at(t, listed)["content"].(map[string]any)
				kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
				if _, ok := content[kind]; method == "GET" && !ok && (kind != "" || len(content) > 0) {
					t.Errorf("%s %s: %d with the type %q, listed are %v", method, target, code, kind, slices.Sorted(maps.Keys(content)))
				}
			}
		}
	}
	listed := 0
	for _, path := range paths {
		for _, operation := range d.at(t, path) {
			listed += len(d.at(t, operation)["responses"].(map[string]any))
		}
	}
	if served != listed || listed == 0 {
		t.Errorf("%d of %d statuses of all operations were asked for", served, listed)
	}
}

// unlike says why a value is not of a schema's type.
func unlike(v any, schema map[string]any) string {
	switch want := schema["type"]; v := v.(type) {
	case string:
		if want != "string" {
			return fmt.Sprint("it is a text, want ", want)
		}
	case []any:
		if want != "array" {
			return fmt.Sprint("it is a list, want ", want)
		}
		for _, of := range v {
			if why := unlike(of, schema["items"].(map[string]any)); why != "" {
				return why
			}
		}
	default:
		return fmt.Sprintf("no test knows what a %T is good for", v)
	}
	return ""
}
