package cache_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/hotlist"
	"eshop/pkg/rediscluster"
)

// bigShop is an origin with every product there is, each of one of fifty shops,
// made up when it is asked for. It counts what it is asked.
type bigShop struct {
	url string

	mu       sync.Mutex
	pulls    map[catalog.Key]int
	requests int
	delay    time.Duration
	edition  int                       // of every document
	answer   func(key catalog.Key) int // a status other than 200 for a document, 0: none; a batch fails with any of its documents, but leaves out those with 404
	products int                       // asked for in all
	gate     chan struct{}             // nil: open; else requests for products beyond free ones wait until it is closed
	free     int
	waiting  int // requests at the gate
}

func newBigShop(t testing.TB) *bigShop {
	b := &bigShop{pulls: map[catalog.Key]int{}}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

func (b *bigShop) set(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn()
}

func (b *bigShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, texts, batch := "product", r.FormValue("productId"), r.URL.Path == "/getProductInfos"
	switch {
	case batch:
		texts = r.FormValue("productIds")
	case r.URL.Path == "/getShopInfo":
		kind, texts = "shop", r.FormValue("shopId")
	}
	var keys []catalog.Key
	for text := range strings.SplitSeq(texts, ",") {
		id, _ := strconv.ParseInt(text, 10, 64)
		keys = append(keys, catalog.Key{Kind: kind, ID: id})
	}
	b.mu.Lock()
	b.requests++
	for _, key := range keys {
		b.pulls[key]++
	}
	delay, gate, edition := b.delay, b.gate, b.edition
	if kind != "product" || b.products < b.free {
		gate = nil
	}
	if kind == "product" {
		b.products += len(keys)
	}
	if gate != nil {
		b.waiting++
	}
	b.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		b.set(func() { b.waiting-- })
	}
	if delay > 0 {
		<-time.After(delay)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var bodies []string
	for _, key := range keys {
		status := 0
		if b.answer != nil {
			status = b.answer(key)
		}
		switch {
		case status == http.StatusNotFound && batch:
			continue
		case status != 0:
			w.WriteHeader(status)
			return
		}
		bodies = append(bodies, bodyOf(key, edition))
	}
	if all := strings.Join(bodies, ","); batch {
		fmt.Fprintf(w, "[%s]", all)
	} else {
		fmt.Fprint(w, all)
	}
}

// bodyOf is a document: products of all editions have the same version, shops have none.
func bodyOf(key catalog.Key, edition int) string {
	if key.Kind == "shop" {
		return fmt.Sprintf(`{"id":%d,"name":"shop","edition":%d}`, key.ID, edition)
	}
	return fmt.Sprintf(`{"id":%d,"name":"product","edition":%d,"shopId":%d,"modifiedTime":"2026-01-02 03:04:05"}`, key.ID, edition, (key.ID-1)%50+1)
}

// count returns how many different documents of a kind were asked for, and how often in all.
func (b *bigShop) count(kind string) (different, all int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, n := range b.pulls {
		if key.Kind == kind {
			different++
			all += n
		}
	}
	return different, all
}

func ids(from, to int64) (list []int64) {
	for id := from; id <= to; id++ {
		list = append(list, id)
	}
	return list
}

// rank publishes ids as the most wanted products, the first most, over three partitions.
func (w *world) rank(ids []int64) {
	w.t.Helper()
	client := hotlist.New(hotlist.Deps{Session: w.session()})
	for partition := range int32(3) {
		p, _, err := client.Claim(w.t.Context(), partition, "test")
		if err != nil {
			w.t.Fatal(err)
		}
		top := hotlist.Top{Span: 10_000}
		for i, id := range ids {
			if int32(i%3) == partition {
				top.Keys = append(top.Keys, hotlist.Count{ID: id, N: int64(len(ids) - i)})
			}
		}
		if err := p.PublishTop(w.t.Context(), top); err != nil {
			w.t.Fatal(err)
		}
	}
}

// progress is what /api/prewarm answers.
type progress struct {
	State, Reason, By, Runner, Waiting, Fault                    string
	Generation                                                   int64
	Total, Done, Pulled, Present, Absent, Failed, Related, Retry int
	Seconds, Rate                                                float64
	SecondsLeft                                                  *float64
	Started, Finished                                            *time.Time
	code                                                         int
	body                                                         string
}

// prewarm asks a role's admin API.
func (w *world) prewarm(i int, method string) progress {
	w.t.Helper()
	p, err := askPrewarm(w.t.Context(), w.admins[i].Addr(), method, adminToken)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func askPrewarm(ctx context.Context, addr, method, token string) (p progress, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+"/api/prewarm", nil)
	if err != nil {
		return p, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return p, err
	}
	p.code, p.body = resp.StatusCode, string(body)
	if strings.HasPrefix(p.body, "{") {
		err = json.Unmarshal(body, &p)
	}
	return p, err
}

// midway asks role i for a prewarm and stops the origin in the middle: requests
// for more products than the first batches have wait until the function it
// returns is called.
func (w *world) midway(i int, shopServer *bigShop, total int) (progress, func()) {
	w.t.Helper()
	gate := make(chan struct{})
	open := sync.OnceFunc(func() {
		shopServer.set(func() { shopServer.gate = nil })
		close(gate)
	})
	w.t.Cleanup(open)
	// The four batches that begin at once all get through, so the cursor moves.
	shopServer.set(func() { shopServer.gate, shopServer.free = gate, shopServer.products+max(512, total/4) })
	asked := w.prewarm(i, http.MethodPost)
	if asked.code != http.StatusAccepted {
		w.t.Fatalf("POST /api/prewarm: %d %s", asked.code, asked.body)
	}
	var p progress
	w.until("some of it is done, the rest waits", func() (bool, string) {
		p = w.prewarm(i, http.MethodGet)
		shopServer.mu.Lock()
		defer shopServer.mu.Unlock()
		return p.State == "running" && p.Done > 0 && p.Done < total && shopServer.waiting > 0, p.body
	})
	return p, open
}

// warmed asks role i for a prewarm and waits for its end.
func (w *world) warmed(i int) progress {
	w.t.Helper()
	asked := w.prewarm(i, http.MethodPost)
	if asked.code != http.StatusAccepted || asked.Generation == 0 {
		w.t.Fatalf("POST /api/prewarm: %d %s, want 202 and a generation", asked.code, asked.body)
	}
	return w.ended(i, asked.Generation)
}

// ended waits for the end of a generation.
func (w *world) ended(i int, generation int64) progress {
	w.t.Helper()
	var p progress
	w.untilWithin(60*time.Second, "the prewarm has ended", func() (bool, string) {
		p = w.prewarm(i, http.MethodGet)
		return p.State == "finished" && p.Generation == generation, p.body
	})
	return p
}

// inRedis checks that the masters hold every product, and their shops, live and
// of this edition.
func (w *world) inRedis(ids []int64, edition int) {
	w.t.Helper()
	var keys []catalog.Key
	shops := map[int64]bool{}
	for _, id := range ids {
		keys = append(keys, product(id))
		shops[(id-1)%50+1] = true
	}
	for id := range shops {
		keys = append(keys, shop(id))
	}
	wrong := 0
	for key, doc := range w.masters(keys) {
		if doc.State != catalog.Live || string(doc.Body) != bodyOf(key, edition) || doc.Stamp.Token == 0 {
			if wrong++; wrong < 5 {
				w.t.Errorf("%v in Redis: %v %v %s", key, doc.State, doc.Stamp, doc.Body)
			}
		}
	}
	if wrong > 0 {
		w.t.Errorf("%d of %d documents are not in Redis as they should be", wrong, len(keys))
	}
}

// masters reads documents from the masters, those that a busy machine does not
// answer for in time again.
func (w *world) masters(keys []catalog.Key) map[catalog.Key]catalog.Document {
	w.t.Helper()
	found := map[catalog.Key]catalog.Document{}
	w.until("Redis answers for every key", func() (bool, string) {
		var rest []catalog.Key
		state := ""
		for i, got := range w.store.GetMany(w.t.Context(), keys, rediscluster.FromMaster) {
			if got.Err != nil {
				rest, state = append(rest, keys[i]), got.Err.Error()
				continue
			}
			found[keys[i]] = got.Document
		}
		keys = rest
		return len(rest) == 0, state
	})
	return found
}
