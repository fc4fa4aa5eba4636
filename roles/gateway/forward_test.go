package gateway

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/ring"
)

// pair is two gateways with peer listeners on loopback. Both say that owner owns everything.
func pair(t *testing.T, owner string, token [2]string) (a, b *rig) {
	t.Helper()
	rigs := map[string]*rig{}
	var members []ring.Member
	for i, id := range []string{"gw-1", "gw-2"} {
		g := newRig(t, func(c *Config, _ *Deps) { c.ID, c.ClusterToken = id, token[i] })
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := g.peerServer()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := s.Serve(l); err != nil {
				t.Error(err)
			}
		}()
		t.Cleanup(func() {
			g.hosts.close()
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			<-done
		})
		g.addr = l.Addr().String()
		rigs[id] = g
		members = append(members, ring.Member{ID: id, Addr: l.Addr().String()})
	}
	for _, g := range rigs {
		for _, m := range members {
			if m.ID == owner {
				g.peers.ring.Store(ring.New([]ring.Member{m}, 0))
			}
		}
	}
	return rigs["gw-1"], rigs["gw-2"]
}

func TestForwardToTheOwner(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"secret", "secret"})
	for range 2 {
		ctx := a.get(t, "/product/7?shopId=3", "Accept-Encoding", "gzip")
		if ctx.Response.StatusCode() != 200 || header(ctx, "Content-Encoding") != "gzip" {
			t.Fatalf("status %d, %s", ctx.Response.StatusCode(), ctx.Response.Header.String())
		}
		if body, err := ctx.Response.BodyGunzip(); err != nil || !strings.Contains(string(body), "Shop three") {
			t.Fatalf("the page came over broken: %v", err)
		}
		if got := header(ctx, "Cache-Status"); !strings.HasSuffix(got, `; detail="v=1; age=0; peer; owner=gw-2"`) || !strings.Contains(got, ", eshop; fwd=uri-miss; ttl=") {
			t.Errorf("Cache-Status = %q", got)
		}
		if header(ctx, "Eshop-Stamps") != "" {
			t.Error("the public answer has the peers' header")
		}
	}
	if a.redis.count() != 0 || b.redis.count() != 1 || a.l1.pages.Len() != 0 {
		t.Errorf("Redis was asked %d times by the one, %d by the owner; %d pages kept; want 0 1 0", a.redis.count(), b.redis.count(), a.l1.pages.Len())
	}
	plain := a.get(t, "/product/7?shopId=3")
	if code := a.get(t, "/product/7?shopId=3", "If-None-Match", header(plain, "Etag")).Response.StatusCode(); code != 304 {
		t.Errorf("a conditional request through a peer: %d, want 304", code)
	}
	if code := a.get(t, "/product/99").Response.StatusCode(); code != 404 {
		t.Errorf("an unknown product through a peer: %d, want 404", code)
	}
	if b.cache.count() != 1 || a.cache.count() != 0 {
		t.Error("the owner's negative answer was not taken")
	}
}

// 10, PITFALL 16: each gateway believes that the other one owns the page.
func TestInvariant10ForwardLoop(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"secret", "secret"})
	toB, _ := a.peers.Ring().Owner(0)
	toA, _ := a.peers.Ring().Owner(0)
	toA.ID, toA.Addr = "gw-1", a.addr
	b.peers.ring.Store(ring.New([]ring.Member{toA}, 0))
	wantPage(t, a.get(t, "/product/7"), "5599.0", "peer; owner=gw-2")
	wantPage(t, b.get(t, "/product/7.json"), "", "peer; owner=gw-1")
	if x, y := counter(t, a.metrics.forwarded), counter(t, b.metrics.forwarded); x != 1 || y != 1 {
		t.Errorf("forwarded %v and %v times, want 1 and 1", x, y)
	}
	// One that takes its own listener for another gateway's.
	b.l1.pages.Purge()
	toB.ID = "gw-9"
	b.peers.ring.Store(ring.New([]ring.Member{toB}, 0))
	wantPage(t, b.get(t, "/product/7"), "5599.0", "peer; owner=gw-9")
	if y := counter(t, b.metrics.forwarded); y != 2 {
		t.Errorf("forwarded %v times, want 2", y)
	}
}

// 3: the owner has not heard of a change yet that is known here.
func TestInvariant3OwnerBelowTheFloor(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"", ""})
	wantPage(t, a.get(t, "/product/7"), "5599.0", "peer;")
	a.redis.set(product(2, 20, "4999"))
	a.floor.Raise(keyP7, catalog.Stamp{Version: 2, Token: 20})
	wantPage(t, a.get(t, "/product/7"), "4999", "eshop-redis; hit")
	if got := counter(t, a.metrics.forwardBelowFloor); got != 1 {
		t.Errorf("%v refused answers are counted, want 1", got)
	}
	b.redis.set(product(2, 20, "4999"))
	b.change(product(2, 20, "4999"))
	a.l1.pages.Purge()
	wantPage(t, a.get(t, "/product/7"), "4999", "peer;")
}

func TestOwnerUnreachable(t *testing.T) {
	g := newRig(t, func(c *Config, _ *Deps) { c.PeerTimeout = 200 * time.Millisecond })
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := dead.Addr().String()
	g.peers.ring.Store(ring.New([]ring.Member{{ID: "gw-2", Addr: addr}}, 0))
	// A stopped process: connections are accepted by the kernel, nobody answers.
	start := time.Now()
	wantPage(t, g.get(t, "/product/7"), "5599.0", "eshop-redis; hit")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a silent owner held the request up for %v", took)
	}
	if g.peers.ejected.Load() != 1 {
		t.Errorf("the silent owner was ejected %d times, want 1", g.peers.ejected.Load())
	}
	dead.Close()
	g.l1.pages.Purge()
	wantPage(t, g.get(t, "/product/7"), "5599.0", "eshop; ")
	if g.peers.ejected.Load() != 2 {
		t.Error("a dead owner was not ejected")
	}
}

// A slow origin keeps the owner's answer back; the owner itself is well and
// keeps its keys, or every gateway would eject every other one.
func TestSlowOwnerIsNotEjected(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{})
	release := make(chan struct{})
	b.redis.before = func([]catalog.Key) { <-release }
	defer close(release)
	// One connection: the requests leave none for a probe, and the second one
	// finds none for itself.
	a.hosts, a.cfg.PeerTimeout = newHosts(1, 50*time.Millisecond, plainDial), 100*time.Millisecond
	done := make(chan bool)
	go func() {
		defer close(done)
		a.get(t, "/product/7.json")
	}()
	wantPage(t, a.get(t, "/product/7"), "5599.0", "eshop") // loaded here instead
	<-done
	if n := a.peers.ejected.Load(); n != 0 {
		t.Errorf("the slow owner was ejected %d times, want 0", n)
	}
}

func TestPeerListenerDemandsTheToken(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"wrong", "secret"})
	wantPage(t, a.get(t, "/product/7"), "5599.0", "eshop-redis; hit") // refused by the peer, loaded here
	for _, c := range []struct {
		method, target, token string
		want                  int
	}{
		{"GET", "/product/7", "", 401}, {"GET", "/product/7", "secre", 401}, {"GET", "/product/7", "secret", 200},
		{"GET", "/-/ping", "", 401}, {"GET", "/-/ping", "secret", 204}, {"POST", "/product/7", "secret", 400}, {"GET", "/x", "secret", 400},
	} {
		ctx := ask(b.servePeer, c.method, c.target, "Authorization", "Bearer "+c.token)
		if got := ctx.Response.StatusCode(); got != c.want {
			t.Errorf("%s %s with %q: %d, want %d", c.method, c.target, c.token, got, c.want)
		}
	}
	ctx := ask(b.servePeer, "GET", "/product/7", "Authorization", "Bearer secret")
	if got, want := header(ctx, "Eshop-Stamps"), "product/7@0.1.10 shop/3@0.0.11"; got != want {
		t.Errorf("Eshop-Stamps = %q, want %q", got, want)
	}
}

func TestProbe(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"secret", "secret"})
	m, _ := a.peers.Ring().Owner(0)
	if err := a.probe(t.Context(), m); err != nil {
		t.Error(err)
	}
	m.ID = "gw-3"
	if err := a.probe(t.Context(), m); err == nil {
		t.Error("another gateway at the address passed for the ejected one")
	}
	_ = b
}

func TestParseStamps(t *testing.T) {
	g := newRig(t, nil)
	for text, want := range map[string]bool{
		"product/7@0.1.2": true, "product/7@0.1.2 shop/3@0.0.0": true, "": false, " ": false, "product/7": false, "nothing/7@0.1.2": false, "product/x@0.1.2": false, "@": false,
		strings.Repeat("product/7@0.1.2 ", 10): false,
	} {
		if got, err := g.parseStamps([]byte(text)); (err == nil) != want || want && len(got) == 0 {
			t.Errorf("parseStamps(%q) = %v, %v; want success %v", text, got, err, want)
		}
	}
}

// PITFALL 33: what the owner knows of a page's freshness goes on to the client,
// in this gateway's own member of Cache-Status.
func TestForwardedFreshness(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"", ""})
	wantPage(t, b.get(t, "/product/7"), "5599.0", "stored")
	own := func() string {
		s := header(a.get(t, "/product/7"), "Cache-Status")
		return s[strings.LastIndex(s, "eshop;"):]
	}
	if got := own(); !strings.HasPrefix(got, "eshop; fwd=uri-miss; ttl=") || !strings.HasSuffix(got, `; detail="v=1; age=0; peer; owner=gw-2"`) {
		t.Errorf("a fresh page: %s", got)
	}
	b.l1.index.find(keyP7).soft.Store(time.Now().Add(-10 * time.Second).UnixNano())
	if got := own(); !strings.Contains(got, `ttl=-10; detail="stale; v=1`) {
		t.Errorf("a stale page: %s", got)
	}
	if got := header(a.get(t, "/product/99"), "Cache-Status"); !strings.Contains(got, ", eshop; fwd=uri-miss; ttl=") {
		t.Errorf("an unknown product: %s", got)
	}
}

// A request that found no free connection, and an answer above the limit, say
// nothing about the peer.
func TestOwnTroublesEjectNobody(t *testing.T) {
	a, _ := pair(t, "gw-2", [2]string{"", ""})
	m, _ := a.peers.Ring().Owner(0)
	for err, want := range map[error]bool{fasthttp.ErrNoFreeConns: false, fasthttp.ErrBodyTooLarge: false, fasthttp.ErrTimeout: false, fasthttp.ErrConnectionClosed: true} {
		if got := a.unreachable(t.Context(), m, err); got != want {
			t.Errorf("unreachable after %q: %v, want %v", err, got, want)
		}
	}
}

// Every connection to a stopped peer is taken; the probe has its own and finds out.
func TestProbeHasItsOwnConnections(t *testing.T) {
	g := newRig(t, nil)
	g.hosts = newHosts(1, 0, plainDial)
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepted by the kernel, answered by nobody
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	done := make(chan error, 1)
	go func() {
		req, resp := &fasthttp.Request{}, &fasthttp.Response{}
		req.SetRequestURI("http://" + addr + "/")
		done <- g.hosts.at(addr).DoTimeout(req, resp, 20*time.Second)
	}()
	for deadline := time.Now().Add(10 * time.Second); g.hosts.at(addr).ConnsCount() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection was not taken within 10 s")
		}
	}
	if !g.unreachable(t.Context(), ring.Member{ID: "gw-2", Addr: addr}, fasthttp.ErrTimeout) {
		t.Error("a stopped peer passed for one that is busy")
	}
	l.Close() // resets the connection nobody accepted
	if err := <-done; err == nil {
		t.Error("nobody answered")
	}
	g.hosts.close()
	g.probes.close()
}
