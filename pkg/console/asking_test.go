package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/admin"
	"eshop/pkg/lifecycle"
	"eshop/pkg/zookeeper"
)

// lone is a console that runs nothing, of a process without a role, with a cluster token.
func lone(t *testing.T) *Console {
	t.Helper()
	c, err := New(Config{ZooKeeper: zookeeper.Config{Servers: []string{"127.0.0.1:1"}}},
		Deps{Admin: admin.New(admin.Config{Token: "admin", ClusterToken: "cluster"}, admin.Deps{}), Gatherer: prometheus.NewRegistry(), Ready: new(lifecycle.Ready)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.CloseIdleConnections)
	return c
}

// listen lists a member that gives one answer to everything, and returns what it was shown.
func (c *Console) listen(t *testing.T, m Member, code int, body string) (shown func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, r.Header.Get("Authorization"))
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listed[m.Role] == nil {
		c.listed[m.Role] = map[Member]string{}
	}
	c.listed[m.Role][m] = strings.TrimPrefix(s.URL, "http://")
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// TestTokenIsNotShownOnLoopback: at the loopback address of another machine's hotcount anybody may listen here.
func TestTokenIsNotShownOnLoopback(t *testing.T) {
	c := lone(t)
	hotcount := c.listen(t, Member{roleHotcount, "h"}, 200, "{}")
	cache := c.listen(t, Member{roleCache, "c"}, 200, "{}")
	if _, err := c.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := hotcount(); !slices.Equal(got, []string{""}) {
		t.Errorf("hotcount was shown %q, want nothing once", got)
	}
	if got := cache(); !slices.Equal(got, []string{"Bearer cluster"}) {
		t.Errorf("the cache process was shown %q, want the cluster token once", got)
	}
}

// TestRefusalOfAProcess: who has no right with another process is not told that the own token is wrong.
func TestRefusalOfAProcess(t *testing.T) {
	for _, tt := range []struct {
		code int
		body string
		want int
		says string
	}{
		{401, "the cluster token is missing or wrong", 502, "cache c at 127.0.0.1:"},
		{200, "<html>", 502, "<html>"},
		{409, `{"error":"it is dealt with"}`, 409, "dealt with"},
		{200, `{"did":1}`, 200, `{"did":1}`},
	} {
		c := lone(t)
		c.listen(t, Member{roleCache, "c"}, tt.code, tt.body)
		w := httptest.NewRecorder()
		c.relay([]string{roleCache}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/dead-letters/replay?partition=0&offset=1", nil))
		if w.Code != tt.want || !json.Valid(w.Body.Bytes()) || w.Body.String() == "" {
			t.Errorf("%d %s: got %d %s, want %d", tt.code, tt.body, w.Code, w.Body, tt.want)
		}
		var said struct{ Error string }
		if json.Unmarshal(w.Body.Bytes(), &said) != nil || !strings.Contains(said.Error+w.Body.String(), tt.says) {
			t.Errorf("%d %s: got %s, which lacks %s", tt.code, tt.body, w.Body, tt.says)
		}
	}
}

// TestEverywhereTellsWhatEachSaid: what some did is told, whatever the others say.
func TestEverywhereTellsWhatEachSaid(t *testing.T) {
	type answer struct {
		code int
		body string
	}
	done, wrong, page := answer{200, `{"purged":{}}`}, answer{400, `{"error":"the kind is not configured"}`}, answer{200, "<html>"}
	for _, tt := range []struct {
		a, b answer
		want int
		says []string
	}{
		{done, wrong, 200, []string{`"purged"`, "not configured"}},
		{done, page, 200, []string{`"purged"`, "it answered 200"}},
		{wrong, wrong, 400, []string{"not configured"}},
	} {
		c := lone(t)
		c.listen(t, Member{roleCache, "a"}, tt.a.code, tt.a.body)
		c.listen(t, Member{roleCache, "b"}, tt.b.code, tt.b.body)
		w := httptest.NewRecorder()
		c.everywhere(http.MethodPost, "/api/purge").ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/fleet/purge?kind=product&id=1", nil))
		for _, says := range tt.says {
			if w.Code != tt.want || !strings.Contains(w.Body.String(), says) {
				t.Errorf("%v and %v: got %d %s, want %d with %s", tt.a, tt.b, w.Code, w.Body, tt.want, says)
			}
		}
	}
}

// TestForget: what the others have told goes when nobody looks, but for since when one is silent.
func TestForget(t *testing.T) {
	c := lone(t)
	c.listen(t, Member{roleCache, "c"}, 200, `{"instance":"c","samples":[{"at":9000000000000}]}`)
	c.listen(t, Member{roleCache, "d"}, 503, "")
	if _, err := c.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	known := func() (samples, silent int) {
		for _, p := range c.peers {
			samples += len(p.samples)
			if p.silent != 0 {
				silent++
			}
		}
		return samples, silent
	}
	c.forget(c.lastAt.Add(forgetAfter - 1))
	if samples, silent := known(); samples != 1 || silent != 1 || c.last == nil {
		t.Errorf("too early: %d samples, %d silent are left", samples, silent)
	}
	c.forget(c.lastAt.Add(forgetAfter))
	if samples, silent := known(); samples != 0 || silent != 1 || c.last != nil {
		t.Errorf("then: %d samples, %d silent and the view %v are left, want the silent one", samples, silent, c.last)
	}
}

// TestIsAddress: the node of a member says where it is, and nothing of what is asked there.
func TestIsAddress(t *testing.T) {
	for text, want := range map[string]bool{
		"10.0.0.7:8082": true, "[::1]:8082": true, "shop-1:8082": true, "shop_1.internal:8082": true,
		"": false, "10.0.0.7": false, ":8082": false, "10.0.0.7:": false, "10.0.0.7:x": false,
		"10.0.0.7:80/-/fleet/api/degrade?kind=*": false, "10.0.0.7:80?": false, "10.0.0.7:80#": false, "me@10.0.0.7:80": false, "a b:80": false,
	} {
		if got := isAddress(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// TestLeaderWithALateClock is no fleet without a leader.
func TestLeaderWithALateClock(t *testing.T) {
	end := int64(1_000_000_000_000)
	gateway, cache := reported("g", Member{roleGateway, "g"}), reported("c", Member{roleCache, "c"})
	gateway.samples = []Sample{{At: end - 5000, Seconds: 5}, {At: end, Seconds: 5}}
	cache.samples = []Sample{{At: end - 5000, Seconds: 5, Values: map[string]float64{"leader": 1}}}
	all := []*peer{gateway, cache}
	series := Series{From: end - 5000, Step: 5000, Lines: map[string][]float64{"leader": {1, 0}}}
	if got := find(all, all, series); len(got) != 0 {
		t.Errorf("got %+v, want no finding", got)
	}
	cache.samples[0].Values["leader"] = 0
	if got := find(all, all, series); len(got) != 1 || got[0].Alert != noHeartbeats || got[0].Since != end {
		t.Errorf("got %+v, want that there are no heartbeats since %d", got, end)
	}
}
