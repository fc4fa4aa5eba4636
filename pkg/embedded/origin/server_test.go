package origin_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/catalog"
	"eshop/pkg/embedded/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a sample origin for the time of a test.
func start(t *testing.T, cfg origin.Config) *origin.Server {
	t.Helper()
	s, err := origin.Start(t.Context(), cfg, origin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the sample origin: %v", err)
		}
	})
	return s
}

// ask does one request and returns status and body.
func ask(t *testing.T, s *origin.Server, method, path, body string, header ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	return resp.StatusCode, string(got)
}

func TestEditIsVisibleWhenItIsPublished(t *testing.T) {
	var s *origin.Server
	var heard []catalog.Change
	s = start(t, origin.Config{Publish: func(_ context.Context, ch catalog.Change) error {
		heard = append(heard, ch)
		if _, body := ask(t, s, "GET", "/getProductInfo?productId=7", ""); !strings.Contains(body, `"price":1.5`) {
			t.Errorf("while the change is published the origin still says %s", body)
		}
		return nil
	}})
	status, body := ask(t, s, "PUT", "/products/7", `{"price":1.5}`)
	if status != 200 || !strings.Contains(body, `"id":7,`) || !strings.Contains(body, `"price":1.5,`) || !strings.Contains(body, `"shopId":7`) {
		t.Errorf("PUT: got %d %s", status, body)
	}
	if len(heard) != 1 || heard[0].Key != (catalog.Key{Kind: "product", ID: 7}) || heard[0].Op != catalog.OpUpdate || heard[0].Version == 0 {
		t.Errorf("published %+v, want one update of product/7 with a version", heard)
	}
}

func TestPulls(t *testing.T) {
	s := start(t, origin.Config{})
	for _, c := range []struct{ path, has string }{
		{"/getProductInfo?productId=1", `"id":1,`},
		{"/getProductInfo?productId=1000", `"id":1000,`},
		{"/getShopInfo?shopId=50", `"id":50,`},
	} {
		status, body := ask(t, s, "GET", c.path, "")
		if status != 200 || !strings.Contains(body, c.has) {
			t.Errorf("%s: got %d %s", c.path, status, body)
		}
	}
	status, body := ask(t, s, "GET", "/getProductInfos?productIds=3,1001,2,9999", "")
	var batch []struct{ ID int64 }
	if err := json.Unmarshal([]byte(body), &batch); err != nil || status != 200 || len(batch) != 2 || batch[0].ID+batch[1].ID != 5 {
		t.Errorf("a batch: got %d %s, %v, want 2 and 3", status, body, err)
	}
	ask(t, s, "GET", "/products/1", "") // no pull
	want := map[catalog.Key]int64{
		{Kind: "product", ID: 1}: 1, {Kind: "product", ID: 1000}: 1, {Kind: "shop", ID: 50}: 1,
		{Kind: "product", ID: 2}: 1, {Kind: "product", ID: 3}: 1, {Kind: "product", ID: 1001}: 1, {Kind: "product", ID: 9999}: 1,
	}
	if got := s.Pulls(); !maps.Equal(got, want) {
		t.Errorf("pulls: got %v, want %v", got, want)
	}
	if s.Requests() != 4 || s.Count("product", 1) != 1 || s.Count("shop", 1) != 0 {
		t.Errorf("got %d requests, %d of product 1, %d of shop 1, want 4, 1, 0", s.Requests(), s.Count("product", 1), s.Count("shop", 1))
	}
}

// The data is the same in every run, complete, and its pictures can be fetched.
func TestInventedDocuments(t *testing.T) {
	s := start(t, origin.Config{PublicURL: "http://pictures.example"})
	again := start(t, origin.Config{PublicURL: "http://pictures.example"})
	kind := catalog.Default().Kind("product")
	names := map[string]bool{}
	for from := 1; from <= origin.Products; from += 100 {
		path := fmt.Sprintf("/products?from=%d&n=100", from)
		_, body := ask(t, s, "GET", path, "")
		if _, other := ask(t, again, "GET", path, ""); other != body {
			t.Fatal("two servers invent different products")
		}
		var docs []json.RawMessage
		if err := json.Unmarshal([]byte(body), &docs); err != nil || len(docs) != 100 {
			t.Fatalf("%d products, %v, want 100", len(docs), err)
		}
		for i, raw := range docs {
			var d struct {
				ID, ShopID, BrandID, CityID                                                               int64
				Name, PictureList, Specification, Service, Color, Size, ModifiedTime, BrandName, CityName string
				Price                                                                                     float64
			}
			if err := json.Unmarshal(raw, &d); err != nil {
				t.Fatal(err)
			}
			if d.ID != int64(from+i) || d.ShopID < 1 || d.ShopID > origin.Shops || d.Price < 5 || d.BrandID == 0 || d.CityID == 0 {
				t.Errorf("product %d: got %s", from+i, raw)
			}
			for _, v := range []string{d.Name, d.PictureList, d.Specification, d.Service, d.Color, d.Size, d.BrandName, d.CityName} {
				if v == "" {
					t.Errorf("product %d lacks something: %s", d.ID, raw)
				}
			}
			if v, field, err := kind.VersionOf(raw); err != nil || field != "modifiedTime" || v > time.Now().UnixMilli() {
				t.Errorf("product %d: version %d from %q, %v", d.ID, v, field, err)
			}
			names[d.Name] = true
			for _, u := range strings.Split(d.PictureList, ",") {
				if !strings.HasPrefix(u, fmt.Sprintf("http://pictures.example/pictures/%d-", d.ID)) {
					t.Errorf("product %d: picture %s", d.ID, u)
				}
			}
		}
	}
	if len(names) != origin.Products {
		t.Errorf("%d names for %d products", len(names), origin.Products)
	}
	shops := map[string]bool{}
	for id := 1; id <= origin.Shops; id++ {
		_, body := ask(t, s, "GET", fmt.Sprintf("/getShopInfo?shopId=%d", id), "")
		var d struct {
			Name            string
			Level           int
			GoodCommentRate float64
		}
		if err := json.Unmarshal([]byte(body), &d); err != nil || d.Level < 1 || d.Level > 5 || d.GoodCommentRate < 0.9 || d.GoodCommentRate >= 1 {
			t.Errorf("shop %d: got %s, %v", id, body, err)
		}
		shops[d.Name] = true
	}
	if len(shops) != origin.Shops {
		t.Errorf("%d names for %d shops", len(shops), origin.Shops)
	}
}

func TestPictures(t *testing.T) {
	s := start(t, origin.Config{})
	seen := map[string]bool{}
	for id := 1; id <= 10; id++ { // one of each sort
		for n := 1; n <= 9; n++ {
			path := fmt.Sprintf("/pictures/%d-%d.svg", id, n)
			status, body := ask(t, s, "GET", path, "")
			dec := xml.NewDecoder(strings.NewReader(body))
			var err error
			for err == nil {
				_, err = dec.Token()
			}
			if status != 200 || err != io.EOF || strings.Contains(body, "MAIN") || strings.Contains(body, "%!") {
				t.Errorf("%s: got %d, %v: %s", path, status, err, body)
			}
			if n <= 4 && seen[body] {
				t.Errorf("%s looks like another picture", path)
			}
			seen[body] = true
		}
	}
	if status, _ := ask(t, s, "GET", "/pictures/123456789-1.svg", ""); status != 200 {
		t.Errorf("the picture of an added product: got %d", status)
	}
}

func TestIndexPageLoadsNothingFromElsewhere(t *testing.T) {
	s := start(t, origin.Config{})
	for _, path := range []string{"/", "/index.js", "/index.css"} {
		status, body := ask(t, s, "GET", path, "")
		if status != 200 || len(body) < 100 || strings.Contains(body, "http://") || strings.Contains(body, "https://") {
			t.Errorf("%s: got %d, %d bytes", path, status, len(body))
		}
	}
}

func TestLists(t *testing.T) {
	s := start(t, origin.Config{})
	ask(t, s, "PUT", "/shops/60", `{"name":"added"}`)
	ask(t, s, "DELETE", "/shops/49", "")
	for path, want := range map[string][]int64{
		"/shops?from=47&n=3": {47, 48, 50}, "/shops?from=48": {48, 50, 60}, "/shops?n=2": {1, 2}, "/shops?from=61": {}, "/shops?from=9223372036854775807": {},
	} {
		_, body := ask(t, s, "GET", path, "")
		var docs []struct{ ID int64 }
		if err := json.Unmarshal([]byte(body), &docs); err != nil {
			t.Fatalf("%s: %s: %v", path, body, err)
		}
		got := []int64{}
		for _, d := range docs {
			got = append(got, d.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func TestFaults(t *testing.T) {
	s := start(t, origin.Config{})
	s.SetFailing(503)
	if status, body := ask(t, s, "GET", "/getProductInfo?productId=1", ""); status != 503 || !strings.Contains(body, "told to fail") {
		t.Errorf("failing: got %d %s", status, body)
	}
	if status, _ := ask(t, s, "GET", "/products/1", ""); status != 200 {
		t.Errorf("editors are concerned by the fault: got %d", status)
	}
	s.SetFailing(0)
	s.SetDelay(50 * time.Millisecond)
	began := time.Now()
	if status, _ := ask(t, s, "GET", "/getProductInfos?productIds=1,2", ""); status != 200 || time.Since(began) < 50*time.Millisecond {
		t.Errorf("delayed: got %d after %v", status, time.Since(began))
	}
	s.SetDelay(time.Hour)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		req, err := http.NewRequestWithContext(context.Background(), "GET", s.URL()+"/getShopInfo?shopId=1", nil)
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	deadline := time.Now().Add(5 * time.Second)
	for s.Count("shop", 1) == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil { // ends the delay
		t.Errorf("close: %v", err)
	}
	<-ended
	if err := s.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	if s.Count("product", 1) != 2 {
		t.Errorf("product 1 was asked for %d times, want 2", s.Count("product", 1))
	}
}

func TestOccupiedPort(t *testing.T) {
	s := start(t, origin.Config{})
	if _, err := origin.Start(t.Context(), origin.Config{Addr: s.Addr()}, origin.Deps{}); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("got %v, want an error that names %s", err, s.Addr())
	}
}
