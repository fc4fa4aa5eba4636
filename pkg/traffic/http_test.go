package traffic_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"eshop/pkg/lab"
	"eshop/pkg/traffic"
)

// Over real connections: few, kept alive, with whole answers read.
func TestConnectionsAreKept(t *testing.T) {
	var connections, open, bad atomic.Int64
	var mu sync.Mutex
	paths := map[string]int{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths[r.URL.String()]++
		mu.Unlock()
		if r.Method != http.MethodGet || r.Body != http.NoBody {
			bad.Add(1)
		}
		if r.URL.Path == "/product/1" {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		fmt.Fprint(w, strings.Repeat("page ", 20_000))
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			connections.Add(1)
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	srv.Start()
	defer srv.Close()
	l, stop := start(t, traffic.Config{URL: srv.URL + "/product/%d", Products: 3, Rate: 1000, HotRate: 1000, CoolFor: time.Millisecond, HotFor: time.Hour}, nil)
	poll(t, func() bool { return l.Status().Requests >= 1000 })
	made := connections.Load() // before the end cuts some off
	stop()
	if st := l.Status(); st.Failures != 0 || made > traffic.MaxConnections || bad.Load() != 0 {
		t.Errorf("%d connections, %d odd requests, status %+v", made, bad.Load(), st)
	}
	poll(t, func() bool { return open.Load() == 0 }) // none is left behind
	mu.Lock()
	defer mu.Unlock()
	for id := 1; id <= 3; id++ {
		if paths[fmt.Sprint("/product/", id)] == 0 {
			t.Errorf("product %d was not asked for: %v", id, paths)
		}
	}
	if len(paths) != 3 {
		t.Errorf("got %v", paths)
	}
}

// A server that goes away and comes back is no reason to stop.
func TestServerComesBack(t *testing.T) {
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	srv := httptest.NewServer(handler)
	l, stop := start(t, traffic.Config{URL: srv.URL + "/%d", Rate: 500}, nil)
	defer stop()
	poll(t, func() bool { return l.Status().Requests >= 20 })
	addr := srv.Listener.Addr().String()
	srv.Close()
	poll(t, func() bool { return l.Status().Failures >= 2 })
	again := httptest.NewUnstartedServer(handler)
	again.Listener.Close()
	poll(t, func() (ok bool) {
		var err error
		again.Listener, err = net.Listen("tcp", addr)
		return err == nil
	})
	again.Start()
	defer again.Close()
	was := l.Status()
	poll(t, func() bool { now := l.Status(); return now.Requests-now.Failures > was.Requests-was.Failures+20 })
}

func poll(t *testing.T, ok func() bool) {
	t.Helper()
	lab.Until(t, 30*time.Second, func(context.Context) error {
		if !ok() {
			return errors.New("not yet")
		}
		return nil
	})
}
