package cache_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/rediscluster"
	"eshop/roles/cache"
)

// TestInvariants1And2PrewarmRacesWithChanges: prewarms of everything, again and
// again, in a random schedule with edits, deletions, their change messages and
// reads, on an origin whose answers are on their way for long. No stamp in Redis ever goes down, and when all is
// quiet every document is what the origin shows. The shops have no version, so
// nothing but the order of token, pull and write keeps an old one out.
func TestInvariants1And2PrewarmRacesWithChanges(t *testing.T) {
	const products, shops = 60, 50
	adjust := func(c *cache.Config) {
		c.Refresh, c.PrewarmBatch, c.Origin.BaseURL = time.Millisecond, 16, slowWayBack(t, c.Origin.BaseURL)
	}
	onBoth(t, 2, adjust, func(t *testing.T, w *world) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		var keys []catalog.Key
		for _, id := range ids(1, products) {
			keys = append(keys, product(id))
		}
		for _, id := range ids(1, shops) {
			keys = append(keys, shop(id))
		}
		w.rank(ids(1, products))

		editing, edited := context.WithCancel(t.Context())
		defer edited()
		var beside sync.WaitGroup
		beside.Go(func() { w.watchStamps(editing, keys) })
		for reader := range 2 {
			beside.Go(func() {
				dice := rand.New(rand.NewPCG(seed, uint64(reader)))
				for editing.Err() == nil {
					key := keys[dice.IntN(len(keys))]
					if _, err := w.roles[reader].Load(t.Context(), docapi.Request{Key: key, Revalidate: dice.IntN(4) == 0}); err != nil {
						t.Logf("read %v: %v", key, err) // announced, and the origin's answer came from before: the next one has it
					}
					_ = pauseFor(editing, time.Duration(dice.IntN(3000))*time.Microsecond)
				}
			})
		}
		runs := 0
		var changed sync.Map // keys that were edited: their changes have brought them
		beside.Go(func() {
			for editing.Err() == nil {
				if got, err := askPrewarm(t.Context(), w.admins[runs%2].Addr(), http.MethodPost, adminToken); err != nil {
					t.Error(err)
				} else if got.code == http.StatusAccepted {
					runs++
				}
				_ = pauseFor(editing, 20*time.Millisecond)
			}
		})
		var editors sync.WaitGroup
		for editor := range 4 {
			editors.Go(func() {
				dice := rand.New(rand.NewPCG(seed, 100+uint64(editor)))
				for i := range 60 {
					key := keys[dice.IntN(len(keys))]
					method := http.MethodPut
					if dice.IntN(5) == 0 {
						method = http.MethodDelete
					}
					changed.Store(key, true)
					if err := w.tryEdit(method, key, fmt.Sprintf(`{"name":"edit %d of %d"}`, i, editor)); err != nil {
						t.Error(err)
					}
					_ = pauseFor(t.Context(), time.Duration(dice.IntN(20))*time.Millisecond)
				}
			})
		}
		editors.Wait()
		edited()
		beside.Wait()
		var last progress
		w.untilWithin(30*time.Second, "the last prewarm has ended", func() (bool, string) {
			last = w.prewarm(0, http.MethodGet)
			return last.State == "finished", last.body
		})
		t.Logf("%d prewarms, the last one: %s", runs, last.body)
		if runs < 2 {
			t.Errorf("%d prewarms raced with the edits, want some", runs)
		}
		w.untilWithin(30*time.Second, "Redis holds what the origin shows", func() (bool, string) {
			for i, got := range w.store.GetMany(t.Context(), keys, rediscluster.FromMaster) {
				want := w.shown(keys[i])
				if _, brought := changed.Load(keys[i]); !brought && got.Err == nil && got.Document.Stamp == (catalog.Stamp{}) {
					// Nobody has asked for it, and no product of the ranking has this shop any more.
					_, err := w.roles[0].Load(t.Context(), docapi.Request{Key: keys[i]})
					return false, fmt.Sprintf("%v had to be asked for: %v", keys[i], err)
				}
				if got.Err != nil || want == "" && got.Document.State == catalog.Live || want != "" && string(got.Document.Body) != want {
					return false, fmt.Sprintf("%v: %v %v %s (%v), the origin shows %s", keys[i], got.Document.State, got.Document.Stamp, got.Document.Body, got.Err, want)
				}
			}
			return true, ""
		})
	})
}

// slowWayBack is in front of an origin and holds each answer for up to 20 ms: it
// is older than it seems when it arrives.
func slowWayBack(t testing.TB, origin string) string {
	target, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ModifyResponse = func(r *http.Response) error {
		return pauseFor(r.Request.Context(), rand.N(20*time.Millisecond))
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// watchStamps checks that no stamp goes down, and that nothing vanishes, until ctx ends.
func (w *world) watchStamps(ctx context.Context, keys []catalog.Key) {
	highest := make([]catalog.Stamp, len(keys))
	for ctx.Err() == nil {
		for i, got := range w.store.GetMany(w.t.Context(), keys, rediscluster.FromMaster) {
			if got.Err != nil {
				continue // a busy machine; the next look tells
			}
			if got.Document.Stamp.Less(highest[i]) {
				w.t.Errorf("%v went from %v down to %v", keys[i], highest[i], got.Document.Stamp)
			}
			highest[i] = highest[i].Max(got.Document.Stamp)
		}
		_ = pauseFor(ctx, 2*time.Millisecond)
	}
}

func pauseFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tryEdit is edit for other goroutines; deleting what is not there is no error.
func (w *world) tryEdit(method string, key catalog.Key, body string) error {
	code, text, err := w.atOrigin(method, key, body)
	if err == nil && code >= 300 && code != http.StatusNotFound {
		err = fmt.Errorf("%s %v: %d %s", method, key, code, text)
	}
	return err
}

// shown is the document at the origin, "" when there is none.
func (w *world) shown(key catalog.Key) string {
	w.t.Helper()
	code, text, err := w.atOrigin(http.MethodGet, key, "")
	if err != nil || code != http.StatusOK && code != http.StatusNotFound {
		w.t.Fatalf("look at %v: %d %s (%v)", key, code, text, err)
	}
	if code == http.StatusNotFound {
		return ""
	}
	return text
}
