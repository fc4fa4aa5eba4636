package cache

import (
	"slices"
	"testing"

	"eshop/pkg/catalog"
)

// TestRelatedDocuments: each kind that any page of the product shows with it, once.
func TestRelatedDocuments(t *testing.T) {
	kinds := append(catalog.DefaultKinds(), catalog.Kind{Name: "brand", URL: "/brand/{id}", Field: "brandId"})
	cat, err := catalog.New(kinds, []catalog.PageType{
		{Name: "product", Related: []string{"shop"}},
		{Name: "teaser", Root: "product", Related: []string{"brand", "shop"}},
		{Name: "shop", Root: "shop", Related: []string{"brand"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := newFiller(&Role{cat: cat}, "product", nil, 0, 1, nil)
	shop, brand := catalog.Key{Kind: "shop", ID: 3}, catalog.Key{Kind: "brand", ID: 9}
	for body, want := range map[string][]catalog.Key{
		`{"id":7,"shopId":3,"brandId":"9"}`:  {shop, brand},
		`{"id":7,"brandId":9,"shopId":null}`: {brand},
		`{"id":7,"brandId":-9,"shopId":0}`:   nil,
		`{"id":7}`:                           nil,
		`["shopId"]`:                         nil,
		``:                                   nil,
	} {
		if got := f.relatedTo([]byte(body)); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", body, got, want)
		}
	}
	if !f.claim(shop) || f.claim(shop) || !f.claim(brand) {
		t.Error("a document is to be claimed once")
	}
	if f.unclaim(shop); !f.claim(shop) {
		t.Error("a document that failed is to be claimed again")
	}
}

func TestSpread(t *testing.T) {
	if got := spread([]int64{5, 6, 7}, 3); !slices.Equal(got, []int64{5, 6, 7}) {
		t.Errorf("all of three: %v", got)
	}
	if got := spread(upTo(1000), 4); !slices.Equal(got, []int64{1, 251, 501, 751}) {
		t.Errorf("four of a thousand: %v", got)
	}
}
