package origin_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/origin"
)

// gate is a handler that holds requests until it is opened.
type gate struct {
	next http.HandlerFunc
	open chan struct{}
	once sync.Once
}

func newGate(next http.HandlerFunc) *gate { return &gate{next: next, open: make(chan struct{})} }

func (g *gate) handle(w http.ResponseWriter, r *http.Request) {
	<-g.open
	g.next(w, r)
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

// pullAll pulls ids at the same time; the first one alone, until it is at the origin.
func pullAll(t *testing.T, c *origin.Client, s *stub, g *gate, ids ...int64) map[int64]origin.ResultOrErr {
	t.Helper()
	got := map[int64]origin.ResultOrErr{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, id := range ids {
		if i == 1 {
			until(t, "the first pull is at the origin", func() bool { n, _, _ := s.seen(); return n == 1 })
		}
		wg.Go(func() {
			r, err := c.Pull(t.Context(), product(id))
			mu.Lock()
			defer mu.Unlock()
			got[id] = origin.ResultOrErr{Result: r, Err: err}
		})
	}
	if g != nil {
		until(t, "another request is at the origin", func() bool { n, _, _ := s.seen(); return n >= 2 })
		g.release()
	}
	wg.Wait()
	return got
}

func check(t *testing.T, got map[int64]origin.ResultOrErr, ids ...int64) {
	t.Helper()
	for _, id := range ids {
		r, ok := got[id]
		want := catalog.Live
		if id > 900 {
			want = catalog.Absent
		}
		if !ok || r.Err != nil || r.State != want || want == catalog.Live && string(r.Body) != body(id) {
			t.Errorf("product %d: got %+v, want %v", id, r, want)
		}
	}
}

func TestALoneColdKeyPaysNoTax(t *testing.T) {
	s := serve(t, nil)
	c := client(t, origin.Config{BaseURL: s.URL, BatchWindow: time.Minute}, origin.Deps{})
	for id := range int64(5) {
		if _, err := c.Pull(t.Context(), product(id+1)); err != nil { // a minute each, if it waited
			t.Fatal(err)
		}
	}
}

// Concurrent pulls leave as one batch, told apart by the id and not by the
// position; what the batch lacks is asked for alone before it is absent.
func TestConcurrentPullsAreCollapsed(t *testing.T) {
	g := newGate(answerDocuments)
	s := serve(t, g.handle)
	defer g.release()
	c := client(t, origin.Config{BaseURL: s.URL, BatchWindow: 200 * time.Millisecond, Timeout: 10 * time.Second}, origin.Deps{})
	got := pullAll(t, c, s, g, 1, 2, 3, 4, 5, 901, 902)
	check(t, got, 1, 2, 3, 4, 5, 901, 902)
	if n, singles, batches := s.seen(); batches != 1 || singles != 3 {
		t.Errorf("the origin got %d requests, %d batches and %d singles, want 1 and 3: the first, and the two the batch lacked: %v", n, batches, singles, s.paths)
	}
}

func TestABatchHasAtMostBatchMaxIDs(t *testing.T) {
	g := newGate(answerDocuments)
	s := serve(t, g.handle)
	defer g.release()
	c := client(t, origin.Config{BaseURL: s.URL, BatchWindow: time.Minute, BatchMax: 10, Timeout: 10 * time.Second}, origin.Deps{})
	ids := make([]int64, 41) // the first and four full batches: nothing waits for the window
	for i := range ids {
		ids[i] = int64(i + 1)
	}
	check(t, pullAll(t, c, s, g, ids...), ids...)
	if _, singles, batches := s.seen(); singles != 1 || batches != 4 {
		t.Errorf("got %d singles and %d batches, want 1 and 4", singles, batches)
	}
	for _, p := range s.paths {
		if n := strings.Count(p, "%2C") + strings.Count(p, ","); strings.Contains(p, "Infos") && n != 9 {
			t.Errorf("a batch of %d ids: %s", n+1, p)
		}
	}
}

// The same id twice in a window is asked for once.
func TestAnIDIsAskedForOnceInAWindow(t *testing.T) {
	g := newGate(answerDocuments)
	s := serve(t, g.handle)
	defer g.release()
	c := client(t, origin.Config{BaseURL: s.URL, BatchWindow: 100 * time.Millisecond, Timeout: 10 * time.Second}, origin.Deps{})
	check(t, pullAll(t, c, s, g, 1, 2, 2, 2, 2), 1, 2)
	if n, _, batches := s.seen(); n != 2 || batches != 0 {
		t.Errorf("got %d requests, %d batches, want 2 singles: %v", n, batches, s.paths)
	}
}

// A pull never joins a request that was sent before it: that may have read the
// origin before the caller took its token (invariant 2).
func TestAPullReadsAfterItWasCalled(t *testing.T) {
	var mu sync.Mutex
	version := 0
	read := make(chan struct{})
	g := newGate(func(http.ResponseWriter, *http.Request) {})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		v := version
		mu.Unlock()
		if v == 0 {
			close(read)
			<-g.open // read at version 0, answered late
		}
		fmt.Fprintf(w, `{"id":1,"updateTime":%d}`, v)
	})
	defer g.release()
	c := client(t, origin.Config{BaseURL: s.URL, Timeout: 10 * time.Second}, origin.Deps{})
	old := make(chan origin.Result)
	go func() {
		r, _ := c.Pull(t.Context(), product(1))
		old <- r
	}()
	<-read
	mu.Lock()
	version = 1
	mu.Unlock()
	if r, err := c.Pull(t.Context(), product(1)); err != nil || r.Version != 1 {
		t.Errorf("a pull after the change: got version %d, %v, want 1", r.Version, err)
	}
	g.release()
	if r := <-old; r.Version != 0 {
		t.Errorf("the pull before the change: got version %d", r.Version)
	}
}

// A batch form that misbehaves costs requests, never a wrong answer.
func TestOddBatchAnswers(t *testing.T) {
	for _, c := range []struct {
		name    string
		batch   http.HandlerFunc
		singles int // asked for alone, of the three in the batch
		off     bool
	}{
		{"not there", status(404), 3, true},
		{"refused", status(405), 3, true},
		{"not implemented", status(501), 3, true},
		{"no JSON", text("<html>"), 3, true},
		{"an object", text(`{"2":{"id":2}}`), 3, true},
		{"cut off", text(`[` + body(2)), 3, true},
		{"too large", text(`[` + strings.Repeat(" ", 4000) + `]`), 3, true},
		{"empty", text(`[]`), 3, false},
		{"nulls and other things", text(`[null,1,"x",[],` + body(2) + `]`), 2, false},
		{"an id that nobody asked for", text(`[` + body(2) + `,` + body(77) + `,` + body(3) + `,` + body(4) + `]`), 0, false},
		{"without ids", text(`[{"name":"a"},{"name":"b"},{"name":"c"}]`), 3, false},
		{"ids as digit strings", text(`[{"id":"2"},{"id":"3"},{"id":"4"}]`), 0, false},
		{"an id twice, with different bodies", text(`[` + body(2) + `,` + body(3) + `,{"id":2,"name":"other"},` + body(4) + `]`), 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "Infos") {
					c.batch(w, r)
				} else {
					answerDocuments(w, r)
				}
			})
			cl := client(t, origin.Config{BaseURL: s.URL, MaxBody: 1000}, origin.Deps{})
			keys := []catalog.Key{product(2), product(3), product(4)}
			for round := range 2 {
				got, err := cl.PullMany(t.Context(), keys)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range got {
					if r.Err != nil || r.State != catalog.Live || !strings.Contains(string(r.Body), fmt.Sprint(keys[i].ID)) || strings.Contains(string(r.Body), "other") {
						t.Errorf("round %d, %v: got %s, %v", round, keys[i], r.Body, r.Err)
					}
				}
			}
			wantBatches := 2
			if c.off {
				wantBatches = 1 // then it is left alone for a while
			}
			if _, singles, batches := s.seen(); singles != 2*c.singles || batches != wantBatches {
				t.Errorf("got %d singles and %d batches, want %d and %d", singles, batches, 2*c.singles, wantBatches)
			}
		})
	}
}

// An origin in trouble is not asked again by a batch's members one by one.
func TestABatchThatFailsIsNotRepeated(t *testing.T) {
	s := serve(t, status(503))
	c := client(t, origin.Config{BaseURL: s.URL}, origin.Deps{})
	got, err := c.PullMany(t.Context(), []catalog.Key{product(1), product(2), product(3)})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got {
		var st *origin.StatusError
		if !errors.As(r.Err, &st) || st.Status != 503 {
			t.Errorf("product %d: got %+v, want 503", i+1, r)
		}
	}
	if n, _, _ := s.seen(); n != 1 {
		t.Errorf("the origin got %d requests, want 1", n)
	}
}

func TestPullMany(t *testing.T) {
	s := serve(t, nil)
	c := client(t, origin.Config{BaseURL: s.URL, BatchMax: 50}, origin.Deps{})
	var keys []catalog.Key
	for id := range int64(120) {
		keys = append(keys, product(790+id)) // 790…909: nine do not exist
	}
	keys = append(keys, shop(3), product(800), shop(999), catalog.Key{Kind: "brand", ID: 1}, product(-4))
	got, err := c.PullMany(t.Context(), keys)
	if err != nil || len(got) != len(keys) {
		t.Fatalf("got %d results, %v, want %d", len(got), err, len(keys))
	}
	for i, r := range got {
		k := keys[i]
		switch {
		case k.Kind == "brand" || k.ID < 0:
			if r.Err == nil {
				t.Errorf("%v: got %+v, want an error", k, r)
			}
		case k.ID > 900:
			if r.Err != nil || r.State != catalog.Absent {
				t.Errorf("%v: got %+v, want absent", k, r)
			}
		case r.Err != nil || string(r.Body) != body(k.ID):
			t.Errorf("%v: got %+v", k, r)
		}
	}
	if _, singles, batches := s.seen(); batches != 3 || singles != 9+2 {
		t.Errorf("got %d batches and %d singles, want 3 and 11", batches, singles)
	}
	if got, err := c.PullMany(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no keys: got %v, %v", got, err)
	}
}
