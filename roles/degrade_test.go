package roles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab"
)

// TestAllDegraded is an operator's night, by the two commands of the README: the
// switch holds for the whole process, everything that is asked tells of it, and
// what waited is made up for when it ends.
func TestAllDegraded(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, anyPort("--admin.token-file="+token)...)
	pages := strings.TrimSuffix(r.addresses["product pages"], "?productId=1")
	shop, admin := strings.TrimSuffix(r.addresses["sample shop"], "/"), strings.TrimSuffix(r.addresses["admin and console"], "/")
	page := func(id int) string { return fmt.Sprintf("%s?productId=%d", pages, id) }
	shows := func(url string, code int, words string) {
		t.Helper()
		lab.Until(t, 10*time.Second, func(context.Context) error {
			if got, body := r.do("GET", url, ""); got != code || !strings.Contains(body, words) {
				return fmt.Errorf("GET %s: got %d, want %d and %q:\n%.300s", url, got, code, words, body)
			}
			return nil
		})
	}
	shows(page(1), 200, "<html")

	if code, _ := r.do("POST", admin+"/api/degrade?kind=product&mode=no-origin&for=1h", ""); code != 401 {
		t.Errorf("without the token: got %d, want 401", code)
	}
	if code, body := r.do("POST", admin+"/api/degrade?kind=product&mode=no-origin&for=1h&by=oncall", "", "Authorization", "Bearer t0ken"); code != 200 {
		t.Fatalf("set: got %d %s", code, body)
	}
	for path, words := range map[string]string{
		"/api/degrade": `"by": "oncall at 127.0.0.1"`, "/api/status": `"by": "oncall at 127.0.0.1"`, "/status": "oncall at 127.0.0.1",
		"/api/explain?kind=product&id=1": `"mode": "no-origin"`,
	} {
		shows(admin+path, 200, words)
	}
	for _, role := range []string{"gateway", "cache"} {
		shows(admin+"/metrics", 200, `eshop_degraded{kind="product",mode="no-origin",role="`+role+`"} 1`)
	}
	if code, body := r.do("PUT", shop+"/products/1", `{"name":"Quilted kettle"}`); code >= 300 {
		t.Fatalf("edit product 1: got %d %s", code, body)
	}
	shows(page(2), 503, "try again")
	if code, body := r.do("PUT", shop+"/shops/1", `{"name":"Shop of kettles"}`); code >= 300 {
		t.Fatalf("edit shop 1: got %d %s", code, body)
	}
	shows(page(1)+"&shopId=1", 200, "Shop of kettles")
	if _, body := r.do("GET", page(1), ""); strings.Contains(body, "Quilted kettle") {
		t.Error("a change was applied that was to wait")
	}
	if code, body := r.do("DELETE", admin+"/api/degrade?kind=product", "", "Authorization", "Bearer t0ken"); code != 200 || !strings.Contains(body, "product.no-origin") {
		t.Errorf("end: got %d %s", code, body)
	}
	shows(page(1), 200, "Quilted kettle")
	shows(page(2), 200, "<html")
	lab.Until(t, 10*time.Second, func(context.Context) error {
		if _, body := r.do("GET", admin+"/api/status", ""); strings.Contains(body, "oncall") {
			return errors.New("the status still tells of the switch")
		}
		return nil
	})
	if code, stderr := r.stop(); code != 0 {
		t.Errorf("stop: got code %d:\n%s", code, stderr)
	}
}
