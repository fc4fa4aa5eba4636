package cache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/embedded"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
	"eshop/roles/cache"
)

// onBothWith is onBoth with an origin that has everything.
func onBothWith(t *testing.T, n int, adjust func(*cache.Config), body func(t *testing.T, w *world, shopServer *bigShop)) {
	var shopServer *bigShop
	onBoth(t, n, func(c *cache.Config) {
		if c.ID == "cache-0" {
			shopServer = newBigShop(t)
		}
		c.Origin.BaseURL = shopServer.url
		if adjust != nil {
			adjust(c)
		}
	}, func(t *testing.T, w *world) { body(t, w, shopServer) })
}

// TestPrewarmTwice: ten thousand products into an empty Redis, each pulled once;
// a second time nothing is left to pull. The embedded Redis, whose scripts are
// interpreted in Go, gets a tenth of them.
func TestPrewarmTwice(t *testing.T) {
	onBothWith(t, 2, nil, func(t *testing.T, w *world, shopServer *bigShop) {
		n := 10_000
		if w.servers.Redis != nil {
			n = 1000
		}
		if got := w.prewarm(0, http.MethodGet); got.State != "none" {
			t.Errorf("before the first: %s", got.body)
		}
		w.rank(ids(1, int64(n)))
		first := w.warmed(0)
		if first.Total != n || first.Pulled != n || first.Related < 50 || first.Failed+first.Absent+first.Present != 0 || first.Reason != "command" {
			t.Errorf("the first time: %s", first.body)
		}
		w.inRedis(ids(1, int64(n)), 0)
		for kind, want := range map[string]int{"product": n, "shop": 50} {
			if different, all := shopServer.count(kind); different != want || all != want {
				t.Errorf("%d pulls of %d different documents of kind %s, want each of %d once", all, different, kind, want)
			}
		}
		second := w.warmed(1)
		if second.Present != n || second.Pulled+second.Failed+second.Absent != 0 || second.Generation <= first.Generation {
			t.Errorf("the second time: %s", second.body)
		}
		if _, all := shopServer.count("product"); all != n {
			t.Errorf("%d pulls after the second time, want %d as before", all, n)
		}
		t.Logf("empty: %.2f s, full: %.2f s, %d requests", first.Seconds, second.Seconds, shopServer.requests)
	})
}

// TestPrewarmGoesOnElsewhere: the runner stops in the middle; another process
// goes on at its cursor, and only what was under way is pulled again.
func TestPrewarmGoesOnElsewhere(t *testing.T) {
	onBothWith(t, 2, nil, func(t *testing.T, w *world, shopServer *bigShop) {
		const n = 4000
		w.rank(ids(1, n))
		half, open := w.midway(0, shopServer, n)
		runner, other := 0, 1
		if half.Runner == "cache-1" {
			runner, other = 1, 0
		}
		w.stops[runner]()
		open()
		end := w.ended(other, half.Generation)
		if end.Runner != fmt.Sprintf("cache-%d", other) || end.Pulled != n || end.Failed != 0 {
			t.Errorf("the end: %s", end.body)
		}
		w.inRedis(ids(1, n), 0)
		shopServer.onceBut(t, n, 4*128)
	})
}

// onceBut checks that n products were pulled, none more than twice, and at most so many twice.
func (b *bigShop) onceBut(t testing.TB, n, most int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	twice := 0
	for id := range int64(n) {
		switch pulls := b.pulls[product(id+1)]; {
		case pulls == 2:
			twice++
		case pulls != 1:
			t.Errorf("product %d was pulled %d times", id+1, pulls)
		}
	}
	if twice > most {
		t.Errorf("%d products were pulled twice, at most %d were under way", twice, most)
	}
	t.Logf("%d of %d were pulled twice", twice, n)
}

// TestPrewarmOutcomes: what the origin does not have, has no more, or answers
// badly, and what Redis holds in the form of the replaced system.
func TestPrewarmOutcomes(t *testing.T) {
	onBothWith(t, 1, nil, func(t *testing.T, w *world, shopServer *bigShop) {
		bus := w.collect(w.topic("invalidate"))
		deleted, unknown, hopeless, foreign, lone := product(41), product(42), product(43), product(44), product(45)
		w.load(0, deleted)
		w.command("SET", w.cat.RedisKey(foreign), `{"id":44,"name":"from the old system"}`)
		unwell := 2 // answers of a shop
		shopServer.set(func() {
			shopServer.answer = func(key catalog.Key) int {
				switch {
				case key == deleted, key == unknown, key == shop(45): // lone is the one product of that shop
					return http.StatusNotFound
				case key == shop(1) && unwell > 0:
					unwell--
					return http.StatusInternalServerError
				case key == hopeless:
					return http.StatusInternalServerError
				}
				return 0
			}
		})
		// An age at which it is pulled again: the time of its pull is taken away.
		w.command("HDEL", w.cat.RedisKey(deleted), "p")
		w.rank(append(ids(1, 30), deleted.ID, unknown.ID, hopeless.ID, foreign.ID, lone.ID))
		end := w.warmed(0)
		if end.Pulled != 32 || end.Absent != 2 || end.Failed != 1 || end.Retry != 3 || !strings.Contains(end.Fault, "500") {
			t.Errorf("got %s", end.body)
		}
		for key, want := range map[catalog.Key]catalog.State{deleted: catalog.Tombstone, unknown: catalog.Absent, hopeless: catalog.Absent,
			foreign: catalog.Live, lone: catalog.Live, shop(45): catalog.Absent, product(1): catalog.Live, shop(1): catalog.Live} {
			doc, err := w.store.Get(t.Context(), key, rediscluster.FromMaster)
			if err != nil || doc.State != want || want == catalog.Live && string(doc.Body) != bodyOf(key, 0) {
				t.Errorf("%v is %v %s (%v) in Redis, want it %v", key, doc.State, doc.Body, err, want)
			}
		}
		w.until("the deletion and the replaced value are announced", func() (bool, string) {
			list := bus.documents()
			return len(list) >= 2, strings.Join(list, "\n")
		})
		list := strings.Join(bus.documents(), "\n")
		if len(bus.documents()) != 2 || !strings.Contains(list, `"id":41`) || !strings.Contains(list, `"id":44`) {
			t.Errorf("the bus has %s, want what became of products 41 and 44", list)
		}
		// A tombstone that is young says enough; what is not cached is asked for again.
		shopServer.set(func() {
			shopServer.answer = func(key catalog.Key) int {
				if key == deleted || key == unknown {
					return http.StatusNotFound
				}
				return 0
			}
		})
		_, before := shopServer.count("product")
		again := w.warmed(0)
		// The batch of the unknown and the hopeless one lacks the unknown one, which is asked for alone.
		if _, after := shopServer.count("product"); again.Absent != 2 || again.Present != 32 || again.Pulled != 1 || after-before != 3 {
			t.Errorf("%d pulls more, want 3: %s", after-before, again.body)
		}
	})
}

// TestPitfall8PrewarmAnnouncesChangesOnly: filling an empty Redis sends nothing
// to the fleet; what a prewarm replaces is announced.
func TestPitfall8PrewarmAnnouncesChangesOnly(t *testing.T) {
	onBothWith(t, 2, func(c *cache.Config) { c.Refresh = time.Millisecond }, func(t *testing.T, w *world, shopServer *bigShop) {
		bus := w.collect(w.topic("invalidate"))
		w.rank(ids(1, 100))
		w.warmed(0)
		before := w.load(1, product(5)).Document
		shopServer.set(func() { shopServer.edition = 1 })
		if end := w.warmed(0); end.Pulled < 99 { // the read of product 5 may have had it pulled this very moment
			t.Errorf("the second time: %s", end.body)
		}
		w.inRedis(ids(1, 100), 1)
		told := func() map[catalog.Key]map[catalog.Stamp]bool {
			all := map[catalog.Key]map[catalog.Stamp]bool{}
			for _, text := range bus.documents() {
				inv, err := catalog.ParseInvalidation([]byte(text))
				if err != nil {
					t.Fatal(err)
				}
				if all[inv.Key] == nil {
					all[inv.Key] = map[catalog.Stamp]bool{}
				}
				all[inv.Key][inv.Stamp] = true
			}
			return all
		}
		w.untilWithin(30*time.Second, "each change is announced", func() (bool, string) { return len(told()) >= 150, fmt.Sprint(len(told())) })
		for key, stamps := range told() {
			if len(stamps) != 1 { // one that Redis answered late may be told twice
				t.Errorf("%v was announced with %v, want its change only, and not its first fill", key, stamps)
			}
		}
		w.until("the other process shows it", func() (bool, string) {
			doc := w.load(1, product(5)).Document
			return before.Stamp.Less(doc.Stamp) && string(doc.Body) == bodyOf(product(5), 1), string(doc.Body)
		})
	})
}

// TestInvariant3PrewarmRepairs: a copy in Redis below what the fleet was told of
// is not present, however young: it is pulled, and counted as a repair.
func TestInvariant3PrewarmRepairs(t *testing.T) {
	onBothWith(t, 1, nil, func(t *testing.T, w *world, shopServer *bigShop) {
		old := w.load(0, product(12)).Document
		shopServer.set(func() { shopServer.edition = 1 })
		w.produce(`{"serviceId":"productInfoService","productId":12}`)
		var told catalog.Stamp
		w.until("the change is applied", func() (bool, string) {
			doc := w.load(0, product(12)).Document
			told = doc.Stamp
			return old.Stamp.Less(doc.Stamp), doc.Stamp.String()
		})
		w.command("DEL", w.cat.RedisKey(product(12)))
		if _, err := w.store.Write(t.Context(), rediscluster.Put, old); err != nil { // as after a failover
			t.Fatal(err)
		}
		w.rank(ids(1, 20))
		if end := w.warmed(0); end.Pulled != 20 {
			t.Errorf("got %s", end.body)
		}
		doc, err := w.store.Get(t.Context(), product(12), rediscluster.FromMaster)
		if err != nil || doc.Stamp.Less(told) || string(doc.Body) != bodyOf(product(12), 1) {
			t.Errorf("Redis holds %s %v (%v), %v has been announced", doc.Body, doc.Stamp, err, told)
		}
	})
}

// TestPrewarmWhenRedisIsEmpty: by itself, and not a second time soon.
func TestPrewarmWhenRedisIsEmpty(t *testing.T) {
	shopServer := newBigShop(t)
	adjust := func(c *cache.Config) { c.Origin.BaseURL, c.PrewarmCheck = shopServer.url, 50*time.Millisecond }
	body := func(t *testing.T, w *world, flush func()) {
		for id := range int64(30) {
			w.load(0, product(id+1))
		}
		w.rank(ids(1, 30))
		never := time.After(500 * time.Millisecond)
		for waited := false; !waited; {
			select {
			case <-never:
				waited = true
			default:
				if got := w.prewarm(0, http.MethodGet); got.State != "none" {
					t.Fatalf("Redis has all of it: %s", got.body)
				}
			}
		}
		flush()
		var first progress
		w.until("it has begun by itself and ended", func() (bool, string) {
			first = w.prewarm(0, http.MethodGet)
			return first.State == "finished", first.body
		})
		if first.Reason != "redis is empty" || first.Pulled != 30 {
			t.Errorf("got %s", first.body)
		}
		w.inRedis(ids(1, 30), 0)
		flush()
		for soon := time.After(500 * time.Millisecond); ; {
			select {
			case <-soon:
				return
			default:
				if got := w.prewarm(0, http.MethodGet); got.Generation != first.Generation {
					t.Fatalf("a second time at once: %s", got.body)
				}
			}
		}
	}
	t.Run("embedded", func(t *testing.T) {
		w := newWorld(t, 1, adjust)
		body(t, w, func() { w.command("FLUSHALL") })
	})
	t.Run("real", func(t *testing.T) {
		redis := lab.RedisNew(t)
		w := newWorldOn(t, embedded.Config{RedisAddrs: redis.Addrs(), Kafka: kafka.Config{Brokers: lab.Kafka(t).Addrs()},
			ZooKeeperServers: lab.ZooKeeper(t).Addrs()}, 1, adjust)
		body(t, w, func() {
			for _, node := range redis.Nodes()[:3] {
				if _, err := redis.Do(t.Context(), node, "FLUSHALL"); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

// TestPrewarmAfterARestartOfRedis: a master that comes back empty is noticed by
// the change of the topology, long before the next check is due.
func TestPrewarmAfterARestartOfRedis(t *testing.T) {
	shopServer := newBigShop(t)
	w := newWorld(t, 1, func(c *cache.Config) { c.Origin.BaseURL, c.PrewarmCheck = shopServer.url, time.Hour })
	for id := range int64(30) {
		w.load(0, product(id+1))
	}
	w.rank(ids(1, 30))
	addr := w.servers.Redis.Addr()
	if err := w.servers.Redis.Close(); err != nil {
		t.Fatal(err)
	}
	w.restartRedis(addr)
	w.until("it has begun by itself and ended", func() (bool, string) {
		p := w.prewarm(0, http.MethodGet)
		return p.State == "finished" && p.Reason == "redis is empty" && p.Pulled == 30, p.body
	})
}

// TestPrewarmKeepsItsRate: no more documents a second than it may ask for.
func TestPrewarmKeepsItsRate(t *testing.T) {
	shopServer := newBigShop(t)
	w := newWorld(t, 1, func(c *cache.Config) { c.Origin.BaseURL, c.PrewarmRate = shopServer.url, 200 })
	w.rank(ids(1, 150))
	// 200 documents with the shops, of which a tenth of a second's worth goes at once.
	if end := w.warmed(0); end.Pulled != 150 || end.Seconds < 0.85 {
		t.Errorf("200 documents at 200 a second took %.2f s: %s", end.Seconds, end.body)
	}
}
