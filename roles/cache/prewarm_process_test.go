package cache_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/kafka"
	"eshop/pkg/lab"
	"eshop/roles/cache"
)

// childVariable makes the test binary run one cache process of a world and
// nothing else.
const childVariable = "CACHE_TEST_CHILD"

// child is what such a process is told.
type child struct {
	World                   string // its name
	I                       int
	Redis, Kafka, ZooKeeper []string
	Origin                  string
	Session                 time.Duration
}

// runChild runs a cache process until it is terminated. It says on standard
// output where its admin listener is.
func runChild(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	cat, err := catalog.New(prefixed(c.World), nil)
	if err != nil {
		return err
	}
	w := &world{name: c.World, redis: c.Redis, kafka: kafka.Config{Brokers: c.Kafka}, zk: c.ZooKeeper}
	cfg := w.config(c.I, c.Origin)
	cfg.ZooKeeper.SessionTimeout = c.Session
	adm := admin.New(admin.Config{Addr: "127.0.0.1:0", Token: adminToken}, admin.Deps{})
	r, err := cache.New(cfg, cache.Deps{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Catalog: cat, Admin: adm})
	if err != nil {
		return err
	}
	if err := adm.Listen(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- adm.Run(ctx) }()
	fmt.Println("admin on", adm.Addr())
	if err := r.Run(ctx); err != nil {
		return err
	}
	return <-served
}

// startChild starts the i-th cache process of the world as a process of its own
// and returns it with its admin address.
func (w *world) startChild(i int, originURL string, session time.Duration) (*lab.Process, string) {
	w.t.Helper()
	text, err := json.Marshal(child{w.name, i, w.redis, w.kafka.Brokers, w.zk, originURL, session})
	if err != nil {
		w.t.Fatal(err)
	}
	binary, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	p := lab.Start(w.t, lab.Command{Path: binary, Env: []string{childVariable + "=" + string(text)}})
	var addr string
	if _, err := fmt.Sscanf(p.WaitOutput("admin on", 20*time.Second), "admin on %s", &addr); err != nil {
		w.t.Fatal(err)
	}
	return p, addr
}

// TestPrewarmRunnerKilledOrPaused: a process of its own is the runner. Killed, or
// paused for longer than its session, it is followed by another, which goes on
// at the cursor. The paused one wakes up with answers that are old by now: they
// change nothing any more, and neither does its idea of the cursor.
func TestPrewarmRunnerKilledOrPaused(t *testing.T) {
	for _, paused := range []bool{false, true} {
		t.Run(map[bool]string{false: "killed", true: "paused"}[paused], func(t *testing.T) {
			onBoth(t, 0, nil, func(t *testing.T, w *world) {
				const n = 2000
				shopServer := newBigShop(t)
				const session = 2 * time.Second
				process, addr := w.startChild(0, shopServer.url, session)
				w.untilWithin(20*time.Second, "the process is the runner", func() (bool, string) {
					_, err := askPrewarm(t.Context(), addr, http.MethodPost, adminToken)
					got, err2 := askPrewarm(t.Context(), addr, http.MethodGet, "")
					return err2 == nil && got.State == "finished", fmt.Sprint(got.body, err, err2)
				})
				cfg := w.config(1, shopServer.url)
				cfg.ZooKeeper.SessionTimeout = session
				w.start(cfg) // queues behind it
				w.until("no request is pending", func() (bool, string) {
					got := w.prewarm(0, http.MethodGet)
					return got.State == "finished", got.body
				})
				w.rank(ids(1, n))
				half, open := w.midway(0, shopServer, n)
				if half.Runner != "cache-0" {
					t.Fatalf("the runner is not the process: %s", half.body)
				}
				if paused {
					process.Pause()
				} else {
					process.Kill()
				}
				shopServer.set(func() { shopServer.edition = 1 })
				open() // what it asked for is answered as it was
				end := w.ended(0, half.Generation)
				if end.Runner != "cache-1" || end.Pulled != n || end.Failed != 0 {
					t.Errorf("the end: %s", end.body)
				}
				shopServer.onceBut(t, n, 4*128)
				before := w.stored(n)
				for key, doc := range before {
					if doc.State != catalog.Live {
						t.Fatalf("%v is %v in Redis", key, doc.State)
					}
				}
				if !paused {
					return
				}
				process.Resume()
				process.WaitOutput("prewarms are left to other processes", 20*time.Second)
				for key, doc := range w.stored(n) {
					if was := before[key]; doc.Stamp != was.Stamp || string(doc.Body) != string(was.Body) {
						t.Errorf("%v was %s %v, after the process went on it is %s %v", key, was.Body, was.Stamp, doc.Body, doc.Stamp)
					}
				}
				if now := w.prewarm(0, http.MethodGet); now.body != end.body {
					t.Errorf("the state was %s, after the process went on it is %s", end.body, now.body)
				}
			})
		})
	}
}

// stored is what the masters hold of n products.
func (w *world) stored(n int64) map[catalog.Key]catalog.Document {
	w.t.Helper()
	var keys []catalog.Key
	for _, id := range ids(1, n) {
		keys = append(keys, product(id))
	}
	return w.masters(keys)
}
