package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"eshop/pkg/catalog"
)

func three(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.New(append(catalog.DefaultKinds(), catalog.Kind{Name: "category", URL: "/category/{id}"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseChange(t *testing.T) {
	product := func(id int64) catalog.Key { return catalog.Key{Kind: "product", ID: id} }
	shop := func(id int64) catalog.Key { return catalog.Key{Kind: "shop", ID: id} }
	category := func(id int64) catalog.Key { return catalog.Key{Kind: "category", ID: id} }
	for _, c := range []struct {
		name, message string
		want          catalog.Change
	}{
		{"the replaced system's product", `{"serviceId":"productInfoService","productId":1,"shopId":2}`, catalog.Change{Key: product(1)}},
		{"the replaced system's shop", `{"serviceId":"shopInfoService","productId":1,"shopId":2}`, catalog.Change{Key: shop(2)}},
		{"digit strings", `{"serviceId":"productInfoService","productId":"12","shopId":"3"}`, catalog.Change{Key: product(12)}},
		{"only the id that counts", `{"serviceId":"shopInfoService","shopId":3}`, catalog.Change{Key: shop(3)}},
		{"the other id may be anything", `{"serviceId":"shopInfoService","productId":null,"shopId":3}`, catalog.Change{Key: shop(3)}},
		{"typed by hand", " { \"serviceId\" : \"productInfoService\" , \"productId\" : 1 } \r\n", catalog.Change{Key: product(1)}},
		{"the highest id", `{"serviceId":"productInfoService","productId":9223372036854775807}`, catalog.Change{Key: product(1<<63 - 1)}},
		{"fields nobody knows", `{"serviceId":"productInfoService","productId":1,"by":"erp","at":{"x":[1]}}`, catalog.Change{Key: product(1)}},
		{"an added kind", `{"kind":"category","id":"9"}`, catalog.Change{Key: category(9)}},
		{"an added kind, number", `{"kind":"category","id":9}`, catalog.Change{Key: category(9)}},
		{"a bundled kind by its name", `{"kind":"product","id":9}`, catalog.Change{Key: product(9)}},
		{"delete", `{"serviceId":"productInfoService","productId":1,"op":"delete"}`, catalog.Change{Key: product(1), Op: catalog.OpDelete}},
		{"force", `{"kind":"category","id":9,"op":"force"}`, catalog.Change{Key: category(9), Op: catalog.OpForce}},
		{"update by name", `{"kind":"category","id":9,"op":"update"}`, catalog.Change{Key: category(9)}},
		{"no op", `{"kind":"category","id":9,"op":""}`, catalog.Change{Key: category(9)}},
		{"version", `{"serviceId":"productInfoService","productId":1,"version":1767323045000}`, catalog.Change{Key: product(1), Version: 1767323045000}},
		{"version as digits", `{"serviceId":"productInfoService","productId":1,"version":"17"}`, catalog.Change{Key: product(1), Version: 17}},
		{"version as a time", `{"serviceId":"productInfoService","productId":1,"version":"2026-01-02 03:04:05"}`, catalog.Change{Key: product(1), Version: 1767323045000}},
		{"no version", `{"serviceId":"productInfoService","productId":1,"version":null}`, catalog.Change{Key: product(1)}},
	} {
		if got, err := three(t).ParseChange([]byte(c.message)); got != c.want || err != nil {
			t.Errorf("%s: %s: got %+v, %v, want %+v", c.name, c.message, got, err, c.want)
		}
	}
}

func TestParseChangeRefuses(t *testing.T) {
	for _, c := range []struct{ name, message, says string }{
		{"nothing", ``, "JSON"},
		{"no JSON", `productInfoService 1`, "JSON"},
		{"cut off", `{"serviceId":"productInfoService","productId":1`, "JSON"},
		{"two values", `{"serviceId":"productInfoService","productId":1}{}`, "JSON"},
		{"an array", `[{"serviceId":"productInfoService","productId":1}]`, "JSON"},
		{"null", `null`, "neither"},
		{"an empty object", `{}`, "neither"},
		{"an unknown service", `{"serviceId":"brandService","productId":1}`, "brandService"},
		{"an unknown kind", `{"kind":"brand","id":1}`, "brand"},
		{"a service that is a number", `{"serviceId":7,"productId":1}`, "JSON"},
		{"no id", `{"serviceId":"productInfoService","shopId":1}`, "missing"},
		{"null id", `{"serviceId":"productInfoService","productId":null}`, "missing"},
		{"id 0", `{"serviceId":"productInfoService","productId":0}`, "0"},
		{"negative id", `{"serviceId":"productInfoService","productId":-5}`, "-5"},
		{"id with a point", `{"serviceId":"productInfoService","productId":1.5}`, "1.5"},
		{"id in words", `{"serviceId":"productInfoService","productId":"one"}`, "one"},
		{"id as a list", `{"serviceId":"productInfoService","productId":[1]}`, "[1]"},
		{"id too high", `{"serviceId":"productInfoService","productId":9223372036854775808}`, "9223372036854775808"},
		{"id of a kind missing", `{"kind":"category","productId":1}`, "missing"},
		{"an unknown op", `{"kind":"category","id":1,"op":"destroy"}`, "destroy"},
		{"a bad version", `{"kind":"category","id":1,"version":"soon"}`, "soon"},
		{"a negative version", `{"kind":"category","id":1,"version":-1}`, "-1"},
		{"a version that is an object", `{"kind":"category","id":1,"version":{}}`, "{}"},
		{"invalid text", "{\"kind\":\"category\xff\",\"id\":1}", "configured"},
	} {
		got, err := three(t).ParseChange([]byte(c.message))
		if !errors.Is(err, catalog.ErrBadChange) || got != (catalog.Change{}) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %+v, %v, want an error with %q", c.name, got, err, c.says)
		}
	}
	long := `{"kind":"category","id":"` + strings.Repeat("9", 1<<20) + `"}`
	if _, err := three(t).ParseChange([]byte(long)); err == nil || len(err.Error()) > 400 {
		t.Error("the reason of a very long id repeats it whole")
	}
}

func TestEncodeChange(t *testing.T) {
	c := three(t)
	for _, w := range []struct {
		change catalog.Change
		want   string
	}{
		{catalog.Change{Key: catalog.Key{Kind: "product", ID: 7}}, `{"productId":7,"serviceId":"productInfoService"}`},
		{catalog.Change{Key: catalog.Key{Kind: "shop", ID: 1<<63 - 1}, Op: catalog.OpDelete}, `{"op":"delete","serviceId":"shopInfoService","shopId":9223372036854775807}`},
		{catalog.Change{Key: catalog.Key{Kind: "category", ID: 9}, Op: catalog.OpForce, Version: 3}, `{"id":"9","kind":"category","op":"force","version":3}`},
	} {
		got, err := c.EncodeChange(w.change)
		if string(got) != w.want || err != nil {
			t.Errorf("%+v: got %s, %v, want %s", w.change, got, err, w.want)
		}
		if back, err := c.ParseChange(got); back != w.change || err != nil {
			t.Errorf("%s reads as %+v, %v, want %+v", got, back, err, w.change)
		}
	}
	if got, err := c.EncodeChange(catalog.Change{Key: catalog.Key{Kind: "brand", ID: 1}}); err == nil {
		t.Errorf("an unknown kind: got %s, want an error", got)
	}
}

// What is accepted has a configured kind, an id and a version from 0 on, and
// says the same after it was written and read again.
func FuzzParseChange(f *testing.F) {
	for _, s := range []string{
		`{"serviceId":"productInfoService","productId":1,"shopId":1}`, `{"kind":"category","id":"9","op":"force","version":"2026-01-02"}`,
		`{"serviceId":"shopInfoService","shopId":"3","op":"delete"}`, `{"kind":"category","id":9,"version":1e3}`, `{}`, `null`, `[]`, `{"serviceId":"productInfoService","productId":1}}`,
	} {
		f.Add([]byte(s))
	}
	c := three(f)
	f.Fuzz(func(t *testing.T, message []byte) {
		ch, err := c.ParseChange(message)
		if err != nil {
			if !errors.Is(err, catalog.ErrBadChange) || ch != (catalog.Change{}) {
				t.Fatalf("got %+v with the error %v", ch, err)
			}
			return
		}
		if c.Kind(ch.Key.Kind) == nil || ch.Key.ID <= 0 || ch.Version < 0 {
			t.Fatalf("%s: got %+v", message, ch)
		}
		again, err := c.EncodeChange(ch)
		if err != nil {
			t.Fatalf("%s: encode %+v: %v", message, ch, err)
		}
		if back, err := c.ParseChange(again); back != ch || err != nil {
			t.Fatalf("%s: got %+v, then %+v, %v from %s", message, ch, back, err, again)
		}
	})
}
