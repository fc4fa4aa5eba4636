package roles_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"eshop/pkg/lab"
)

// lost takes rights away from roles that run: what they cannot do waits, their logs name the flag, and it is made up for
// once the right is back.
func (s *secured) lost(t *testing.T) {
	cache, gateway := s.flags("cache"), s.flags("gateway")
	caches, gateways := s.start(t, "cache", cache), s.start(t, "gateway", gateway)
	untilReady(t, cache["cache.admin-addr"])
	untilReady(t, gateway["gateway.admin-addr"])
	g := &fleet{t: t, client: &http.Client{Timeout: 10 * time.Second}, shop: s.shop}
	defer g.client.CloseIdleConnections()
	at := gateway["gateway.addr"]
	for i, f := range []struct {
		name        string
		begin, mend func()
		says        []string // in one line of the log of the cache role
	}{
		{"redis write", func() { s.redis.SetUser(t, "eshop-cache", "-hset") }, func() { s.redis.SetUser(t, "eshop-cache", s.rules("eshop-cache")...) },
			[]string{"the user eshop-cache (--redis.username)"}},
		{"redis write within the script", func() { s.redis.SetUser(t, "eshop-cache", "-pexpire") }, func() { s.redis.SetUser(t, "eshop-cache", s.rules("eshop-cache")...) },
			[]string{"the user eshop-cache (--redis.username)"}},
		{"kafka write", func() { s.forbid(kafkaRight{"eshop-cache", "Write", []string{"cache-invalidate"}, nil}) },
			func() { s.allow(kafkaRight{"eshop-cache", "Write", []string{"cache-invalidate"}, nil}) },
			[]string{"kafka producer has to retry", "the user eshop-cache (--kafka.username) use the topic"}},
		{"kafka read", func() { s.forbid(kafkaRight{"eshop-cache", "Read", []string{"cache-message"}, nil}) },
			func() { s.allow(kafkaRight{"eshop-cache", "Read", []string{"cache-message"}, nil}) },
			[]string{"kafka group has trouble", "the user eshop-cache (--kafka.username) use the topic"}},
	} {
		t.Run(f.name, func(t *testing.T) {
			name := fmt.Sprint("a lamp without ", f.name)
			path := page(int64(20 + i))
			if a := g.get(at, path); a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			before := len(caches.Stderr())
			f.begin()
			g.edit(http.MethodPut, fmt.Sprint("/products/", 20+i), fmt.Sprintf(`{"name":%q}`, name))
			if p := s.start(t, "publish", s.flags("shop"), "--kind=product", fmt.Sprint("--id=", 20+i)); p.Wait(time.Minute) != 0 {
				t.Fatalf("publish: %s%s", p.Stdout(), p.Stderr())
			}
			g.until("the log tells", func() (bool, string) {
				log := caches.Stderr()[before:]
				return oneLineHas(log, f.says...), log
			})
			f.mend()
			g.until("the change shows", func() (bool, string) {
				a := g.get(at, path)
				return strings.Contains(a.body, name), a.body
			})
		})
	}
	before := len(gateways.Stderr())
	access := kafkaRight{"eshop-gateway", "Write", []string{"access-log"}, nil}
	s.forbid(access)
	g.until("the log of the gateway tells", func() (bool, string) {
		g.get(at, page(20))
		log := gateways.Stderr()[before:]
		return oneLineHas(log, "the user eshop-gateway (--kafka.username) use the topic"), log
	})
	s.allow(access)
	for what, p := range map[string]*lab.Process{"cache": caches, "gateway": gateways} {
		if n := strings.Count(p.Stderr(), "\n"); n > 3*mostLines {
			t.Errorf("%s: %d lines, want at most %d:\n%s", what, n, 3*mostLines, p.Stderr())
		}
	}
}

func oneLineHas(log string, texts ...string) bool {
	for line := range strings.Lines(log) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return true
		}
	}
	return false
}
