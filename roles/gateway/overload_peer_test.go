package gateway

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/ring"
)

// A peer that accepts and never answers holds as many requests as may be under
// way to it. The others are loaded here at once.
func TestHungPeerStopsNothingElse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	g := newRig(t, func(c *Config, _ *Deps) {
		c.PeerTimeout, c.LoadTimeout, c.Limits.PeerCalls = 3*time.Second, 10*time.Second, 2
	})
	g.peers.ring.Store(ring.New([]ring.Member{{ID: "gw-2", Addr: l.Addr().String()}}, 0))
	t.Cleanup(g.hosts.close)
	t.Cleanup(g.probes.close)
	var held sync.WaitGroup
	for i := range 2 {
		held.Go(func() { g.get(t, fmt.Sprintf("/product/%d", 100+i)) })
	}
	for deadline := time.Now().Add(20 * time.Second); g.hosts.calls() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the peer was not asked")
		}
	}
	begin := time.Now()
	if ctx := g.get(t, "/product/7"); ctx.Response.StatusCode() != 200 {
		t.Errorf("%d, %s", ctx.Response.StatusCode(), header(ctx, "Cache-Status"))
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %v, as long as the peer", took)
	}
	held.Wait()
}

// What an owner finds not to exist counts at the gateway that the client asked.
func TestUnknownIDsThroughAPeer(t *testing.T) {
	a, _ := pair(t, "gw-2", [2]string{"", ""})
	const client = "198.51.100.1"
	n := func() int { return a.overload.unknown.rates.Addresses() }
	a.from(client, "/product/7?shopId=3")
	a.from(client, "/product/7")
	if n() != 0 {
		t.Error("a page that exists counts as unknown")
	}
	a.from(client, "/product/7?shopId=99")
	if n() != 1 {
		t.Error("a related id that does not exist is not counted")
	}
	if code := a.from("198.51.100.2", "/product/99").Response.StatusCode(); code != 404 || n() != 2 {
		t.Errorf("an unknown product: %d; %d addresses are remembered, want 2", code, n())
	}
}

// An owner whose load takes longer than a peer waits gives the peer the older page
// it has, in time; the peer may have none.
func TestOwnerAnswersInTimeWithWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *Config, _ *Deps) { c.PeerTimeout = time.Second })
		g.get(t, "/product/7")
		hourAgo := time.Now().Add(-time.Hour).UnixNano()
		g.trusted.Store(hourAgo)
		for _, f := range []*flag{g.l1.index.find(keyP7), g.l1.index.find(keyS3)} {
			f.verified.Store(hourAgo)
		}
		g.redis.fail(true)
		g.cache.mu.Lock()
		g.cache.delay, g.cache.down = 3*time.Second, true
		g.cache.mu.Unlock()
		for range 3 {
			begin := time.Now()
			ctx := ask(g.servePeer, "GET", "/product/7")
			if code := ctx.Response.StatusCode(); code != 200 || !strings.Contains(header(ctx, "Cache-Status"), "stale") {
				t.Errorf("%d, %s", code, header(ctx, "Cache-Status"))
			}
			if took := time.Since(begin); took >= g.cfg.PeerTimeout {
				t.Errorf("it took %v, the peer waits %v", took, g.cfg.PeerTimeout)
			}
		}
		time.Sleep(10 * time.Second) // the loads that went on end
	})
}
