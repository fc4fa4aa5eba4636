package docapi_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/catalog"
	"eshop/pkg/credential"
	"eshop/pkg/docapi"
	"eshop/pkg/ring"
	"eshop/pkg/tracing"
)

// fixed answers from a map; a key that is missing is Unavailable.
type fixed struct {
	mu      sync.Mutex
	docs    map[catalog.Key]docapi.Reply
	asked   []docapi.Request
	batches int
}

func (f *fixed) Load(_ context.Context, req docapi.Request) (docapi.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, req)
	if r, ok := f.docs[req.Key]; ok {
		return r, nil
	}
	return docapi.Reply{}, &docapi.Unavailable{Reason: "the origin is away", RetryAfter: 1500 * time.Millisecond}
}

func (f *fixed) LoadMany(ctx context.Context, reqs []docapi.Request) []docapi.Result {
	out := make([]docapi.Result, len(reqs))
	for i, r := range reqs {
		out[i].Reply, out[i].Err = f.Load(ctx, r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches++
	return out
}

// members is a ring from which ejected members vanish.
type members struct {
	mu   sync.Mutex
	list []ring.Member
	out  []string
}

func (m *members) Ring() *ring.Ring {
	m.mu.Lock()
	defer m.mu.Unlock()
	return ring.New(m.list, 0)
}

func (m *members) Eject(id string, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out = append(m.out, id)
	var left []ring.Member
	for _, x := range m.list {
		if x.ID != id {
			left = append(left, x)
		}
	}
	m.list = left
}

func serve(t *testing.T, src docapi.Source, token string) string {
	t.Helper()
	s := httptest.NewServer(docapi.NewHandler(docapi.HandlerConfig{Tokens: credential.NewTokens(token)}, catalog.Default(), src))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func live(kind string, id int64, body string) docapi.Reply {
	return docapi.Reply{Layer: docapi.LayerRedis, Document: catalog.Document{Key: catalog.Key{Kind: kind, ID: id}, State: catalog.Live,
		Body: []byte(body), Stamp: catalog.Stamp{Epoch: 1, Version: 1 << 60, Token: 1<<63 - 1}, Field: "modifiedTime", Pulled: time.UnixMilli(1_700_000_000_123)}}
}

// everything is one of each kind of answer, with bodies that a framing by lines
// or a re-encoding would spoil.
func everything() *fixed {
	f := &fixed{docs: map[catalog.Key]docapi.Reply{}}
	for _, r := range []docapi.Reply{
		live("product", 1, "{\"name\":\"a\\nb\",\n  \"price\": 5599.0, \"tags\":[ ] }\n"),
		live("product", 2, `{"id":2}`),
		live("shop", 1, "{}"),
		{Layer: docapi.LayerOrigin, Stale: true, Document: catalog.Document{Key: catalog.Key{Kind: "product", ID: 3}, State: catalog.Tombstone, Stamp: catalog.Stamp{Token: 9}}},
		{Layer: docapi.LayerL1, Document: catalog.Document{Key: catalog.Key{Kind: "product", ID: 4}, State: catalog.Absent, Provisional: true}},
	} {
		f.docs[r.Document.Key] = r
	}
	return f
}

// TestRoundTrip: what the source says is what the caller of the client sees,
// alone and in a batch.
func TestRoundTrip(t *testing.T) {
	src := everything()
	m := &members{list: []ring.Member{{ID: "a", Addr: serve(t, src, "s3cret")}, {ID: "b", Addr: serve(t, src, "s3cret")}}}
	c := docapi.NewClient(docapi.ClientConfig{Tokens: credential.NewTokens("s3cret")}, m, docapi.Deps{})
	defer c.Close()
	var reqs []docapi.Request
	for key := range src.docs {
		reqs = append(reqs, docapi.Request{Key: key})
	}
	same := func(got docapi.Reply, want docapi.Reply) string {
		if len(want.Document.Body) == 0 && len(got.Document.Body) == 0 {
			got.Document.Body, want.Document.Body = nil, nil
		}
		return cmp.Diff(want, got)
	}
	for _, req := range reqs {
		got, err := c.Get(t.Context(), req)
		if err != nil {
			t.Fatalf("Get(%v): %v", req.Key, err)
		}
		if d := same(got, src.docs[req.Key]); d != "" {
			t.Errorf("Get(%v) (-want +got):\n%s", req.Key, d)
		}
	}
	for i, res := range c.GetMany(t.Context(), reqs) {
		if res.Err != nil {
			t.Fatalf("GetMany: %v: %v", reqs[i].Key, res.Err)
		}
		if d := same(res.Reply, src.docs[reqs[i].Key]); d != "" {
			t.Errorf("GetMany %v (-want +got):\n%s", reqs[i].Key, d)
		}
	}
	if src.batches == 0 {
		t.Error("GetMany asked one by one")
	}
}

// TestFloorTravels: the caller's floor reaches the source.
func TestFloorTravels(t *testing.T) {
	src := everything()
	m := &members{list: []ring.Member{{ID: "a", Addr: serve(t, src, "")}}}
	c := docapi.NewClient(docapi.ClientConfig{}, m, docapi.Deps{})
	defer c.Close()
	want := docapi.Request{Key: catalog.Key{Kind: "product", ID: 2}, Min: catalog.Stamp{Epoch: 5, Version: 6, Token: 7}}
	if _, err := c.Get(t.Context(), docapi.Request{Key: want.Key, Min: want.Min, Revalidate: true}); err != nil {
		t.Fatal(err)
	}
	c.GetMany(t.Context(), []docapi.Request{want, {Key: catalog.Key{Kind: "shop", ID: 1}}})
	if got := src.asked[0]; got.Min != want.Min || !got.Revalidate {
		t.Errorf("single: the source was asked %+v", got)
	}
	if got := src.asked[1]; got.Min != want.Min {
		t.Errorf("batch: the source was asked %+v", got)
	}
}

func TestUnavailableHasRetryAfter(t *testing.T) {
	m := &members{list: []ring.Member{{ID: "a", Addr: serve(t, &fixed{}, "")}, {ID: "b", Addr: serve(t, &fixed{}, "")}}}
	c := docapi.NewClient(docapi.ClientConfig{}, m, docapi.Deps{})
	defer c.Close()
	reqs := []docapi.Request{{Key: catalog.Key{Kind: "product", ID: 1}}, {Key: catalog.Key{Kind: "product", ID: 2}}, {Key: catalog.Key{Kind: "shop", ID: 5}}}
	_, err := c.Get(t.Context(), reqs[0])
	for _, err := range []error{err, c.GetMany(t.Context(), reqs)[1].Err} {
		var u *docapi.Unavailable
		if !errors.As(err, &u) || u.RetryAfter != 2*time.Second || !strings.Contains(u.Reason, "the origin is away") {
			t.Errorf("got %v, want Unavailable with its reason and 2 s", err)
		}
	}
	if len(m.out) != 0 {
		t.Errorf("%v were ejected for an honest answer", m.out)
	}
}

// TestNextOwner: a dead owner is ejected and its keys are had from the next.
func TestNextOwner(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	deadAddr := strings.TrimPrefix(dead.URL, "http://")
	dead.Close()
	src := everything()
	for _, batch := range []bool{false, true} {
		m := &members{list: []ring.Member{{ID: "dead", Addr: deadAddr}, {ID: "alive", Addr: serve(t, src, "")}}}
		c := docapi.NewClient(docapi.ClientConfig{}, m, docapi.Deps{})
		var reqs []docapi.Request
		for key := range src.docs {
			reqs = append(reqs, docapi.Request{Key: key})
		}
		if batch {
			for i, res := range c.GetMany(t.Context(), reqs) {
				if res.Err != nil {
					t.Errorf("batch, %v: %v", reqs[i].Key, res.Err)
				}
			}
		} else {
			for _, r := range reqs {
				if _, err := c.Get(t.Context(), r); err != nil {
					t.Errorf("single, %v: %v", r.Key, err)
				}
			}
		}
		c.Close()
	}
}

func TestProbe(t *testing.T) {
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer stuck.Close()
	c := docapi.NewClient(docapi.ClientConfig{Tokens: credential.NewTokens("x")}, &members{}, docapi.Deps{})
	defer c.Close()
	if err := c.Probe(t.Context(), ring.Member{ID: "a", Addr: serve(t, everything(), "x")}); err != nil {
		t.Errorf("a member that serves: %v", err)
	}
	if err := c.Probe(t.Context(), ring.Member{ID: "a", Addr: serve(t, everything(), "y")}); err == nil {
		t.Error("a member with another token passed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Probe(ctx, ring.Member{ID: "a", Addr: strings.TrimPrefix(stuck.URL, "http://")}); err == nil {
		t.Error("a member that accepts and does not answer passed")
	}
}

func TestCallerWhoLeavesEjectsNobody(t *testing.T) {
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer stuck.Close()
	m := &members{list: []ring.Member{{ID: "a", Addr: strings.TrimPrefix(stuck.URL, "http://")}}}
	c := docapi.NewClient(docapi.ClientConfig{}, m, docapi.Deps{})
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, docapi.Request{Key: catalog.Key{Kind: "product", ID: 1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if len(m.out) != 0 {
		t.Errorf("%v were ejected", m.out)
	}
}

func TestNoMember(t *testing.T) {
	c := docapi.NewClient(docapi.ClientConfig{}, &members{}, docapi.Deps{})
	for _, res := range c.GetMany(t.Context(), make([]docapi.Request, 3)) {
		var u *docapi.Unavailable
		if !errors.As(res.Err, &u) {
			t.Errorf("got %v, want Unavailable", res.Err)
		}
	}
}

func TestHandlerRefuses(t *testing.T) {
	h := docapi.NewHandler(docapi.HandlerConfig{}, catalog.Default(), everything())
	guarded := docapi.NewHandler(docapi.HandlerConfig{Tokens: credential.NewTokens("x")}, catalog.Default(), everything())
	for _, tc := range []struct {
		handler http.Handler
		method  string
		url     string
		want    int
	}{
		{h, "GET", "/v1/doc/product/1", 200},
		{h, "GET", "/v1/doc/product/3", 404},
		{h, "GET", "/v1/doc/product/0", 400},
		{h, "GET", "/v1/doc/product/-1", 400},
		{h, "GET", "/v1/doc/product/9223372036854775808", 400},
		{h, "GET", "/v1/doc/product/%31x", 400},
		{h, "GET", "/v1/doc/nosuch/1", 400},
		{h, "GET", "/v1/doc/product/1?min=1.2", 400},
		{h, "GET", "/v1/doc/product/77", 503},
		{h, "POST", "/v1/doc/product/1", 405},
		{h, "GET", "/v1/docs", 400},
		{h, "GET", "/v1/docs?key=product", 400},
		{h, "GET", "/v1/docs?key=nosuch/1", 400},
		{h, "GET", "/v1/docs?key=product/1@x", 400},
		{h, "GET", "/v1/docs?" + strings.Repeat("key=product/1&", docapi.MaxBatch+1), 400},
		{h, "GET", "/getProductInfo?productId=2", 200},
		{h, "GET", "/getShopInfo?shopId=1", 200},
		{h, "GET", "/getProductInfo", 400},
		{h, "GET", "/elsewhere", 404},
		{guarded, "GET", "/v1/doc/product/1", 401},
	} {
		w := httptest.NewRecorder()
		req := httptest.NewRequest(tc.method, tc.url, nil)
		req.Header.Set("X-Request-Id", "order-4711")
		tc.handler.ServeHTTP(w, req)
		if own := w.Header().Get("Content-Type") == "application/json; charset=utf-8"; w.Header().Get("X-Request-Id") != "order-4711" ||
			w.Code >= 400 && w.Code != 404 && own && !strings.Contains(w.Body.String(), `"request":"order-4711"`) {
			t.Errorf("%s %.60s: the id is %q in the header; the body is %s", tc.method, tc.url, w.Header().Get("X-Request-Id"), w.Body)
		}
		if w.Code != tc.want {
			t.Errorf("%s %.60s: got %d, want %d: %s", tc.method, tc.url, w.Code, tc.want, w.Body)
		}
		if w.Code == 503 && w.Header().Get("Retry-After") != "2" {
			t.Errorf("%s: Retry-After %q, want 2", tc.url, w.Header().Get("Retry-After"))
		}
	}
}

// known notes what the requests that reach it are known by.
type known struct {
	*fixed
	ids chan string
}

func (k known) Load(ctx context.Context, req docapi.Request) (docapi.Reply, error) {
	k.ids <- tracing.RequestID(ctx)
	return k.fixed.Load(ctx, req)
}

func (k known) LoadMany(ctx context.Context, reqs []docapi.Request) []docapi.Result {
	k.ids <- tracing.RequestID(ctx)
	return k.fixed.LoadMany(ctx, reqs)
}

// TestRequestIDTravels: a request keeps its id at the cache role; one that has none gets one there.
func TestRequestIDTravels(t *testing.T) {
	src := known{everything(), make(chan string, 1)}
	c := docapi.NewClient(docapi.ClientConfig{}, &members{list: []ring.Member{{ID: "a", Addr: serve(t, src, "")}}}, docapi.Deps{})
	t.Cleanup(c.Close)
	ctx := tracing.WithRequestID(t.Context(), "order-4711")
	req := docapi.Request{Key: catalog.Key{Kind: "product", ID: 1}}
	if _, err := c.Get(ctx, req); err != nil {
		t.Fatal(err)
	}
	one := <-src.ids
	if res := c.GetMany(ctx, []docapi.Request{req, {Key: catalog.Key{Kind: "product", ID: 2}}}); res[0].Err != nil {
		t.Fatal(res[0].Err)
	}
	if many := <-src.ids; one != "order-4711" || many != "order-4711" {
		t.Errorf("the cache role knows the request as %q, in a batch as %q", one, many)
	}
	if _, err := c.Get(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if id := <-src.ids; id == "" {
		t.Error("a request without an id got none")
	}
}

// TestSeedPathsGiveTheBytes: the replaced service's callers get the document as
// the origin wrote it.
func TestSeedPathsGiveTheBytes(t *testing.T) {
	src := everything()
	h := docapi.NewHandler(docapi.HandlerConfig{}, catalog.Default(), src)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/getProductInfo?productId=1", nil))
	if want := src.docs[catalog.Key{Kind: "product", ID: 1}].Document.Body; !bytes.Equal(w.Body.Bytes(), want) {
		t.Errorf("got %q, want %q", w.Body, want)
	}
}

// FuzzClientAnswer feeds the client what a broken peer could send: it must
// answer with an error or a document, and never with one of another key.
func FuzzClientAnswer(f *testing.F) {
	f.Add([]byte("{\"kind\":\"product\",\"id\":1,\"state\":\"live\",\"stamp\":\"0.0.1\",\"bytes\":2}\n{}{\"kind\":\"shop\",\"id\":1,\"error\":\"x\",\"bytes\":0}\n"))
	f.Add([]byte("{\"kind\":\"product\",\"id\":1,\"bytes\":-1}\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(answer) }))
		defer s.Close()
		m := &members{list: []ring.Member{{ID: "a", Addr: strings.TrimPrefix(s.URL, "http://")}}}
		c := docapi.NewClient(docapi.ClientConfig{}, m, docapi.Deps{})
		defer c.Close()
		reqs := []docapi.Request{{Key: catalog.Key{Kind: "product", ID: 1}}, {Key: catalog.Key{Kind: "shop", ID: 1}}}
		for i, res := range c.GetMany(t.Context(), reqs) {
			if res.Err == nil && res.Reply.Document.Key != reqs[i].Key {
				t.Errorf("asked for %v, got %v", reqs[i].Key, res.Reply.Document.Key)
			}
		}
	})
}
