package catalog_test

import (
	"encoding/json"
	"testing"

	"eshop/pkg/catalog"
)

func TestMergedJSON(t *testing.T) {
	one := catalog.PageType{Related: []string{"shop"}}
	two := catalog.PageType{Related: []string{"shop", "brand"}}
	none := catalog.PageType{}
	for _, c := range []struct {
		name    string
		page    catalog.PageType
		root    string
		related []string
		want    string
	}{
		{"both there", one, `{"id":7}`, []string{`{"id":3}`}, `{"id":7,"shop":{"id":3}}`},
		{"missing shop", one, `{"id":7}`, []string{``}, `{"id":7,"shop":null}`},
		{"no list at all", one, `{"id":7}`, nil, `{"id":7,"shop":null}`},
		{"two, one missing", two, `{"id":7}`, []string{``, `{"id":3}`}, `{"id":7,"shop":null,"brand":{"id":3}}`},
		{"one of two given", two, `{"id":7}`, []string{`{"id":3}`}, `{"id":7,"shop":{"id":3},"brand":null}`},
		{"too many given", one, `{}`, []string{`{}`, `{"x":1}`}, `{"shop":{}}`},
		{"empty root", one, `{}`, []string{`{}`}, `{"shop":{}}`},
		{"empty root with a space", two, "{ \n}", []string{`{}`, `{}`}, `{"shop":{},"brand":{}}`},
		{"no related kinds", none, ` {"a":1} `, nil, `{"a":1}`},
		{"white space around", one, " {\"a\":1\n} ", []string{" {} "}, `{"a":1,"shop":{}}`},
		{"root ends in a brace inside a text", one, `{"a":"{"}`, nil, `{"a":"{","shop":null}`},
		{"bytes stay as they are", one, `{"p":5599.0,"q":1e3,"s":"\u003c"}`, nil, `{"p":5599.0,"q":1e3,"s":"\u003c","shop":null}`},
		{"root is empty bytes", one, ``, nil, `{"shop":null}`},
		{"root is null", one, `null`, nil, `{"shop":null}`},
		{"root is an array", one, `[1]`, nil, `{"shop":null}`},
		{"root is cut off", one, `{"a":`, nil, `{"shop":null}`},
		{"root has a stray brace", one, `{"a":1}}`, nil, `{"shop":null}`},
		{"shop is no JSON", one, `{"a":1}`, []string{`{"b":`}, `{"a":1,"shop":null}`},
	} {
		var related [][]byte
		for _, r := range c.related {
			related = append(related, []byte(r))
		}
		got := string(c.page.MergedJSON([]byte(c.root), related))
		if got != c.want || !json.Valid([]byte(got)) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// A member of the root that has a related kind's name gives way to the related document.
func TestMergedJSONOverrides(t *testing.T) {
	p := catalog.PageType{Related: []string{"shop"}}
	var got struct{ Shop struct{ ID int } }
	if err := json.Unmarshal(p.MergedJSON([]byte(`{"shop":{"id":1}}`), [][]byte{[]byte(`{"id":2}`)}), &got); err != nil || got.Shop.ID != 2 {
		t.Errorf("got %+v, %v, want the shop 2", got, err)
	}
}

func TestMergedJSONLeavesItsInputAlone(t *testing.T) {
	root, shop := []byte(`{"a":1}   tail`)[:7], []byte(`{"b":2} tail`)[:7]
	p := catalog.PageType{Related: []string{"shop"}}
	p.MergedJSON(root, [][]byte{shop})
	if string(root[:10]) != `{"a":1}   ` || string(shop[:8]) != `{"b":2} ` {
		t.Errorf("the bodies became %q and %q", root[:10], shop[:8])
	}
}

func BenchmarkMergedJSON(b *testing.B) {
	p := catalog.PageType{Related: []string{"shop"}}
	root, shop := []byte(`{"id":7,"name":"a name of some length","price":5599.0,"pictureList":"a.jpg,b.jpg","shopId":1}`), []byte(`{"id":1,"name":"shop"}`)
	b.ReportAllocs()
	for b.Loop() {
		p.MergedJSON(root, [][]byte{shop})
	}
}
