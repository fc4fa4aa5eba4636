package cache_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/rediscluster"
)

// degrade asks role i's admin API and waits until every role has heard of it.
func (w *world) degrade(i int, method, query string) {
	w.t.Helper()
	code, text := w.admin(i, method, "/api/degrade?"+query)
	if code != http.StatusOK {
		w.t.Fatalf("%s %s: %d %s", method, query, code, text)
	}
	var said struct{ Until time.Time }
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
	for j := range w.admins {
		w.until("every process has heard of the switch", func() (bool, string) {
			_, now := w.admin(j, http.MethodGet, "/api/degrade")
			if method == http.MethodDelete {
				return strings.Contains(now, `"switches": []`), now
			}
			stands, _ := json.Marshal(said.Until)
			return strings.Contains(now, string(stands)), now
		})
	}
}

func (w *world) admin(i int, method, path string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.admins[i].Addr()+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// inRedisIs waits until Redis holds a body with these words.
func (w *world) inRedisIs(key catalog.Key, words string) {
	w.t.Helper()
	w.until(fmt.Sprintf("Redis holds %s of %v", words, key), func() (bool, string) {
		doc, err := w.store.Get(w.t.Context(), key, rediscluster.FromMaster)
		return err == nil && strings.Contains(string(doc.Body), words), fmt.Sprint(string(doc.Body), err)
	})
}

func (w *world) pulls() (n int64) {
	for _, of := range w.servers.Origin.Pulls() {
		n += of
	}
	return n
}

// TestNoOrigin: copies are served as they are, what has none is refused with a
// time to ask again, changes of the kind wait while those of another go on, and
// nothing is pulled, until the switch ends: then all goes on by itself.
func TestNoOrigin(t *testing.T) {
	for _, end := range []string{"by hand", "by its time"} {
		t.Run(end, func(t *testing.T) {
			onBoth(t, 2, nil, func(t *testing.T, w *world) {
				for i := range w.roles {
					w.load(i, product(7))
					w.load(i, shop(3))
				}
				w.load(0, product(9)) // in Redis only, for the other process
				w.degrade(0, http.MethodPost, "kind=product&mode=no-origin&by=oncall&for=1h")
				before := w.pulls()
				for i, want := range []docapi.Layer{docapi.LayerL1, docapi.LayerRedis} {
					if got := w.load(i, product(9)); got.Layer != want || got.Stale || got.Document.State != catalog.Live {
						t.Errorf("process %d has %v from %s, stale %v, want it live from %s", i, got.Document.State, got.Layer, got.Stale, want)
					}
				}
				for i, r := range w.roles {
					_, err := r.Load(t.Context(), docapi.Request{Key: product(8)})
					var u *docapi.Unavailable
					if !errors.As(err, &u) || u.RetryAfter < time.Second || u.RetryAfter > 30*time.Second || !strings.Contains(u.Reason, "set by oncall at") {
						t.Errorf("process %d, nothing there: %v, want Unavailable with a time and the author", i, err)
					}
					res := r.LoadMany(t.Context(), []docapi.Request{{Key: product(7)}, {Key: product(8)}, {Key: shop(3)}, {Key: product(1000 + int64(i))}})
					if res[0].Err != nil || res[1].Err == nil || res[2].Err != nil || res[3].Err == nil {
						t.Errorf("process %d, four at once: %v, %v, %v, %v", i, res[0].Err, res[1].Err, res[2].Err, res[3].Err)
					}
					if got, err := r.Load(t.Context(), docapi.Request{Key: product(7), Revalidate: true}); err != nil || !got.Stale {
						t.Errorf("process %d, asked to pull anew: stale %v, %v, want the stored copy, marked", i, got.Stale, err)
					}
				}
				if n := w.pulls(); n != before {
					t.Errorf("%d pulls while there is to be none", n-before)
				}
				// More changes than there are handlers.
				for n := range int64(60) {
					w.edit(http.MethodPut, product(100+n), `{"price":4711}`)
				}
				w.edit(http.MethodPut, product(7), `{"price":4711}`)
				w.edit(http.MethodPut, shop(3), `{"name":"Renamed"}`)
				w.inRedisIs(shop(3), "Renamed")
				w.inRedisIs(product(7), `"id":7`)
				for key, n := range w.servers.Origin.Pulls() {
					if key.Kind == "product" && key.ID != 7 && key.ID != 9 && n > 0 {
						t.Errorf("%v was pulled %d times", key, n)
					}
				}
				if got := w.load(1, product(7)); strings.Contains(string(got.Document.Body), "4711") {
					t.Error("a change was applied that was to wait")
				}
				if _, text := w.admin(1, http.MethodGet, "/api/explain?kind=product&id=7"); !strings.Contains(text, `"mode": "no-origin"`) || !strings.Contains(text, `"by": "oncall at 127.0.0.1"`) {
					t.Errorf("explain does not tell of the switch: %s", text)
				}
				if end == "by hand" {
					w.degrade(1, http.MethodDelete, "kind=product&mode=no-origin")
				} else if code, text := w.admin(1, http.MethodPost, "/api/degrade?kind=product&mode=no-origin&for=1s"); code != http.StatusOK { // written over: over soon
					t.Fatalf("%d %s", code, text)
				}
				for n := range int64(60) {
					w.inRedisIs(product(100+n), "4711")
				}
				for i := range w.roles {
					w.until("the change shows", func() (bool, string) {
						body := string(w.load(i, product(7)).Document.Body)
						return strings.Contains(body, "4711"), body
					})
				}
				if got := w.load(0, product(8)); got.Document.State != catalog.Live {
					t.Errorf("what was refused before: %v", got.Document.State)
				}
				for _, key := range []catalog.Key{product(7), product(100)} {
					if _, text := w.admin(0, http.MethodGet, "/api/dead-letters"); strings.Contains(text, key.String()) {
						t.Errorf("%v was given up: %s", key, text)
					}
				}
			})
		})
	}
}

// TestNoOriginBelowTheFloor: what Redis has lost is not served in an old form
// because the origin must not be asked (invariant 3).
func TestNoOriginBelowTheFloor(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		got := w.load(0, product(7)).Document
		w.degrade(0, http.MethodPost, "kind=*&mode=no-origin&for=1h")
		above := got.Stamp
		above.Token++
		if reply, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(7), Min: above}); err == nil {
			t.Errorf("got %v, which is below %v", reply.Document.Stamp, above)
		}
	})
}

// TestSwitchesPausePrewarms: with either mode, nothing of the kind is pulled for
// a prewarm, which tells what it waits for and goes on by itself.
func TestSwitchesPausePrewarms(t *testing.T) {
	for _, mode := range []string{"no-origin", "stale-only"} {
		t.Run(mode, func(t *testing.T) {
			onBothWith(t, 1, nil, func(t *testing.T, w *world, shopServer *bigShop) {
				w.rank(ids(1, 200))
				w.degrade(0, http.MethodPost, "kind=product&for=1h&mode="+mode)
				asked := w.prewarm(0, http.MethodPost)
				w.until("the prewarm waits", func() (bool, string) {
					p := w.prewarm(0, http.MethodGet)
					return strings.Contains(p.Waiting, mode+" is in effect for the kind product"), p.body
				})
				if _, all := shopServer.count("product"); all != 0 {
					t.Errorf("%d pulls, want none", all)
				}
				w.degrade(0, http.MethodDelete, "kind=*")
				if end := w.ended(0, asked.Generation); end.Pulled != 200 || end.Failed != 0 {
					t.Errorf("the end: %s", end.body)
				}
			})
		})
	}
}

// TestRandomSwitches4: an operator switches at random while products change and
// are read. While every process knows that there is to be no pull, there is none;
// in the end every change is applied (invariant 4).
func TestRandomSwitches4(t *testing.T) {
	onBoth(t, 2, nil, func(t *testing.T, w *world) {
		r := rand.New(rand.NewPCG(5, 6))
		price := map[catalog.Key]int{}
		for round := range 7 {
			// Every other time what was to wait may be under way when the next switch is set.
			quiet := round%2 == 0
			for key, want := range price {
				if quiet {
					w.inRedisIs(key, fmt.Sprintf(`"price":%d`, want))
				}
			}
			kinds := []string{"product", "shop", "*"}[r.IntN(3)]
			w.degrade(r.IntN(2), http.MethodPost, fmt.Sprintf("kind=%s&mode=no-origin&for=1h", kinds))
			free := func(key catalog.Key) bool { return kinds != "*" && kinds != key.Kind }
			before := w.servers.Origin.Pulls()
			for n := range 15 {
				key := product(1 + r.Int64N(5))
				if r.IntN(2) == 0 {
					key = shop(key.ID)
				}
				price[key] = 1000*(round+1) + n
				w.edit(http.MethodPut, key, fmt.Sprintf(`{"price":%d}`, price[key]))
				_, err := w.roles[r.IntN(2)].Load(t.Context(), docapi.Request{Key: key})
				if free(key) && err != nil {
					t.Errorf("%v is not held back: %v", key, err)
				}
			}
			for key, n := range w.servers.Origin.Pulls() {
				if quiet && !free(key) && n != before[key] {
					t.Errorf("round %d, %s held back: %v was pulled", round, kinds, key)
				}
			}
			w.degrade(r.IntN(2), http.MethodDelete, "kind=*")
		}
		for key, want := range price {
			w.inRedisIs(key, fmt.Sprintf(`"price":%d`, want))
			for i := range w.roles {
				w.until("every process shows it", func() (bool, string) {
					body := string(w.load(i, key).Document.Body)
					return strings.Contains(body, fmt.Sprintf(`"price":%d`, want)), body
				})
			}
		}
	})
}
