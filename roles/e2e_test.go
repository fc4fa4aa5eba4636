package roles_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
)

// scenarios are bodies that hold in every shape. Each keeps to products of its
// own, so they share a fleet.
var scenarios = []struct {
	name string
	body func(*testing.T, *fleet)
}{
	{"every gateway serves a page with its shop", scenarioPage},
	{"a page is had from the gateway that owns it", scenarioForwarded},
	{"HTTP as browsers and proxies use it", scenarioHTTP},
	{"bad requests", scenarioBadRequests},
	{"a change of the product and of the shop shows everywhere", scenarioChange},
	{"delete and create again", scenarioDelete},
	{"one pull for a cold key", scenarioStampede},
	{"a malformed message harms nobody", scenarioDeadLetter},
	{"the origin away", scenarioOriginAway},
	{"values of the replaced system", scenarioOldValues},
	{"a missing shop", scenarioMissingShop},
	{"a hot product turns hot, changes and cools everywhere", scenarioHot},
	{"a product of batches turns hot everywhere", scenarioHotBatch},
	{"a degrade switch", scenarioDegrade},
}

func TestEndToEnd(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.name, func(t *testing.T) {
			f := newFleet(t, s, quickRule())
			for _, sc := range scenarios {
				t.Run(sc.name, func(t *testing.T) {
					g := *f
					g.t = t
					sc.body(t, &g)
				})
			}
		})
	}
}

func page(product int64) string { return fmt.Sprintf("/product?productId=%d", product) }

func scenarioPage(t *testing.T, f *fleet) {
	f.edit(http.MethodPut, "/products/1", `{"name":"Lamp <b>one</b>","price":5599.0,"shopId":1}`)
	f.edit(http.MethodPut, "/shops/1", `{"name":"Shop of lamps"}`)
	for _, g := range f.gateways {
		for _, path := range []string{"/product?requestPath=product&productId=1&shopId=1", "/product?method=x&productId=1", "/product/1"} {
			a := f.get(g, path)
			if a.status != 200 || !strings.Contains(a.body, "Lamp &lt;b&gt;one&lt;/b&gt;") || !strings.Contains(a.body, "Shop of lamps") {
				t.Errorf("%s%s: %d, want the escaped name and the shop in %.300s", g, path, a.status, a.body)
			}
		}
	}
}

// scenarioForwarded: every gateway but the owner has the page from there, and says so. Each round asks for a product of
// its own, that none turns hot.
func scenarioForwarded(_ *testing.T, f *fleet) {
	product := int64(700)
	f.until("all gateways but one forward", func() (bool, string) {
		var said []string
		forwarded := 0
		product = 700 + (product+1)%200
		for _, g := range f.gateways {
			a := f.get(g, page(product))
			said = append(said, fmt.Sprint(a.status, " ", a.header.Get("Cache-Status")))
			if a.status == 200 && strings.Contains(a.header.Get("Cache-Status"), "peer; owner=") {
				forwarded++
			}
		}
		return forwarded == len(f.gateways)-1, strings.Join(said, "\n")
	})
}

func scenarioHTTP(t *testing.T, f *fleet) {
	g := f.gateways[0]
	html := f.get(g, page(2))
	if ct := html.header.Get("Content-Type"); ct != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", ct)
	}
	for _, a := range []answer{f.get(g, "/product/2.json"), f.get(g, page(2), "Accept", "application/json")} {
		var doc struct {
			ID   int64
			Shop map[string]any
		}
		if err := json.Unmarshal([]byte(a.body), &doc); err != nil || doc.ID != 2 || doc.Shop["name"] == nil {
			t.Errorf("JSON: %v: %.300s", err, a.body)
		}
	}
	if a := f.do(http.MethodHead, g, page(2)); a.status != 200 || a.body != "" || a.header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d, %d bytes, Content-Length %s", a.status, len(a.body), a.header.Get("Content-Length"))
	}
	tag := html.header.Get("ETag")
	if a := f.get(g, page(2), "If-None-Match", `"other", `+tag); tag == "" || a.status != http.StatusNotModified || a.body != "" {
		t.Errorf("If-None-Match %s: %d with %d bytes, want 304", tag, a.status, len(a.body))
	}
	zipped := f.get(g, page(2), "Accept-Encoding", "gzip")
	r, err := gzip.NewReader(strings.NewReader(zipped.body))
	if err != nil {
		t.Fatalf("gzip: %v (Content-Encoding %q)", err, zipped.header.Get("Content-Encoding"))
	}
	if text, err := io.ReadAll(r); err != nil || !strings.Contains(string(text), "<html") {
		t.Errorf("gzip: %v: %.100s", err, text)
	}
	for _, h := range []string{"Cache-Status", "Cache-Control", "Vary"} {
		if html.header.Get(h) == "" {
			t.Errorf("the header %s is missing", h)
		}
	}
	f.until("a hit says so", func() (bool, string) {
		s := f.get(g, page(2)).header.Get("Cache-Status")
		return strings.Contains(s, "hit"), s
	})
}

func scenarioBadRequests(t *testing.T, f *fleet) {
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/product", 400}, {"GET", "/product?productId=", 400}, {"GET", "/product?productId=abc", 400},
		{"GET", "/product?productId=-1", 400}, {"GET", "/product?productId=9223372036854775808", 400}, {"GET", "/product?productId=1&shopId=x", 400},
		{"GET", "/product/x", 400}, {"GET", "/nosuch", 404}, {"POST", page(1), 405}, {"GET", "/product?productId=987654321", 404},
		{"GET", "/hot?productId=1", 404}, {"GET", "/cancel_hot?productId=1", 404},
	} {
		for _, g := range f.gateways {
			if a := f.do(tc.method, g, tc.path); a.status != tc.want {
				t.Errorf("%s %s: %d, want %d", tc.method, tc.path, a.status, tc.want)
			}
		}
	}
}

func scenarioChange(t *testing.T, f *fleet) {
	shows := func(text string) {
		t.Helper()
		for _, g := range f.gateways {
			f.until(g+" shows "+text, func() (bool, string) {
				a := f.get(g, "/product?productId=3&shopId=3")
				return strings.Contains(a.body, text), a.body
			})
		}
	}
	f.edit(http.MethodPut, "/products/3", `{"name":"name-0","shopId":3}`)
	f.change(`{"serviceId":"productInfoService","productId":3,"shopId":3}`)
	shows("name-0")
	for i := 1; i <= 10; i++ {
		f.edit(http.MethodPut, "/products/3", fmt.Sprintf(`{"name":"name-%d"}`, i))
		f.change(`{"serviceId":"productInfoService","productId":"3","shopId":3}`)
		shows(fmt.Sprintf("name-%d", i))
	}
	f.edit(http.MethodPut, "/shops/3", `{"name":"shop-renamed"}`)
	f.change(`{"serviceId":"shopInfoService","productId":3,"shopId":3}`)
	shows("shop-renamed")
}

func scenarioDelete(t *testing.T, f *fleet) {
	becomes := func(status int) {
		t.Helper()
		for _, g := range f.gateways {
			f.until(fmt.Sprintf("%s answers %d", g, status), func() (bool, string) {
				a := f.get(g, page(4))
				return a.status == status, fmt.Sprint(a.status)
			})
		}
	}
	becomes(200)
	f.edit(http.MethodDelete, "/products/4", "")
	f.change(`{"serviceId":"productInfoService","productId":4,"op":"delete"}`)
	becomes(404)
	f.edit(http.MethodPut, "/products/4", `{"name":"again","shopId":1}`)
	f.change(`{"serviceId":"productInfoService","productId":4}`)
	becomes(200)
}

// scenarioStampede is invariant 7 for the fleet.
func scenarioStampede(t *testing.T, f *fleet) {
	f.shop.SetDelay(60 * time.Millisecond)
	defer f.shop.SetDelay(0)
	const product = 500
	before := f.shop.Count("product", product)
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			if a := f.get(f.gateways[i%len(f.gateways)], page(product)); a.status != 200 {
				t.Errorf("%d: %.200s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if n := f.shop.Count("product", product) - before; n != 1 {
		t.Errorf("%d pulls of the product, want 1", n)
	}
}

func scenarioDeadLetter(t *testing.T, f *fleet) {
	f.get(f.gateways[0], page(5))
	f.change("this is not JSON")
	f.change(`{"serviceId":"nosuchService","productId":5}`)
	f.edit(http.MethodPut, "/products/5", `{"name":"after the bad ones"}`)
	f.change(`{"serviceId":"productInfoService","productId":5}`)
	f.until("the good message is applied", func() (bool, string) {
		a := f.get(f.gateways[0], page(5))
		return strings.Contains(a.body, "after the bad ones"), a.body
	})
	letters := make(chan string, 100)
	r, err := kafka.NewReader(kafka.ReaderConfig{Config: f.kafka, Topic: f.topic("dead"), Replay: -1}, values(letters), kafka.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	background(t, "reader", r.Run)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 {
		select {
		case v := <-letters:
			if !strings.Contains(v, `"reason"`) {
				t.Errorf("a dead letter without a reason: %s", v)
			}
		case <-ctx.Done():
			t.Fatal("the dead letters did not arrive within 20 s")
		}
	}
}

type values chan string

func (v values) Record(r kafka.Record)           { v <- string(r.Value) }
func (v values) Gap(int32, int64, int64, string) {}

// scenarioOriginAway is invariant 12: what is known is served, what is not
// known is refused with the time to come back.
func scenarioOriginAway(t *testing.T, f *fleet) {
	for _, g := range f.gateways {
		f.get(g, "/product?productId=6&shopId=6")
	}
	f.shop.SetFailing(http.StatusInternalServerError)
	defer f.shop.SetFailing(0)
	for _, g := range f.gateways {
		if a := f.get(g, "/product?productId=6&shopId=6"); a.status != 200 {
			t.Errorf("a known page: %d", a.status)
		}
		if a := f.get(g, page(600)); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("an unknown page: %d, Retry-After %q; want 503 and a time", a.status, a.header.Get("Retry-After"))
		}
	}
	f.shop.SetFailing(0)
	f.until("the page comes once the origin is back", func() (bool, string) {
		a := f.get(f.gateways[0], page(600))
		return a.status == 200, fmt.Sprint(a.status)
	})
}

func scenarioOldValues(t *testing.T, f *fleet) {
	key := catalog.Key{Kind: "product", ID: 7}
	lab.RedisCommand(t, f.redis, "SET", f.cat.RedisKey(key), `{"id":7,"name":"written by the replaced system","modifiedTime":"2017-01-01 12:00:00","shopId":7}`)
	if a := f.get(f.gateways[0], page(7)); a.status != 200 || !strings.Contains(a.body, "written by the replaced system") {
		t.Errorf("%d %.300s, want the old value", a.status, a.body)
	}
	f.edit(http.MethodPut, "/products/7", `{"name":"new"}`)
	f.change(`{"serviceId":"productInfoService","productId":7}`)
	f.until("the first write replaces it", func() (bool, string) {
		doc, err := f.store.Get(t.Context(), key, rediscluster.FromMaster)
		return err == nil && doc.Stamp.Token > 0, fmt.Sprint(doc.Stamp, err)
	})
}

func scenarioMissingShop(t *testing.T, f *fleet) {
	f.edit(http.MethodPut, "/products/8", `{"name":"without a shop","shopId":777777}`)
	for _, g := range f.gateways {
		if a := f.get(g, page(8)); a.status != 200 || !strings.Contains(a.body, "without a shop") {
			t.Errorf("%d %.200s, want the page without its shop", a.status, a.body)
		}
	}
}
