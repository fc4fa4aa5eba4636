package origin_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"eshop/pkg/catalog"
	"eshop/pkg/origin"
)

func TestPullReadsADocument(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("productId") != "7" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(` {"id":7,"modifiedTime":"2026-01-02 03:04:05"}` + "\n"))
	}))
	defer srv.Close()
	c, err := origin.New(origin.Config{BaseURL: srv.URL}, catalog.Default(), origin.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := c.Pull(t.Context(), catalog.Key{Kind: "product", ID: 7})
	if err != nil || got.State != catalog.Live || got.Version != 1767323045000 || got.Field != "modifiedTime" || string(got.Body) != `{"id":7,"modifiedTime":"2026-01-02 03:04:05"}` {
		t.Errorf("product 7: got %+v, %v", got, err)
	}
	got, err = c.Pull(t.Context(), catalog.Key{Kind: "product", ID: 8})
	if err != nil || got.State != catalog.Absent {
		t.Errorf("product 8, which the origin does not know: got %+v, %v, want absent", got, err)
	}
}
