package origin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"eshop/pkg/catalog"
	"eshop/pkg/embedded/origin"
)

// recorder keeps what is published.
type recorder struct {
	mu    sync.Mutex
	heard []catalog.Change
	err   error
}

func (r *recorder) publish(_ context.Context, ch catalog.Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, ch)
	return r.err
}

// fields reads a document.
func fields(t *testing.T, body string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%s is no document: %v", body, err)
	}
	return m
}

func TestPutReplacesTheGivenFields(t *testing.T) {
	var rec recorder
	s := start(t, origin.Config{Publish: rec.publish})
	_, before := ask(t, s, "GET", "/products/7", "")
	status, body := ask(t, s, "PUT", "/products/7", `{"id":"7","price":5599.0,"size":null,"note":{"a":[1, 2]},"name":"<b> & \"q\""}`)
	old, got := fields(t, before), fields(t, body)
	if status != 200 || got["price"] != 5599.0 || !strings.Contains(body, `"price":5599.0`) || !strings.Contains(body, `"note":{"a":[1,2]}`) || got["name"] != `<b> & "q"` {
		t.Errorf("got %d %s", status, body)
	}
	if _, there := got["size"]; there {
		t.Error("a field set to null is still there")
	}
	if got["id"] != 7.0 || got["shopId"] != old["shopId"] || got["color"] != old["color"] || got["modifiedTime"].(string) <= old["modifiedTime"].(string) {
		t.Errorf("other fields: got %s from %s", body, before)
	}
	if _, again := ask(t, s, "GET", "/getProductInfo?productId=7", ""); again != body {
		t.Errorf("read again: got %s, want %s", again, body)
	}
	if _, body := ask(t, s, "PUT", "/products/7", `{"size":"M"}`); fields(t, body)["size"] != "M" || fields(t, body)["price"] != 5599.0 {
		t.Errorf("a second edit: got %s", body)
	}
	if _, body := ask(t, s, "PUT", "/shops/3", `{"level":5}`); strings.Contains(body, "modifiedTime") || fields(t, body)["level"] != 5.0 {
		t.Errorf("a shop: got %s, want no version field", body)
	}
	want := []catalog.Key{{Kind: "product", ID: 7}, {Kind: "product", ID: 7}, {Kind: "shop", ID: 3}}
	for i, ch := range rec.heard {
		if ch.Key != want[i] || ch.Op != catalog.OpUpdate || (ch.Version == 0) != (ch.Key.Kind == "shop") {
			t.Errorf("published %+v, want an update of %v", ch, want[i])
		}
	}
	if len(rec.heard) != 3 {
		t.Errorf("%d changes were published, want 3", len(rec.heard))
	}
}

func TestCreateAndDelete(t *testing.T) {
	var rec recorder
	s := start(t, origin.Config{Publish: rec.publish})
	if status, body := ask(t, s, "PUT", "/products/5000", `{"name":"new","shopId":1,"gone":null}`); status != 201 || !strings.HasPrefix(body, `{"id":5000,"name":"new","shopId":1,"modifiedTime":`) {
		t.Errorf("create: got %d %s", status, body)
	}
	if status, _ := ask(t, s, "PUT", "/products/5000", `{"name":"newer"}`); status != 200 {
		t.Errorf("edit what was created: got %d, want 200", status)
	}
	var last string
	for _, id := range []string{"5000", "7"} {
		_, body := ask(t, s, "GET", "/products/"+id, "")
		last = fields(t, body)["modifiedTime"].(string)
		if status, body := ask(t, s, "DELETE", "/products/"+id, ""); status != 204 || body != "" {
			t.Errorf("delete %s: got %d %s", id, status, body)
		}
		for _, path := range []string{"/products/" + id, "/getProductInfo?productId=" + id} {
			if status, body := ask(t, s, "GET", path, ""); status != 404 || !strings.Contains(body, "error") {
				t.Errorf("%s after its end: got %d %s", path, status, body)
			}
		}
		if status, _ := ask(t, s, "DELETE", "/products/"+id, ""); status != 404 {
			t.Errorf("delete %s twice: got %d, want 404", id, status)
		}
		status, body := ask(t, s, "PUT", "/products/"+id, `{"name":"back"}`)
		got := fields(t, body)
		if status != 201 || got["name"] != "back" || got["price"] != nil || got["modifiedTime"].(string) < last {
			t.Errorf("create %s again: got %d %s, want nothing of the old one and no older time than %s", id, status, body, last)
		}
	}
	var ops []catalog.Op
	for _, ch := range rec.heard {
		ops = append(ops, ch.Op)
	}
	if want := []catalog.Op{"", "", "delete", "", "delete", ""}; !slices.Equal(ops, want) {
		t.Errorf("published %q, want %q", ops, want)
	}
}

// A source that goes back on purpose says so.
func TestForce(t *testing.T) {
	var rec recorder
	s := start(t, origin.Config{Publish: rec.publish})
	ask(t, s, "PUT", "/products/7", `{"price":1}`)
	if status, body := ask(t, s, "PUT", "/products/7?op=force", `{"price":2,"modifiedTime":"2020-01-02 03:04:05"}`); status != 200 || fields(t, body)["modifiedTime"] != "2020-01-02 03:04:05" {
		t.Errorf("got %d %s", status, body)
	}
	ask(t, s, "PUT", "/shops/7?op=force", `{"level":2}`)
	ask(t, s, "DELETE", "/products/7?op=force", "")
	if len(rec.heard) != 4 || rec.heard[1].Op != catalog.OpForce || rec.heard[1].Version != 1577934245000 || rec.heard[2].Op != catalog.OpForce || rec.heard[3].Op != catalog.OpForce {
		t.Errorf("published %+v", rec.heard)
	}
	for _, body := range []string{`{"price":2}`, `{"modifiedTime":"soon"}`, `{"modifiedTime":5}`} {
		if status, said := ask(t, s, "PUT", "/products/8?op=force", body); status != 400 {
			t.Errorf("%s: got %d %s, want 400", body, status, said)
		}
	}
	// Without force the time is not the editor's to choose.
	if _, body := ask(t, s, "PUT", "/products/8", `{"modifiedTime":"2020-01-02 03:04:05"}`); fields(t, body)["modifiedTime"] == "2020-01-02 03:04:05" {
		t.Errorf("an ordinary edit went back: %s", body)
	}
}

func TestBadInput(t *testing.T) {
	var rec recorder
	s := start(t, origin.Config{Publish: rec.publish})
	many := `{"f0":0`
	for i := range 250 {
		many += `,"x` + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `":1`
	}
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "/products/7", ``, 400},
		{"PUT", "/products/7", `price=1`, 400},
		{"PUT", "/products/7", `[]`, 400},
		{"PUT", "/products/7", `null`, 400},
		{"PUT", "/products/7", `{"price":1`, 400},
		{"PUT", "/products/7", `{"price":1}}`, 400},
		{"PUT", "/products/7", `{"price":1} {}`, 400},
		{"PUT", "/products/7", `{"id":8}`, 400},
		{"PUT", "/products/7", many + `}`, 400},
		{"PUT", "/products/0", `{}`, 400},
		{"PUT", "/products/07", `{}`, 400},
		{"PUT", "/products/x", `{}`, 400},
		{"PUT", "/products/9223372036854775808", `{}`, 400},
		{"PUT", "/products/7?op=destroy", `{}`, 400},
		{"DELETE", "/shops/x", ``, 400},
		{"PUT", "/products/7", `{"x":"` + strings.Repeat("x", 300<<10) + `"}`, 413},
		{"DELETE", "/shops/51", ``, 404},
		{"GET", "/shops/51", ``, 404},
		{"GET", "/getProductInfo", ``, 400},
		{"GET", "/getProductInfo?productId=0", ``, 400},
		{"GET", "/getProductInfo?productId=1001", ``, 404},
		{"GET", "/getShopInfo?shopId=51", ``, 404},
		{"GET", "/getShopInfo?productId=1", ``, 400},
		{"GET", "/getProductInfos", ``, 400},
		{"GET", "/getProductInfos?productIds=1,,2", ``, 400},
		{"GET", "/getProductInfos?productIds=1,x", ``, 400},
		{"GET", "/getProductInfos?productIds=1" + strings.Repeat(",1", 1000), ``, 400},
		{"GET", "/products?from=x", ``, 400},
		{"GET", "/products?n=0", ``, 400},
		{"GET", "/products?n=101", ``, 400},
		{"GET", "/pictures/x.svg", ``, 404},
		{"GET", "/pictures/7-10.svg", ``, 404},
		{"GET", "/pictures/7-1.png", ``, 404},
		{"GET", "/nothing", ``, 404},
		{"POST", "/products/7", `{}`, 405},
	} {
		status, body := ask(t, s, c.method, c.path, c.body)
		if status != c.want {
			t.Errorf("%s %.60s %.40s: got %d %s, want %d", c.method, c.path, c.body, status, body, c.want)
		}
		if c.want == 400 || c.want == 413 {
			if says, _ := fields(t, body)["error"].(string); len(says) < 10 || len(says) > 500 {
				t.Errorf("%s %.60s: the sentence is %q", c.method, c.path, says)
			}
		}
	}
	if len(rec.heard) != 0 {
		t.Errorf("bad requests published %+v", rec.heard)
	}
}

// An edit whose message cannot be sent stays, and the editor is told.
func TestPublishFails(t *testing.T) {
	rec := recorder{err: errors.New("no broker answers")}
	s := start(t, origin.Config{Publish: rec.publish})
	status, body := ask(t, s, "PUT", "/products/7", `{"price":1}`)
	if status != 502 || !strings.Contains(body, "no broker answers") || !strings.Contains(body, "was made") {
		t.Errorf("got %d %s", status, body)
	}
	if _, body := ask(t, s, "GET", "/products/7", ""); fields(t, body)["price"] != 1.0 {
		t.Errorf("the edit is lost: %s", body)
	}
	if status, _ := ask(t, s, "DELETE", "/products/7", ""); status != 502 {
		t.Errorf("delete: got %d, want 502", status)
	}
}

// Pages of other sites cannot edit through a visitor's browser; programs can.
func TestOtherSitesCannotEdit(t *testing.T) {
	s := start(t, origin.Config{})
	own := "http://" + s.Addr()
	for _, c := range []struct {
		name   string
		header []string
		want   int
	}{
		{"a program", nil, 200},
		{"the own page", []string{"Origin", own, "Sec-Fetch-Site", "same-origin"}, 200},
		{"the own page in an old browser", []string{"Origin", own}, 200},
		{"another site", []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"another site in an old browser", []string{"Origin", "https://evil.example"}, 403},
		{"another port", []string{"Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"}, 403},
		{"a page without an origin", []string{"Origin", "null"}, 403},
		{"a name made to point here", []string{"Host", "evil.example:80", "Origin", "http://evil.example:80", "Sec-Fetch-Site", "same-origin"}, 403},
	} {
		for _, method := range []string{"PUT", "DELETE"} {
			want := c.want
			if method == "DELETE" && want == 200 {
				want = 204
			}
			if status, body := ask(t, s, method, "/shops/3", `{"level":1}`, c.header...); status != want {
				t.Errorf("%s, %s: got %d %s, want %d", c.name, method, status, body, want)
			}
			ask(t, s, "PUT", "/shops/3", `{"level":1}`)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "OPTIONS", own+"/shops/3", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://evil.example")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("CORS allows %q", got)
	}
}

func TestEditsSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	s := start(t, origin.Config{DataDir: dir})
	ask(t, s, "PUT", "/products/7", `{"price":1,"size":null}`)
	ask(t, s, "PUT", "/products/2000", `{"name":"added"}`)
	ask(t, s, "DELETE", "/products/8", "")
	ask(t, s, "DELETE", "/shops/3", "")
	want := map[string]string{}
	paths := []string{"/products/7", "/products/2000", "/products/8", "/shops/3", "/products/9"}
	for _, p := range paths {
		status, body := ask(t, s, "GET", p, "")
		want[p] = http.StatusText(status) + strings.ReplaceAll(body, s.Addr(), "ADDR")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, origin.Config{DataDir: dir})
	for _, p := range paths {
		status, body := ask(t, s, "GET", p, "")
		if got := http.StatusText(status) + strings.ReplaceAll(body, s.Addr(), "ADDR"); got != want[p] {
			t.Errorf("%s after a restart: got %s, want %s", p, got, want[p])
		}
	}
	if _, body := ask(t, s, "PUT", "/products/8", `{}`); fields(t, body)["price"] != nil {
		t.Errorf("what was deleted came back with its fields: %s", body)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("the data directory holds %v, %v, want one file", files, err)
	}
	for _, broken := range []string{`{`, `{"format":9}`, `{"format":1,"edits":[{"kind":"brand","id":1}]}`, `{"format":1,"edits":[{"kind":"shop","id":1,"fields":[]}]}`} {
		if err := os.WriteFile(filepath.Join(dir, files[0].Name()), []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := origin.Start(t.Context(), origin.Config{DataDir: dir}, origin.Deps{}); err == nil || !strings.Contains(err.Error(), files[0].Name()) {
			t.Errorf("the file %s: got %v, %v, want an error that names the file", broken, s, err)
		}
	}
}

// Editors and readers at once: every answer is a whole document, and the edits
// of one product never show an older time than before.
func TestConcurrentEdits(t *testing.T) {
	var rec recorder
	s := start(t, origin.Config{DataDir: t.TempDir(), Publish: rec.publish})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := ""
			for range 10 {
				_, body := ask(t, s, "PUT", "/products/7", `{"price":1}`)
				var d struct{ ModifiedTime string }
				if err := json.Unmarshal([]byte(body), &d); err != nil || d.ModifiedTime <= last {
					t.Errorf("after %s: got %s, %v", last, body, err)
					return
				}
				last = d.ModifiedTime
				ask(t, s, "GET", "/products?from=1&n=10", "")
			}
		})
	}
	wg.Wait()
	versions := map[int64]bool{}
	for _, ch := range rec.heard {
		versions[ch.Version] = true
	}
	if len(rec.heard) != 40 || len(versions) != 40 {
		t.Errorf("%d changes with %d versions were published, want 40 of each", len(rec.heard), len(versions))
	}
}
