package origin_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/origin"
)

func TestPull(t *testing.T) {
	s := serve(t, nil)
	c := client(t, origin.Config{BaseURL: s.URL + "/"}, origin.Deps{})
	for _, key := range []catalog.Key{product(7), shop(7)} {
		got, err := c.Pull(t.Context(), key)
		if err != nil || got.State != catalog.Live || string(got.Body) != body(7) || got.Version != 1767323045000 || got.Field != "modifiedTime" {
			t.Errorf("%v: got %+v, %v", key, got, err)
		}
		got, err = c.Pull(t.Context(), catalog.Key{Kind: key.Kind, ID: 901})
		if err != nil || got.State != catalog.Absent || got.Body != nil {
			t.Errorf("%s 901, which does not exist: got %+v, %v, want absent without an error", key.Kind, got, err)
		}
	}
	if _, err := c.Pull(t.Context(), catalog.Key{Kind: "brand", ID: 1}); err == nil {
		t.Error("an unknown kind: no error")
	}
	if _, err := c.Pull(t.Context(), product(0)); !errors.Is(err, catalog.ErrBadID) {
		t.Errorf("id 0: got %v, want ErrBadID", err)
	}
	if n, _, batches := s.seen(); n != 4 || batches != 0 {
		t.Errorf("the origin got %d requests, %d of them batches, want 4 singles", n, batches)
	}
}

// Invariant 5: whatever is no document is an error, of a type that says why.
func TestAnswersThatAreNoDocuments(t *testing.T) {
	for _, c := range []struct {
		name    string
		respond http.HandlerFunc
		bad     bool // ErrBadAnswer
		status  int  // *StatusError
	}{
		{"no JSON", text("<html>sorry</html>"), true, 0},
		{"nothing", text(""), true, 0},
		{"null", text("null"), true, 0},
		{"an array", text(`[{"id":7}]`), true, 0},
		{"cut off", text(`{"id":7`), true, 0},
		{"something behind it", text(`{"id":7} {}`), true, 0},
		{"a stray brace", text(`{"id":7}}`), true, 0},
		{"another document", text(`{"id":8}`), true, 0},
		{"too large", text(`{"id":7,"x":"` + strings.Repeat("x", 2000) + `"}`), true, 0},
		{"too large, announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte("{"))
		}, true, 0},
		{"a redirect elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/steal", http.StatusFound)
		}, true, 0},
		{"a redirect to another port", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "//127.0.0.1:1"+r.RequestURI, http.StatusMovedPermanently)
		}, true, 0},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.RequestURI, http.StatusFound)
		}, true, 0},
		{"204", status(204), false, 204},
		{"400", status(400), false, 400},
		{"403", status(403), false, 403},
		{"410", status(410), false, 410},
		{"429", status(429), false, 429},
		{"500", status(500), false, 500},
		{"503", status(503), false, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.respond)
			got, err := client(t, origin.Config{BaseURL: s.URL, MaxBody: 1000}, origin.Deps{}).Pull(t.Context(), product(7))
			var st *origin.StatusError
			switch {
			case err == nil || got.Body != nil || got.State != catalog.Absent:
				t.Errorf("got %+v, %v, want nothing but an error", got, err)
			case errors.Is(err, origin.ErrBadAnswer) != c.bad:
				t.Errorf("got %v, a bad answer: want %v", err, c.bad)
			case c.status != 0 && (!errors.As(err, &st) || st.Status != c.status):
				t.Errorf("got %v, want the status %d", err, c.status)
			case !strings.Contains(err.Error(), "product 7"):
				t.Errorf("the error does not say what was attempted: %v", err)
			}
		})
	}
}

func TestAnswersThatAre(t *testing.T) {
	long := `{"id":7,"x":"` + strings.Repeat("x", 1000-15) + `"}`
	for name, c := range map[string]struct{ body, want string }{
		"exactly the limit":       {long, long},
		"without an id":           {`{"name":"x"}`, `{"name":"x"}`},
		"with a digit string":     {`{"id":"7"}`, `{"id":"7"}`},
		"white space around it":   {" \n{ \"id\" : 7 }\r\n\t", `{ "id" : 7 }`},
		"bytes stay as they were": {`{"id":7,"price":5599.0,"n":"\u003c","e":1e3}`, `{"id":7,"price":5599.0,"n":"\u003c","e":1e3}`},
	} {
		s := serve(t, text(c.body))
		got, err := client(t, origin.Config{BaseURL: s.URL, MaxBody: 1000}, origin.Deps{}).Pull(t.Context(), product(7))
		if err != nil || string(got.Body) != c.want {
			t.Errorf("%s: got %q, %v, want %q", name, got.Body, err, c.want)
		}
	}
}

func TestRedirectOnTheOriginIsFollowed(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/getProductInfo" {
			http.Redirect(w, r, "/new?productId=7", http.StatusFound)
			return
		}
		fmt.Fprint(w, body(7))
	})
	if got, err := client(t, origin.Config{BaseURL: s.URL}, origin.Deps{}).Pull(t.Context(), product(7)); err != nil || got.State != catalog.Live {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestBaseURLWithAPath(t *testing.T) {
	s := serve(t, nil)
	if _, err := client(t, origin.Config{BaseURL: s.URL + "/shop/v1/"}, origin.Deps{}).Pull(t.Context(), product(7)); err != nil {
		t.Fatal(err)
	}
	if s.paths[0] != "/shop/v1/getProductInfo?productId=7" {
		t.Errorf("asked for %s", s.paths[0])
	}
}

func TestNewListsEveryProblem(t *testing.T) {
	_, err := origin.New(origin.Config{BaseURL: "ftp://u:secret@x", Timeout: -1, Concurrency: -1, Breaker: origin.Breaker{FailurePercent: 101}}, nil, origin.Deps{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, w := range []string{"http://", "timeout", "concurrency", "101", "catalogue"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error lacks %q: %v", w, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error has the password: %v", err)
	}
	for _, u := range []string{"", "x", "http://", "http://h/?q=1", "http://h/#f", "://", "http://h:port"} {
		if _, err := origin.New(origin.Config{BaseURL: u}, catalog.Default(), origin.Deps{}); err == nil {
			t.Errorf("the base URL %q: no error", u)
		}
	}
}

// The origin's deadline ends a pull; so does the caller's, at once.
func TestDeadlines(t *testing.T) {
	hang := make(chan struct{})
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	defer close(hang)
	c := client(t, origin.Config{BaseURL: s.URL, Timeout: 100 * time.Millisecond}, origin.Deps{})
	began := time.Now()
	_, err := c.Pull(t.Context(), product(7))
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took < 90*time.Millisecond || took > 2*time.Second {
		t.Errorf("an origin that hangs: got %v after %v, want the deadline of 100ms", err, took)
	}
	patient := client(t, origin.Config{BaseURL: s.URL, Timeout: time.Minute}, origin.Deps{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began = time.Now()
	if _, err := patient.Pull(ctx, product(7)); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("a caller's deadline: got %v after %v", err, time.Since(began))
	}
	if _, err := patient.Pull(ctx, product(7)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller that is late already: got %v", err)
	}
	if _, err := patient.PullMany(ctx, []catalog.Key{product(7)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("many, late already: got %v", err)
	}
	// A body that stops in the middle is no document either.
	s.answers(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"id":7,`))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	if _, err := c.Pull(t.Context(), product(7)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a body that stops: got %v", err)
	}
}

func TestCloseEndsPulls(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c := client(t, origin.Config{BaseURL: s.URL, Timeout: time.Minute, BatchWindow: time.Minute}, origin.Deps{})
	errs := make(chan error)
	for id := range int64(3) { // one is sent, two gather
		go func() { _, err := c.Pull(t.Context(), product(id+1)); errs <- err }()
	}
	go func() { _, err := c.PullMany(t.Context(), []catalog.Key{shop(1)}); errs <- err }()
	until(t, "two requests at the origin", func() bool { n, _, _ := s.seen(); return n == 2 })
	c.Close()
	c.Close()
	for range 4 {
		select {
		case err := <-errs:
			if err != nil && !errors.Is(err, origin.ErrClosed) {
				t.Errorf("a pull under way: got %v, want ErrClosed", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Close left a pull waiting")
		}
	}
	if _, err := c.Pull(t.Context(), product(9)); !errors.Is(err, origin.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
	if _, err := c.PullMany(t.Context(), []catalog.Key{product(9)}); !errors.Is(err, origin.ErrClosed) {
		t.Errorf("many after Close: got %v, want ErrClosed", err)
	}
}

// Connections are kept and bounded.
func TestConnectionsAreReused(t *testing.T) {
	conns := make(chan struct{}, 1000)
	s := httptest.NewUnstartedServer(http.HandlerFunc(answerDocuments))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns <- struct{}{}
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := client(t, origin.Config{BaseURL: s.URL}, origin.Deps{})
	for id := range int64(50) {
		if _, err := c.Pull(t.Context(), product(880+id)); err != nil { // 404s among them
			t.Fatal(err)
		}
	}
	if n := len(conns); n != 1 {
		t.Errorf("50 pulls one after the other used %d connections", n)
	}
}
