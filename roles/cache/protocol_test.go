package cache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/kafka"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
	"eshop/roles/cache"
)

// session is a ZooKeeper session of the test's own.
func (w *world) session() *zookeeper.Session {
	w.t.Helper()
	s, err := zookeeper.New(zookeeper.Config{Servers: w.zk, Root: "/" + w.name}, zookeeper.Deps{})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	return s
}

// TestInvariant2TokenBeforePull: when the origin is asked, the token of the
// write exists already: one taken at that moment is above it. That holds for
// reads and for changes.
func TestInvariant2TokenBeforePull(t *testing.T) {
	var at atomic.Int64 // a token taken while the origin was being asked
	var session *zookeeper.Session
	shopServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := session.Token(r.Context())
		if err != nil {
			t.Error(err)
		}
		at.Store(token)
		fmt.Fprintf(w, `{"id":%s,"name":"x"}`, r.URL.Query().Get("productId"))
	}))
	defer shopServer.Close()
	onBoth(t, 1, func(c *cache.Config) { c.Origin.BaseURL = shopServer.URL }, func(t *testing.T, w *world) {
		session = w.session()
		check := func(what string, doc catalog.Document) {
			t.Helper()
			if taken := at.Load(); doc.Stamp.Token == 0 || doc.Stamp.Token >= taken {
				t.Errorf("%s: the document has the token %d, one taken during the pull is %d", what, doc.Stamp.Token, taken)
			}
		}
		first := w.load(0, product(1)).Document
		check("a read", first)
		w.produce(`{"serviceId":"productInfoService","productId":1}`)
		w.until("the change is applied", func() (bool, string) {
			doc := w.load(0, product(1)).Document
			return first.Stamp.Less(doc.Stamp), doc.Stamp.String()
		})
		check("a change", w.load(0, product(1)).Document)
	})
}

// TestPitfall8FillsAreNotBroadcast: reading however many cold keys sends nothing
// to the fleet; a change sends one message.
func TestPitfall8FillsAreNotBroadcast(t *testing.T) {
	onBoth(t, 2, nil, func(t *testing.T, w *world) {
		bus := w.collect(w.topic("invalidate"))
		for id := int64(30); id < 60; id++ {
			w.load(int(id)%2, product(id))
		}
		w.edit(http.MethodPut, product(30), `{"price":1}`)
		w.until("the change is announced", func() (bool, string) { return len(bus.documents()) > 0, "nothing" })
		beats := len(bus.values())
		w.until("two more heartbeats, behind which a fill's message would stand", func() (bool, string) {
			return len(bus.values()) >= beats+4, fmt.Sprint(len(bus.values()))
		})
		if got := bus.documents(); len(got) != 1 || !strings.Contains(got[0], `"id":30`) {
			t.Errorf("the bus has %q, want the one change", got)
		}
	})
}

// collect reads a topic from its beginning until the test ends.
func (w *world) collect(topic string) *collector {
	w.t.Helper()
	c := &collector{}
	reader, err := kafka.NewReader(kafka.ReaderConfig{Config: w.kafka, Topic: topic, Replay: -1}, c, kafka.Deps{})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- reader.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	return c
}

// TestDeleteAfterALostWrite: Redis lost the version that is being deleted. The
// tombstone must still be above what the fleet was told of, or every copy stays.
func TestDeleteAfterALostWrite(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		w.load(0, product(61))
		w.edit(http.MethodPut, product(61), `{"price":77}`)
		var told catalog.Stamp
		w.until("the edit shows", func() (bool, string) {
			doc := w.load(0, product(61)).Document
			told = doc.Stamp
			return strings.Contains(string(doc.Body), `"price":77`), string(doc.Body)
		})
		w.command("DEL", w.cat.RedisKey(product(61)))
		w.edit(http.MethodDelete, product(61), "")
		w.until("the tombstone, above what was told", func() (bool, string) {
			doc := w.load(0, product(61)).Document
			return doc.State == catalog.Tombstone && told.Less(doc.Stamp), doc.State.String() + " " + doc.Stamp.String()
		})
	})
}

// TestRevalidateAsksTheOrigin: an operator who asks for a fresh pull gets one,
// and a stored copy, marked, when the origin is away.
func TestRevalidateAsksTheOrigin(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.load(0, product(62))
	pulls := w.servers.Origin.Count("product", 62)
	if _, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(62), Revalidate: true}); err != nil {
		t.Fatal(err)
	}
	if n := w.servers.Origin.Count("product", 62); n != pulls+1 {
		t.Errorf("%d pulls, want one more than %d", n, pulls)
	}
	w.servers.Origin.SetFailing(http.StatusInternalServerError)
	got, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(62), Revalidate: true})
	if err != nil || !got.Stale || got.Document.State != catalog.Live {
		t.Errorf("origin away: %v, stale %v, %v; want the stored copy, marked", got.Document.State, got.Stale, err)
	}
}

// TestHopelessDocumentGoesToTheDeadLetters: an origin that answers one document
// badly for good must not hold up the messages behind it for ever. Once the shop is
// mended an operator sends the message again, and the change is there.
func TestHopelessDocumentGoesToTheDeadLetters(t *testing.T) {
	var mended atomic.Bool
	shopServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mended.Load() {
			fmt.Fprint(w, `{"id":63,"name":"mended"}`)
			return
		}
		fmt.Fprint(w, "this is no JSON")
	}))
	defer shopServer.Close()
	onBoth(t, 2, func(c *cache.Config) {
		mended.Store(false)
		c.Origin.BaseURL, c.AnnounceLimit = shopServer.URL, 200*time.Millisecond
	}, func(t *testing.T, w *world) {
		dead := w.collect(w.topic("dead"))
		w.produce(`{"serviceId":"productInfoService","productId":63}`)
		w.until("the dead letter", func() (bool, string) { return dead.len() == 1, fmt.Sprint(dead.len()) })
		if code, text := w.admin(0, http.MethodGet, "/api/dead-letters"); code != http.StatusOK || !strings.Contains(text, `"open": 1`) || !strings.Contains(text, `"reason"`) {
			t.Fatalf("GET /api/dead-letters: %d %s", code, text)
		}
		mended.Store(true)
		if code, text := w.admin(0, http.MethodPost, "/api/dead-letters/replay?partition=0&offset=0"); code != http.StatusOK || !strings.Contains(text, `"replayed"`) {
			t.Fatalf("replay: %d %s", code, text)
		}
		w.until("the change is applied", func() (bool, string) {
			doc, err := w.store.Get(t.Context(), product(63), rediscluster.FromMaster)
			return strings.Contains(string(doc.Body), "mended"), fmt.Sprint(doc.State, err)
		})
		for request, want := range map[string]int{
			"replay?partition=0&offset=0": http.StatusConflict, "discard?partition=0&offset=9": http.StatusNotFound, "replay?partition=0": http.StatusBadRequest,
		} {
			if code, text := w.admin(1, http.MethodPost, "/api/dead-letters/"+request); code != want {
				t.Errorf("%s by another process: %d %s, want %d", request, code, text, want)
			}
		}
		if _, text := w.admin(1, http.MethodGet, "/api/dead-letters"); !strings.Contains(text, `"open": 0`) {
			t.Errorf("another process says %s", text)
		}
	})
}

// TestProvisionalCopyOutranksNothing: what was pulled while Redis was away gives
// way to what Redis holds when it is back, although its pull was later.
func TestProvisionalCopyOutranksNothing(t *testing.T) {
	w := newWorld(t, 1, nil)
	stored := catalog.Document{Key: product(64), State: catalog.Live, Body: []byte(`{"id":64,"name":"stored"}`), Stamp: catalog.Stamp{Version: 1, Token: 1}, Field: "updateTime", Pulled: time.Now()}
	addr := w.servers.Redis.Addr()
	if err := w.servers.Redis.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.load(0, product(64)); !got.Document.Provisional {
		t.Fatalf("with Redis away the copy is not provisional: %v from %v", got.Document.Stamp, got.Layer)
	}
	w.restartRedis(addr)
	w.until("the document is stored", func() (bool, string) {
		_, err := w.store.Write(t.Context(), rediscluster.Put, stored)
		return err == nil, fmt.Sprint(err)
	})
	w.until("the stored copy is served from the heap", func() (bool, string) {
		got := w.load(0, product(64))
		return got.Layer == docapi.LayerL1 && strings.Contains(string(got.Document.Body), "stored"), string(got.Document.Body)
	})
}
