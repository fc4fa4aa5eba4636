package cache_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/lab"
	"eshop/pkg/origin"
	"eshop/roles/cache"
)

// TestPrewarmCommand: what the admin API answers, in every process.
func TestPrewarmCommand(t *testing.T) {
	onBothWith(t, 2, nil, func(t *testing.T, w *world, shopServer *bigShop) {
		if got, err := askPrewarm(t.Context(), w.admins[0].Addr(), http.MethodPost, ""); err != nil || got.code != http.StatusUnauthorized {
			t.Errorf("without the token: %d %s (%v), want 401", got.code, got.body, err)
		}
		// A ranking of nothing is warmed at once.
		if end := w.warmed(0); end.Total != 0 || end.Done != 0 {
			t.Errorf("without a ranking: %s", end.body)
		}
		w.rank(ids(1, 1000))
		half, open := w.midway(0, shopServer, 1000)
		for i := range w.roles {
			got := w.prewarm(i, http.MethodPost)
			if got.code != http.StatusConflict || got.Generation != half.Generation || got.State != "running" || got.Total != 1000 || got.Done == 0 {
				t.Errorf("a second POST, to process %d: %d %s, want 409 and the running one", i, got.code, got.body)
			}
			if got.Rate <= 0 || got.SecondsLeft == nil || got.Started == nil || got.Finished != nil || got.By != "cache-0" {
				t.Errorf("its progress: %s", got.body)
			}
		}
		open()
		w.ended(1, half.Generation)
		// Any number of times, and whoever asks when: one at a time.
		var mu sync.Mutex
		accepted := 0
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				got, err := askPrewarm(t.Context(), w.admins[i%2].Addr(), http.MethodPost, adminToken)
				switch {
				case err != nil:
					t.Error(err)
				case got.code == http.StatusAccepted:
					mu.Lock()
					accepted++
					mu.Unlock()
				case got.code != http.StatusConflict || got.Generation <= half.Generation:
					t.Errorf("%d %s", got.code, got.body)
				}
			})
		}
		all.Wait()
		if accepted == 0 {
			t.Error("none of eight requests was accepted")
		}
		w.until("all are worked off", func() (bool, string) {
			p := w.prewarm(0, http.MethodGet)
			return p.State == "finished" && p.Generation > half.Generation && p.Present == 1000, p.body
		})
	})
}

// TestPrewarmWithoutOrigin: the origin fails in the middle. Its breaker opens,
// the prewarm gives way and tells so; when the origin is back, all gets done.
func TestPrewarmWithoutOrigin(t *testing.T) {
	onBothWith(t, 1, func(c *cache.Config) { c.Origin.Breaker = origin.Breaker{MinRequests: 4, Delay: 50 * time.Millisecond} },
		func(t *testing.T, w *world, shopServer *bigShop) {
			w.rank(ids(1, 2000))
			half, open := w.midway(0, shopServer, 2000)
			shopServer.set(func() { shopServer.answer = func(catalog.Key) int { return http.StatusServiceUnavailable } })
			open()
			w.until("it waits for the origin", func() (bool, string) {
				p := w.prewarm(0, http.MethodGet)
				return p.State == "running" && strings.Contains(p.Waiting, "breaker"), p.body
			})
			shopServer.set(func() { shopServer.answer = nil })
			if end := w.ended(0, half.Generation); end.Pulled != 2000 || end.Failed != 0 || end.Waiting != "" {
				t.Errorf("the end: %s", end.body)
			}
			w.inRedis(ids(1, 2000), 0)
		})
}

// TestPrewarmWithoutRedis: Redis is away in the middle. Nothing is asked of the
// origin for it, and it goes on when Redis is back, empty as it may be.
func TestPrewarmWithoutRedis(t *testing.T) {
	shopServer := newBigShop(t)
	w := newWorld(t, 1, func(c *cache.Config) { c.Origin.BaseURL = shopServer.url })
	w.rank(ids(1, 2000))
	half, open := w.midway(0, shopServer, 2000)
	addr := w.servers.Redis.Addr()
	if err := w.servers.Redis.Close(); err != nil {
		t.Fatal(err)
	}
	open()
	w.until("it waits for Redis", func() (bool, string) {
		p := w.prewarm(0, http.MethodGet)
		return p.State == "running" && strings.Contains(p.Waiting, "redis"), p.body
	})
	w.restartRedis(addr)
	if end := w.ended(0, half.Generation); end.Pulled != 2000 || end.Failed != 0 {
		t.Errorf("the end: %s", end.body)
	}
	if end := w.warmed(0); end.Pulled+end.Present != 2000 || end.Pulled < half.Done {
		t.Errorf("the one after it: %s", end.body)
	}
	w.inRedis(ids(1, 2000), 0)
}

// TestPrewarmWithoutKafka: what it replaces cannot be announced. It waits before
// the queue is full: no announcement is lost.
func TestPrewarmWithoutKafka(t *testing.T) {
	const n = 2500
	shopServer := newBigShop(t)
	w := newWorld(t, 1, func(c *cache.Config) { c.Origin.BaseURL, c.Refresh = shopServer.url, time.Millisecond })
	w.rank(ids(1, n))
	if end := w.warmed(0); end.Pulled != n {
		t.Fatalf("the first time: %s", end.body)
	}
	if err := w.servers.Kafka.Close(); err != nil {
		t.Fatal(err)
	}
	shopServer.set(func() { shopServer.edition = 1 })
	asked := w.prewarm(0, http.MethodPost)
	w.untilWithin(30*time.Second, "it waits for Kafka", func() (bool, string) {
		p := w.prewarm(0, http.MethodGet)
		return p.State == "running" && p.Generation == asked.Generation && strings.Contains(p.Waiting, "Kafka"), p.body
	})
	if p := w.prewarm(0, http.MethodGet); p.Pulled < 1500 || p.Pulled > 2800 || p.Failed != 0 {
		t.Errorf("it waits with %s", p.body)
	}
}

// TestPrewarmWithoutZooKeeper: ZooKeeper is out of reach in the middle, for less
// than the session and for longer. The process goes on at its cursor.
func TestPrewarmWithoutZooKeeper(t *testing.T) {
	for _, outage := range []time.Duration{300 * time.Millisecond, 4 * time.Second} {
		t.Run(outage.String(), func(t *testing.T) {
			onBoth(t, 0, nil, func(t *testing.T, w *world) {
				shopServer := newBigShop(t)
				cfg := w.config(0, shopServer.url)
				cfg.ZooKeeper.Servers, cfg.ZooKeeper.SessionTimeout = nil, 2*time.Second
				var links []*lab.Link
				for _, addr := range w.zk {
					l := lab.NewLink(t, addr)
					links = append(links, l)
					cfg.ZooKeeper.Servers = append(cfg.ZooKeeper.Servers, l.Addr())
				}
				w.start(cfg)
				w.rank(ids(1, 2000))
				half, open := w.midway(0, shopServer, 2000)
				for _, l := range links {
					l.Cut()
				}
				open()
				<-time.After(outage)
				for _, l := range links {
					l.Heal()
				}
				if end := w.ended(0, half.Generation); end.Pulled != 2000 || end.Failed != 0 {
					t.Errorf("the end: %s", end.body)
				}
				w.inRedis(ids(1, 2000), 0)
				shopServer.onceBut(t, 2000, 4*128)
			})
		})
	}
}

// TestPrewarmLosesAPlan: a plan that is not the state's (a paused process wrote
// over it) is not followed: the generation begins anew, and what it has done so
// far is found in Redis.
func TestPrewarmLosesAPlan(t *testing.T) {
	onBothWith(t, 1, nil, func(t *testing.T, w *world, shopServer *bigShop) {
		session := w.session()
		w.rank(ids(1, 1000))
		half, open := w.midway(0, shopServer, 1000)
		data, version, err := session.Get(t.Context(), "prewarm/plan")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.Set(t.Context(), "prewarm/plan", data, version); err != nil {
			t.Fatal(err)
		}
		w.stops[0]()
		open()
		cfg := w.config(1, shopServer.url)
		w.start(cfg)
		end := w.ended(1, half.Generation)
		if end.Pulled+end.Present != 1000 || end.Failed != 0 || !end.Started.After(*half.Started) {
			t.Errorf("the end: %s", end.body)
		}
		w.inRedis(ids(1, 1000), 0)
		shopServer.onceBut(t, 1000, 4*128)
		// A state and a request that nobody can read are no reason to stand still.
		for _, path := range []string{"prewarm/state", "prewarm/request"} {
			if err := session.Put(t.Context(), path, []byte("?")); err != nil {
				t.Fatal(err)
			}
		}
		if end := w.warmed(1); end.Present != 1000 {
			t.Errorf("after the nodes were spoilt: %s", end.body)
		}
	})
}
