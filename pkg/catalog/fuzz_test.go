package catalog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"eshop/pkg/catalog"
)

// TopLevel accepts exactly the JSON objects, and finds what encoding/json finds.
func FuzzTopLevel(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"a":null,"b":[{}]}`, `{}}`, `{}]`, `{"a":1,"a":2}`, `null`, `[]`, ` {"\u0061":"x"} `, `{"a":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := catalog.TopLevel(body, []string{"a", "b"})
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(body, &want) == nil && want != nil
		if (err == nil) != isObject || err != nil && !errors.Is(err, catalog.ErrNotObject) {
			t.Fatalf("%q: got %v, but it is an object: %v", body, err, isObject)
		}
		if err != nil {
			return
		}
		for i, name := range []string{"a", "b"} {
			w := want[name]
			if string(w) == "null" {
				w = nil
			}
			if !bytes.Equal(got[i], w) {
				t.Fatalf("%q: %s is %q, want %q", body, name, got[i], w)
			}
		}
	})
}

// A version is never negative, has a field whenever it is not 0, and reading a
// body is an error exactly when it is no object.
func FuzzVersionOf(f *testing.F) {
	for _, s := range []string{`{"modifiedTime":"2026-01-02 03:04:05"}`, `{"updateTime":1e3}`, `{"updateTime":9007199254740993.0}`, `{"modifyTime":"2026-01-02"}`, `{"updateTime":-0.0}`, `{}`, `[]`} {
		f.Add([]byte(s))
	}
	kind := catalog.Default().Kind("product")
	f.Fuzz(func(t *testing.T, body []byte) {
		version, field, err := kind.VersionOf(body)
		if version < 0 || field == "" && version != 0 || err != nil && (field != "" || version != 0) {
			t.Fatalf("%q: got %d from %q, %v", body, version, field, err)
		}
		if _, terr := catalog.TopLevel(body, nil); (terr == nil) != (err == nil) {
			t.Fatalf("%q: got %v, but reading it gives %v", body, err, terr)
		}
	})
}

// The merged JSON is one JSON object whatever the bodies are, and has a member
// for each related kind: the body if that is JSON, else null.
func FuzzMergedJSON(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, ` { } `, `null`, ``, `{}}`, `"x"`, "\xff"} {
		f.Add([]byte(s), []byte(s), []byte(`{"id":1}`))
		f.Add([]byte(`{"id":7}`), []byte(`{"id":1}`), []byte(s))
	}
	page := catalog.PageType{Related: []string{"shop", "brand"}}
	f.Fuzz(func(t *testing.T, root, shop, brand []byte) {
		merged := page.MergedJSON(root, [][]byte{shop, brand})
		var got map[string]json.RawMessage
		if err := json.Unmarshal(merged, &got); err != nil {
			t.Fatalf("of %q, %q, %q: %q is no JSON object: %v", root, shop, brand, merged, err)
		}
		for name, body := range map[string][]byte{"shop": shop, "brand": brand} {
			want := "null"
			if json.Valid(body) {
				want = string(bytes.Trim(body, " \t\r\n"))
			}
			if string(got[name]) != want {
				t.Fatalf("%s is %q, want %q", name, got[name], want)
			}
		}
	})
}
