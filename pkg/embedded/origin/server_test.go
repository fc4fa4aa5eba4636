package origin_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/embedded/origin"
)

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
