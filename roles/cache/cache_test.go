package cache_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/kafka"
	"eshop/pkg/rediscluster"
	"eshop/roles/cache"
)

func TestReadThroughAndLayers(t *testing.T) {
	onBoth(t, 2, nil, func(t *testing.T, w *world) {
		first := w.load(0, product(7))
		if first.Layer != docapi.LayerOrigin || first.Document.State != catalog.Live || first.Document.Stamp.Token == 0 {
			t.Errorf("cold read: %v %v %v, want a live document with a token from the origin", first.Layer, first.Document.State, first.Document.Stamp)
		}
		if got := w.load(0, product(7)); got.Layer != docapi.LayerL1 {
			t.Errorf("second read came from %v, want l1", got.Layer)
		}
		other := w.load(1, product(7))
		if other.Layer != docapi.LayerRedis || other.Document.Stamp != first.Document.Stamp || string(other.Document.Body) != string(first.Document.Body) {
			t.Errorf("the other process got %v from %v, want %v from redis", other.Document.Stamp, other.Layer, first.Document.Stamp)
		}
		if n := w.servers.Origin.Count("product", 7); n != 1 {
			t.Errorf("%d pulls, want 1", n)
		}
	})
}

// TestInvariant7OnePullPerFleet: however many ask however many processes at
// once, a cold key is pulled once.
func TestInvariant7OnePullPerFleet(t *testing.T) {
	onBoth(t, 2, nil, func(t *testing.T, w *world) {
		w.servers.Origin.SetDelay(50 * time.Millisecond)
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				if r, err := w.roles[i%2].Load(t.Context(), docapi.Request{Key: product(8)}); err != nil || r.Document.State != catalog.Live {
					t.Errorf("load: %v %v", r.Document.State, err)
				}
			})
		}
		wg.Wait()
		if n := w.servers.Origin.Count("product", 8); n != 1 {
			t.Errorf("%d pulls, want 1", n)
		}
	})
}

// TestChangeReachesEveryCopy: an edit is in Redis and in both heaps soon after.
func TestChangeReachesEveryCopy(t *testing.T) {
	onBoth(t, 2, nil, func(t *testing.T, w *world) {
		for i := range w.roles {
			w.load(i, product(9))
		}
		for n := 1; n <= 5; n++ {
			price := fmt.Sprintf(`"price":%d`, 1000+n)
			w.edit(http.MethodPut, product(9), "{"+price+"}")
			for i := range w.roles {
				w.until(fmt.Sprintf("process %d shows %s", i, price), func() (bool, string) {
					body := string(w.load(i, product(9)).Document.Body)
					return strings.Contains(body, price), body
				})
			}
		}
	})
}

func TestDeleteAndRecreate(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		w.load(0, product(10))
		w.edit(http.MethodDelete, product(10), "")
		w.until("the tombstone", func() (bool, string) {
			s := w.load(0, product(10)).Document.State
			return s == catalog.Tombstone, s.String()
		})
		before := w.load(0, product(10)).Document.Stamp
		w.edit(http.MethodPut, product(10), `{"name":"again"}`)
		w.until("the document is back", func() (bool, string) {
			d := w.load(0, product(10)).Document
			return d.State == catalog.Live && before.Less(d.Stamp), d.State.String() + " " + d.Stamp.String()
		})
	})
}

// TestInvariant5AbsenceIsKeptApart: an unknown id is pulled once within the
// negative TTL and leaves nothing in Redis; creating it ends that at once.
func TestInvariant5AbsenceIsKeptApart(t *testing.T) {
	onBoth(t, 1, func(c *cache.Config) { c.NegativeTTL = time.Hour }, func(t *testing.T, w *world) {
		for range 3 {
			if got := w.load(0, product(5000)).Document.State; got != catalog.Absent {
				t.Fatalf("state %v, want absent", got)
			}
		}
		if n := w.servers.Origin.Count("product", 5000); n != 1 {
			t.Errorf("%d pulls, want 1", n)
		}
		if doc, err := w.store.Get(t.Context(), product(5000), rediscluster.FromMaster); err != nil || doc.State != catalog.Absent {
			t.Errorf("Redis holds %v (%v), want nothing", doc.State, err)
		}
		w.edit(http.MethodPut, product(5000), `{"name":"new"}`)
		w.until("the new product shows", func() (bool, string) {
			s := w.load(0, product(5000)).Document.State
			return s == catalog.Live, s.String()
		})
	})
}

// TestInvariant5FailureIsNotCached: an origin that fails is an error for the
// caller and nothing else; the next read after it recovers succeeds.
func TestInvariant5FailureIsNotCached(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		w.servers.Origin.SetFailing(http.StatusInternalServerError)
		if _, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(11)}); err == nil {
			t.Fatal("a failing origin gave no error")
		}
		if doc, err := w.store.Get(t.Context(), product(11), rediscluster.FromMaster); err != nil || doc.State != catalog.Absent {
			t.Errorf("Redis holds %v (%v), want nothing", doc.State, err)
		}
		w.servers.Origin.SetFailing(0)
		if got := w.load(0, product(11)).Document.State; got != catalog.Live {
			t.Errorf("state %v, want live", got)
		}
	})
}

// TestInvariant3LostWriteIsRepaired: Redis loses a write that the bus has
// announced; a read finds that and pulls.
func TestInvariant3LostWriteIsRepaired(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		old := w.load(0, product(12)).Document
		w.edit(http.MethodPut, product(12), `{"price":4242}`)
		var now catalog.Document
		w.until("the edit shows", func() (bool, string) {
			now = w.load(0, product(12)).Document
			return strings.Contains(string(now.Body), "4242"), string(now.Body)
		})
		// The replica that was promoted never had the write: put the old copy back.
		w.command("DEL", w.name+":product_info_12")
		if _, err := w.store.Write(t.Context(), rediscluster.Put, old); err != nil {
			t.Fatal(err)
		}
		got, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(12), Min: catalog.Stamp{Version: now.Stamp.Version, Token: now.Stamp.Token + 1}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(got.Document.Body), "4242") || got.Layer != docapi.LayerOrigin {
			t.Errorf("got %s from %v, want the edited document from the origin", got.Document.Body, got.Layer)
		}
		doc, err := w.store.Get(t.Context(), product(12), rediscluster.FromMaster)
		if err != nil || doc.Stamp.Less(now.Stamp) {
			t.Errorf("Redis holds %v (%v), want at least %v", doc.Stamp, err, now.Stamp)
		}
	})
}

// TestInvariant4MalformedGoesToDeadLetters: what cannot be read is put aside
// with its reason, and the messages behind it are applied.
func TestInvariant4MalformedGoesToDeadLetters(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		w.load(0, product(13))
		pulls := w.servers.Origin.Count("product", 13)
		lines := []string{"not json", `{"serviceId":"nosuch","productId":1}`, `{"serviceId":"productInfoService","productId":0}`, `[]`,
			`{"serviceId":"productInfoService","productId":13,"shopId":1}`}
		w.produce(lines...)
		w.until("the good message is applied", func() (bool, string) {
			n := w.servers.Origin.Count("product", 13)
			return n > pulls, fmt.Sprint(n)
		})
		dead := &collector{}
		reader, err := kafka.NewReader(kafka.ReaderConfig{Config: w.kafka, Topic: w.topic("dead"), Replay: -1}, dead, kafka.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- reader.Run(ctx) }()
		w.until("four dead letters", func() (bool, string) { return dead.len() == 4, fmt.Sprint(dead.len()) })
		cancel()
		<-done
		for _, v := range dead.values() {
			if !strings.Contains(v, `"reason"`) {
				t.Errorf("a dead letter without a reason: %s", v)
			}
		}
	})
}

// TestInvariant12OriginAway: hits go on, changes wait and are applied when it is
// back.
func TestInvariant12OriginAway(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		w.load(0, product(14))
		w.servers.Origin.SetFailing(http.StatusServiceUnavailable)
		if got := w.load(0, product(14)); got.Document.State != catalog.Live {
			t.Errorf("a hit failed while the origin was away: %v", got.Document.State)
		}
		w.produce(`{"serviceId":"productInfoService","productId":14}`)
		w.servers.Origin.SetFailing(0)
		before := w.load(0, product(14)).Document.Stamp
		w.until("the change is applied after the origin is back", func() (bool, string) {
			now := w.load(0, product(14)).Document.Stamp
			return before.Less(now), now.String()
		})
	})
}

func TestInvariant12RedisAway(t *testing.T) {
	w := newWorld(t, 1, func(c *cache.Config) { c.TTL = time.Millisecond })
	w.load(0, product(15))
	if err := w.servers.Redis.Close(); err != nil {
		t.Fatal(err)
	}
	w.until("a known key comes from the heap, marked as stale", func() (bool, string) {
		got := w.load(0, product(15))
		return got.Stale && got.Layer == docapi.LayerL1, fmt.Sprintf("from %v, stale %v", got.Layer, got.Stale)
	})
	cold := w.load(0, product(16))
	if cold.Document.State != catalog.Live || !cold.Document.Provisional {
		t.Errorf("cold key: %v, provisional %v; want a live provisional document", cold.Document.State, cold.Document.Provisional)
	}
}

// TestInvariant12RedisSilent: a Redis that takes connections and answers none of them is waited for once, not before and
// after the pull as well: whoever asks, asks for three seconds.
func TestInvariant12RedisSilent(t *testing.T) {
	w := newWorld(t, 1, nil)
	addr := w.servers.Redis.Addr()
	if err := w.servers.Redis.Close(); err != nil {
		t.Fatal(err)
	}
	silence(t, addr)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	got, err := w.roles[0].Load(ctx, docapi.Request{Key: product(16)})
	if err != nil || got.Document.State != catalog.Live || !got.Document.Provisional {
		t.Errorf("cold key: %v, provisional %v, %v; want a live provisional document", got.Document.State, got.Document.Provisional, err)
	}
}

func TestInvariant12ZooKeeperAway(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.load(0, product(17))
	if err := w.servers.ZooKeeper.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.load(0, product(17)); got.Layer != docapi.LayerL1 {
		t.Errorf("hit from %v, want l1", got.Layer)
	}
	w.until("a cold key is served without a token", func() (bool, string) {
		r, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(18)})
		if err != nil {
			return false, err.Error()
		}
		return r.Document.Provisional || r.Layer != docapi.LayerOrigin, fmt.Sprint(r.Layer)
	})
}

// TestPitfall12FloodOfUnknownIds: ids that do not exist do not cost a lock each.
func TestPitfall12FloodOfUnknownIds(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 200 {
					r, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(int64(1_000_000 + g*1000 + i))})
					if err != nil || r.Document.State != catalog.Absent {
						t.Errorf("unknown id: %v %v", r.Document.State, err)
					}
				}
			})
		}
		wg.Wait()
		if got := w.load(0, product(19)).Document.State; got != catalog.Live {
			t.Errorf("a good product during the flood is %v", got)
		}
	})
}

func TestOldStringValuesAreServedAndReplaced(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		w.command("SET", w.name+":product_info_20", `{"id":20,"name":"from the old system","modifiedTime":"2017-01-01 12:00:00"}`)
		got := w.load(0, product(20)).Document
		if !strings.Contains(string(got.Body), "old system") || got.Stamp.Token != 0 {
			t.Errorf("got %s %v, want the old value with token 0", got.Body, got.Stamp)
		}
		w.until("the refresh replaces it", func() (bool, string) {
			w.load(0, product(20)) // a refresh that failed is asked for again by a read
			doc, err := w.store.Get(t.Context(), product(20), rediscluster.FromMaster)
			return err == nil && doc.Stamp.Token > 0, fmt.Sprint(doc.Stamp, err)
		})
	})
}

func TestForceBringsAnOlderVersionBack(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		w.load(0, shop(3))
		w.edit(http.MethodPut, shop(3), `{"name":"newer","updateTime":2000}`)
		w.until("the newer shop", func() (bool, string) {
			d := w.load(0, shop(3)).Document
			return d.Stamp.Version == 2000, d.Stamp.String()
		})
		w.edit(http.MethodPut, shop(3), `{"name":"restored","updateTime":1000}`)
		w.until("the change has been refused", func() (bool, string) { return w.servers.Origin.Count("shop", 3) >= 3, "" })
		w.produce(`{"serviceId":"shopInfoService","shopId":3,"op":"force"}`)
		w.until("the restored shop", func() (bool, string) {
			d := w.load(0, shop(3)).Document
			return d.Stamp.Version == 1000 && d.Stamp.Epoch > 0, d.Stamp.String()
		})
	})
}
