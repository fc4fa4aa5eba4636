package cache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/rediscluster"
)

// lose makes Redis hold an older copy again, as a promoted replica would that
// never had the newer one.
func (w *world) lose(old catalog.Document) {
	w.t.Helper()
	w.command("DEL", w.name+":"+old.Key.Kind+"_info_"+old.Key.String()[len(old.Key.Kind)+1:])
	w.putRedis(old)
}

// putRedis writes one document into Redis that has a lower one, or none.
func (w *world) putRedis(d catalog.Document) {
	w.t.Helper()
	if out, err := w.store.Write(w.t.Context(), rediscluster.Put, d); err != nil || !out.Accepted {
		w.t.Fatalf("write %v to Redis: %+v, %v", d.Key, out, err)
	}
}

// change edits a product, waits until the i-th process shows it, and returns both copies.
func (w *world) change(i int, key catalog.Key, price string) (old, now catalog.Document) {
	w.t.Helper()
	old = w.load(i, key).Document
	w.edit(http.MethodPut, key, `{"price":`+price+`}`)
	w.until("the edit shows", func() (bool, string) {
		now = w.load(i, key).Document
		return strings.Contains(string(now.Body), price), string(now.Body)
	})
	return old, now
}

// TestRepairsAreAnnounced: Redis lost a write and then got another one below the
// floor, with the bytes that the origin has. Copies of the lost write outrank what
// the bus told of the other, so the fleet must hear of the repair, though it
// changes no byte.
func TestRepairsAreAnnounced(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		bus := w.collect(w.topic("invalidate"))
		old, now := w.change(0, product(23), "2323")
		lower := now
		lower.Stamp = old.Stamp
		w.lose(lower)
		got, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(23), Revalidate: true})
		if err != nil || got.Document.Stamp.Less(now.Stamp) {
			t.Fatalf("revalidated: %v, %v; want at least %v", got.Document.Stamp, err, now.Stamp)
		}
		w.until("the repair is announced", func() (bool, string) {
			told := bus.documents()
			return len(told) > 1 && strings.Contains(told[len(told)-1], fmt.Sprintf(`"token":%d`, got.Document.Stamp.Token)), fmt.Sprint(told)
		})
	})
}

// TestRepairsAreCounted: a pull counts as a repair exactly when Redis had
// less than was announced before; a refresh that finds a change is none, although
// the floor stands above what was stored once it is announced.
func TestRepairsAreCounted(t *testing.T) {
	onBoth(t, 1, nil, func(t *testing.T, w *world) {
		// Redis holds what the shop has changed without a message.
		w.putRedis(catalog.Document{Key: product(21), State: catalog.Live, Stamp: catalog.Stamp{Version: 1, Token: 1}, Body: []byte(`{"id":21}`)})
		got, err := w.roles[0].Load(t.Context(), docapi.Request{Key: product(21), Revalidate: true})
		if err != nil || got.Document.Stamp.Version <= 1 {
			t.Fatalf("revalidated: %v, %v", got.Document.Stamp, err)
		}
		if n := w.metric(0, "eshop_redis_repairs_total"); n != 0 {
			t.Errorf("a refresh that found a change counts as %v repairs, want 0", n)
		}

		old, now := w.change(0, product(22), "2222")
		w.lose(old)
		got, err = w.roles[0].Load(t.Context(), docapi.Request{Key: product(22), Revalidate: true})
		if err != nil || got.Document.Stamp.Less(now.Stamp) {
			t.Fatalf("revalidated: %v, %v; want at least %v", got.Document.Stamp, err, now.Stamp)
		}
		if n, all := w.metric(0, "eshop_redis_repairs_total", "cause=audit"), w.metric(0, "eshop_redis_repairs_total"); n != 1 || all != 1 {
			t.Errorf("%v repairs for an auditor of %v, want 1 of 1", n, all)
		}

		// What a gateway's auditor found is counted here and only here, whether or not
		// this process has heard of what Redis lost.
		lost := catalog.Stamp{Version: 1, Token: 7}
		w.putRedis(catalog.Document{Key: product(23), State: catalog.Live, Stamp: catalog.Stamp{Version: 1, Token: 5}, Body: []byte(`{"id":23}`)})
		if _, err = w.roles[0].Load(t.Context(), docapi.Request{Key: product(23), Min: lost, Revalidate: true}); err != nil {
			t.Fatal(err)
		}
		if n, all := w.metric(0, "eshop_redis_repairs_total", "cause=audit"), w.metric(0, "eshop_redis_repairs_total"); n != 2 || all != 2 {
			t.Errorf("%v repairs for an auditor of %v, want 2 of 2", n, all)
		}
	})
}
