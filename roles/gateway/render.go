package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"eshop/pkg/catalog"
)

// fieldNames are the twelve names a template of the replaced system uses, and
// where each comes from.
func fieldNames() [12]struct{ name, kind, field string } {
	return [...]struct{ name, kind, field string }{
		{"productId", "product", "id"}, {"productName", "product", "name"}, {"productPrice", "product", "price"},
		{"productPictureList", "product", "pictureList"}, {"productSpecification", "product", "specification"},
		{"productService", "product", "service"}, {"productColor", "product", "color"}, {"productSize", "product", "size"},
		{"shopId", "shop", "id"}, {"shopName", "shop", "name"}, {"shopLevel", "shop", "level"},
		{"shopGoodCommentRate", "shop", "goodCommentRate"},
	}
}

// render applies the template. Everything it prints is escaped for the place it
// stands in: names and texts come from shop owners.
func (v *view) render(pt *catalog.PageType, docs []catalog.Document) ([]byte, error) {
	data, err := fields(pt, docs)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := v.tmpl.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("render %v: %w", docs[0].Key, err)
	}
	return out.Bytes(), nil
}

// fields is what a template sees: the twelve names, Documents (by kind, each
// document's fields), HasShop, and the lists of the bundled template. A number
// is printed as the JSON has it: 5599 and 5599.0 both stay what they are.
func fields(pt *catalog.PageType, docs []catalog.Document) (map[string]any, error) {
	documents := make(map[string]map[string]any, len(docs))
	for _, d := range docs {
		dec := json.NewDecoder(bytes.NewReader(d.Body))
		dec.UseNumber()
		var m map[string]any
		if err := dec.Decode(&m); err != nil {
			return nil, fmt.Errorf("decode %v: %w", d.Key, err)
		}
		documents[d.Key.Kind] = m
	}
	data := make(map[string]any, 24)
	for _, f := range fieldNames() {
		value, ok := documents[f.kind][f.field]
		if !ok || value == nil {
			value = ""
		}
		data[f.name] = value
	}
	_, hasShop := documents["shop"]
	data["Documents"], data["HasShop"] = documents, hasShop
	data["RootKind"], data["RootID"] = pt.Root, strconv.FormatInt(docs[0].Key.ID, 10)
	data["Root"] = documents[pt.Root]
	data["Pictures"] = pictures(list(data["productPictureList"]))
	data["Colors"], data["Sizes"] = list(data["productColor"]), list(data["productSize"])
	return data, nil
}

// list splits a comma-joined text; a JSON array of texts is taken as well.
func list(v any) []string {
	var parts []string
	switch v := v.(type) {
	case string:
		parts = strings.Split(v, ",")
	case json.Number:
		parts = []string{v.String()}
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				parts = append(parts, s)
			}
		}
	}
	out := parts[:0]
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// pictures keeps what a browser can load: URLs and absolute paths. A bare file
// name of the replaced system would be looked for beside the page.
func pictures(names []string) []string {
	out := names[:0:0]
	for _, n := range names {
		if strings.HasPrefix(n, "https://") || strings.HasPrefix(n, "http://") || strings.HasPrefix(n, "/") {
			out = append(out, n)
		}
	}
	return out
}

// samples are the documents a template is tried with before it is used.
func samples(pt *catalog.PageType) [][]catalog.Document {
	body := func(kind string) catalog.Document {
		text := `{"id":1,"name":"A sample <b>name</b>"}`
		switch kind {
		case "product":
			text = `{"id":1,"name":"A sample <b>name</b>","price":5599.0,"pictureList":"/a.svg,/b.svg","specification":"specification",` +
				`"service":"service","color":"red,white","size":"5.5","shopId":1,"modifiedTime":"2026-01-01 12:00:00"}`
		case "shop":
			text = `{"id":1,"name":"A sample shop","level":1,"goodCommentRate":0.99}`
		}
		return catalog.Document{Key: catalog.Key{Kind: kind, ID: 1}, State: catalog.Live, Body: []byte(text)}
	}
	alone := []catalog.Document{body(pt.Root)}
	full := []catalog.Document{body(pt.Root)}
	for _, kind := range pt.Related {
		full = append(full, body(kind))
	}
	return [][]catalog.Document{alone, full}
}
