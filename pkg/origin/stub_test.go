package origin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"eshop/pkg/catalog"
	"eshop/pkg/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub is an origin whose answers a test decides.
type stub struct {
	*httptest.Server
	mu      sync.Mutex
	paths   []string // of all requests, in the order they came
	respond http.HandlerFunc
}

// serve runs a stub; respond nil answers documents for ids up to 900.
func serve(t testing.TB, respond http.HandlerFunc) *stub {
	t.Helper()
	s := &stub{respond: respond}
	if respond == nil {
		s.respond = answerDocuments
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.paths = append(s.paths, r.URL.RequestURI())
		respond := s.respond
		s.mu.Unlock()
		respond(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// answers changes what the stub says from now on.
func (s *stub) answers(respond http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.respond = respond
}

// seen returns the requests so far: all, singles, batches.
func (s *stub) seen() (all, singles, batches int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.paths {
		if strings.Contains(p, "Infos?") {
			batches++
		} else {
			singles++
		}
	}
	return len(s.paths), singles, batches
}

func body(id int64) string {
	return fmt.Sprintf(`{"id":%d,"name":"p%d","modifiedTime":"2026-01-02 03:04:05"}`, id, id)
}

// answerDocuments is an origin that works: batches come in reverse order and
// lack what does not exist.
func answerDocuments(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if ids := q.Get("productIds"); ids != "" {
		var out []string
		for _, text := range strings.Split(ids, ",") {
			if id, _ := strconv.ParseInt(text, 10, 64); id <= 900 {
				out = append([]string{body(id)}, out...)
			}
		}
		fmt.Fprintf(w, "[%s]", strings.Join(out, ","))
		return
	}
	id, _ := strconv.ParseInt(q.Get("productId")+q.Get("shopId"), 10, 64)
	if id > 900 {
		http.NotFound(w, r)
		return
	}
	fmt.Fprint(w, body(id))
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(s)) }
}

func client(t testing.TB, cfg origin.Config, deps origin.Deps) *origin.Client {
	t.Helper()
	c, err := origin.New(cfg, catalog.Default(), deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func product(id int64) catalog.Key { return catalog.Key{Kind: "product", ID: id} }
func shop(id int64) catalog.Key    { return catalog.Key{Kind: "shop", ID: id} }

// until polls for a state that must come within 5 s.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after 5s still not: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
