package fault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/catalog"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
)

// holding is what a process that holds locks is told.
type holding struct {
	Name             string // prefix of everything on the shared servers
	ZooKeeper, Redis []string
	First            int64 // the ids of its locks begin here
}

const (
	locksEach    = 5                // locks that one process holds
	shortSession = time.Second      // of those that are stopped: the shortest that the ensemble grants
	longSession  = 20 * time.Second // of the one that comes after them, which is not to lose its place on a busy machine
)

func (h holding) open(timeout time.Duration) (*zookeeper.Session, *rediscluster.Store, error) {
	kinds := catalog.DefaultKinds()
	for i := range kinds {
		kinds[i].Prefix = h.Name + ":" + kinds[i].Prefix
	}
	cat, err := catalog.New(kinds, nil)
	if err != nil {
		return nil, nil, err
	}
	store, err := rediscluster.New(rediscluster.Config{Addrs: h.Redis}, cat, rediscluster.Deps{})
	if err != nil {
		return nil, nil, err
	}
	s, err := zookeeper.New(zookeeper.Config{Servers: h.ZooKeeper, Root: "/" + h.Name, SessionTimeout: timeout}, zookeeper.Deps{})
	return s, store, err
}

func lockOf(id int64) string { return fmt.Sprintf("product-%d", id) }

// put writes a document as the holder of a lock would. The origin has no versions: the tokens alone decide.
func put(ctx context.Context, s *rediscluster.Store, id, token int64, body string) (accepted bool, err error) {
	doc := catalog.Document{Key: catalog.Key{Kind: "product", ID: id}, State: catalog.Live, Body: []byte(body), Stamp: catalog.Stamp{Token: token}, Pulled: time.Now()}
	for range 20 { // as every caller does: until it is known
		var out rediscluster.Outcome
		if out, err = s.Write(ctx, rediscluster.Put, doc); err == nil {
			return out.Accepted, nil
		}
	}
	return false, err
}

// holdLocks is a process that takes locks at /hold and writes at /write what it pulled under them, deaf to whatever it
// is told of their loss: the worst that a paused process can do.
func holdLocks(setting string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var h holding
	if err := json.Unmarshal([]byte(setting), &h); err != nil {
		return fail(err)
	}
	s, store, err := h.open(shortSession)
	if err != nil {
		return fail(err)
	}
	go s.Run(context.Background())
	var tickets [locksEach]*zookeeper.Ticket
	http.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 50*time.Second)
		defer cancel()
		for i := range tickets {
			for { // so short a session may end on a busy machine
				t, err := s.Enqueue(ctx, lockOf(h.First+int64(i)))
				if err == nil {
					err = t.Wait(ctx)
				}
				if err == nil {
					tickets[i] = t
					break
				}
				if ctx.Err() != nil {
					http.Error(w, err.Error(), http.StatusServiceUnavailable)
					return
				}
			}
		}
		fmt.Fprint(w, "held")
	})
	http.HandleFunc("/write", func(w http.ResponseWriter, r *http.Request) {
		accepted, told := 0, 0
		for i, t := range tickets {
			select {
			case <-t.Lost():
				told++
			default:
			}
			ok, err := put(r.Context(), store, h.First+int64(i), t.Token(), "of the past")
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			if ok {
				accepted++
			}
		}
		fmt.Fprintln(w, accepted, told)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fail(err)
	}
	fmt.Println("listens on", listener.Addr())
	return fail(http.Serve(listener, nil))
}

// TestI2_PausedLockHolders39 stops processes that hold locks with SIGSTOP until others have the locks and have
// written, lets them go on, and has them write what they pulled before: not one of these writes is accepted. 1,000 stops with
// ESHOP_LONG=1, 20 without.
func TestI2_PausedLockHolders39(t *testing.T) {
	processes, rounds := 10, 2
	if long() {
		processes, rounds = 25, 40
	}
	h := holding{Name: lab.Name(t), ZooKeeper: lab.ZooKeeper(t).Addrs(), Redis: lab.Redis(t).Addrs(), First: 1}
	s, store, err := h.open(longSession)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	background(t, "session", s.Run)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	call := func(url string) (string, error) {
		resp, err := client.Get(url)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		return strings.TrimSpace(string(body)), err
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	holders, urls := make([]*lab.Process, processes), make([]string, processes)
	for i := range holders {
		one := h
		one.First = int64(1 + i*locksEach)
		setting, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		holders[i] = lab.Start(t, lab.Command{Path: binary, Env: []string{runAsHolder + "=" + string(setting)}})
	}
	for i, p := range holders {
		_, addr, _ := strings.Cut(p.WaitOutput("listens on ", 30*time.Second), "listens on ")
		urls[i] = "http://" + addr
	}
	accepted, told, stale := 0, 0, 0
	began := time.Now()
	for round := range rounds {
		var held, written, done sync.WaitGroup
		for _, url := range urls {
			held.Go(func() {
				if _, err := call(url + "/hold"); err != nil {
					t.Errorf("hold: %v", err)
				}
			})
		}
		held.Wait()
		if t.Failed() {
			return
		}
		fresh := fmt.Sprintf("of round %d", round)
		for i := range processes * locksEach { // they queue behind the holders
			id := int64(1 + i)
			next, err := s.Enqueue(t.Context(), lockOf(id))
			if err != nil {
				t.Fatal(err)
			}
			written.Go(func() {
				defer next.Release()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := next.Wait(ctx); err != nil {
					t.Errorf("the next holder: %v", err)
					return
				}
				if ok, err := put(ctx, store, id, next.Token(), fresh); err != nil || !ok {
					t.Errorf("the write of the next holder: accepted %t, %v", ok, err)
				}
			})
		}
		for _, p := range holders {
			p.Pause()
		}
		written.Wait() // by now every holder's session has ended
		var mu sync.Mutex
		for _, url := range urls {
			done.Go(func() { // on its way while the holder stands still, so it is the first thing it sees
				answer, err := call(url + "/write")
				mu.Lock()
				defer mu.Unlock()
				var yes, lost int
				if err == nil {
					_, err = fmt.Sscan(answer, &yes, &lost)
				}
				if err != nil {
					t.Errorf("write: %q %v", answer, err)
				}
				accepted, told, stale = accepted+yes, told+lost, stale+locksEach
			})
		}
		for _, p := range holders {
			p.Resume()
		}
		done.Wait()
		for i := range processes * locksEach {
			key := catalog.Key{Kind: "product", ID: int64(1 + i)}
			if doc, err := store.Get(t.Context(), key, rediscluster.FromMaster); err != nil || string(doc.Body) != fresh {
				t.Errorf("%v is %q (%v), want %q", key, doc.Body, err, fresh)
			}
		}
		if t.Failed() {
			return
		}
	}
	if accepted > 0 {
		t.Errorf("%d stale writes were accepted", accepted)
	}
	t.Logf("%d stops of %d processes with %d locks each in %v: %d stale writes, %d accepted; %d of them by a holder that had been told of its loss",
		processes*rounds, processes, locksEach, time.Since(began).Round(time.Second), stale, accepted, told)
}
