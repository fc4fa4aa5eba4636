package gateway

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/fastpath"
	"eshop/pkg/kafka"
)

// counting is a public listener whose fast path is counted; behind, if wanted, one
// of the same gateway without it.
type counting struct {
	fast, behind string
	quick        atomic.Int64 // answers of the fast path
}

func openCounting(t *testing.T, g *rig) *counting {
	t.Helper()
	return openBoth(t, g.publicServer, g.answerHit)
}

func openBoth(t *testing.T, server func() *fasthttp.Server, answer func(*fastpath.Request, *fastpath.Answer) bool) *counting {
	t.Helper()
	c := &counting{}
	serve := func(wrap func(net.Listener) net.Listener) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := server()
		served := make(chan error, 1)
		go func() { served <- s.Serve(wrap(l)) }()
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			<-served
		})
		return l.Addr().String()
	}
	c.behind = serve(func(l net.Listener) net.Listener { return l })
	c.fast = serve(func(l net.Listener) net.Listener {
		return fastpath.Listen(l, fastpath.Config{Answer: func(q *fastpath.Request, a *fastpath.Answer) bool {
			ok := answer(q, a)
			if ok {
				c.quick.Add(1)
			}
			return ok
		}})
	})
	return c
}

// The fast path says what the handler says, header by header, and counts and logs
// the same.
func TestFastPathSaysTheSame(t *testing.T) {
	for _, mode := range []string{AccessCounts, AccessFull} {
		t.Run(mode, func(t *testing.T) {
			g, sink := newLogRig(t, AccessLog{Mode: mode, Client: true}, 1)
			at := openCounting(t, g)
			etag := header(g.get(t, "/product/7"), "ETag")
			g.get(t, "/product/7.json")
			g.get(t, "/product/7?shopId=3")
			zipped := header(g.get(t, "/product/7", "Accept-Encoding", "gzip"), "ETag")
			const browser = "User-Agent: x\r\nAccept: text/html,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: secret=1\r\n"
			for _, c := range []struct {
				name, line, fields string
				quick              bool
			}{
				{"plain", "GET /product/7", "", true},
				{"as a browser", "GET /product/7", browser, true},
				{"query", "GET /product?requestPath=product&productId=7&shopId=3", browser, true},
				{"absolute form", "GET http://x/product/7", "", true},
				{"JSON", "GET /product/7.json", "", true},
				{"JSON asked for", "GET /product/7", "Accept: application/json\r\n", true},
				{"HEAD", "HEAD /product/7", "", true},
				{"HEAD of a browser", "HEAD /product/7", browser, true},
				{"has it", "GET /product/7", "If-None-Match: " + etag + "\r\n", true},
				{"has it compressed", "GET /product/7", "Accept-Encoding: gzip\r\nIf-None-Match: W/" + zipped + ", \"x\"\r\n", true},
				{"has it, HEAD", "HEAD /product/7", "If-None-Match: *\r\n", true},
				{"has the other form", "GET /product/7", "If-None-Match: " + zipped + "\r\n", true},
				{"no such path", "GET /nothing", "", false},
				{"bad id", "GET /product/07", "", false},
				{"unknown", "GET /product/8", "", false},
				{"close", "GET /product/7", "Connection: close\r\n", false},
				{"twice the same header", "GET /product/7", "Accept: text/html\r\nAccept: application/json\r\n", false},
			} {
				text := c.line + " HTTP/1.1\r\nHost: x\r\nX-Request-Id: the-same\r\n" + c.fields + "\r\n"
				g.get(t, "/product/8") // its absence is known
				sink.take()
				collectAll(g)
				before := at.quick.Load()
				want := said(t, at.behind, text)
				if at.quick.Load() != before {
					t.Fatal("the fast path is before the handler alone")
				}
				logOfWant, hitsOfWant := sink.take(), collectAll(g)
				got := said(t, at.fast, text)
				if quick := at.quick.Load() != before; quick != c.quick {
					t.Errorf("%s: by the fast path: %v, want %v", c.name, quick, c.quick)
				}
				logOfGot, hitsOfGot := sink.take(), collectAll(g)
				if !maps.EqualFunc(got, want, slices.Equal) {
					t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, want)
				}
				if len(logOfGot) != len(logOfWant) || len(logOfGot) == 1 && string(logOfGot[0].Value) != string(logOfWant[0].Value) {
					t.Errorf("%s: logged %s, want %s", c.name, fmt.Sprint(logOfGot), fmt.Sprint(logOfWant))
				}
				if !maps.Equal(hitsOfGot, hitsOfWant) {
					t.Errorf("%s: counted %v, want %v", c.name, hitsOfGot, hitsOfWant)
				}
			}
		})
	}
}

// The same for what a gateway asks of another.
func TestFastPathSaysTheSameToPeers(t *testing.T) {
	g := newRig(t, func(c *Config, _ *Deps) { c.ClusterToken = "secret" })
	at := openBoth(t, g.peerServer, g.answerPeer)
	g.get(t, "/product/7")
	g.get(t, "/product/7.json")
	const allowed = "Authorization: Bearer secret\r\n"
	check := func(name, line, fields string, quick bool) {
		t.Helper()
		text := line + " HTTP/1.1\r\nHost: x\r\nX-Request-Id: the-same\r\n" + fields + "\r\n"
		want, before := said(t, at.behind, text), at.quick.Load()
		got := said(t, at.fast, text)
		if was := at.quick.Load() != before; was != quick {
			t.Errorf("%s: by the fast path: %v, want %v", name, was, quick)
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, want)
		}
	}
	check("plain", "GET /product/7", allowed, true)
	check("compressed, only if there", "GET /product/7", allowed+"Accept-Encoding: gzip\r\nCache-Control: only-if-cached\r\n", true)
	check("JSON", "GET /product/7.json", allowed, true)
	check("a peer does not ask so for JSON", "GET /product/7", allowed+"Accept: application/json\r\n", true)
	check("no token", "GET /product/7", "", false)
	check("wrong token", "GET /product/7", "Authorization: Bearer public\r\n", false)
	check("HEAD", "HEAD /product/7", allowed, false)
	check("not there", "GET /product/8", allowed+"Cache-Control: only-if-cached\r\n", false)
	check("ping", "GET "+peerPing, allowed, false)
	g.l1.index.find(keyP7).soft.Store(time.Now().Add(-time.Second).UnixNano())
	g.floor.Raise(keyP7, catalog.Stamp{Version: 3, Token: 14})
	check("stale, and a change announced", "GET /product/7", allowed, true)
}

func collectAll(g *rig) map[int64]int64 {
	all := map[int64]int64{}
	collect(g.access.hits, all)
	return all
}

// said is an answer's headers, status and body.
func said(t *testing.T, addr, text string) map[string][]string {
	t.Helper()
	resp := say(t, addr, text)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string(resp.Header)
	if resp.Header.Get("Date") == "" {
		t.Errorf("%q is answered without a date", text)
	}
	delete(all, "Date")
	all[":status"], all[":body"] = []string{resp.Status}, []string{string(body)}
	// ttl and age are seconds that pass.
	for i, s := range all["Cache-Status"] {
		if before, after, ok := strings.Cut(s, "ttl="); ok {
			_, after, _ = strings.Cut(after, ";")
			s = before + after
		}
		if before, after, ok := strings.Cut(s, "age="); ok {
			_, after, _ = strings.Cut(after, ";")
			s = before + after
		}
		all["Cache-Status"][i] = s
	}
	return all
}

// What the handler would have to look at elsewhere, it gets.
func TestFastPathLeavesWhatIsNotFresh(t *testing.T) {
	g := newRig(t, nil)
	at := openCounting(t, g)
	const text = "GET /product/7 HTTP/1.1\r\nHost: x\r\n\r\n"
	price := func() string {
		resp := say(t, at.fast, text)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	if !strings.Contains(price(), "5599") || at.quick.Load() != 0 {
		t.Fatal("a page that nobody had was answered by the fast path")
	}
	if price(); at.quick.Load() != 1 {
		t.Fatal("a hit was not answered by the fast path")
	}
	next := product(2, 12, "4999.0")
	g.redis.set(next)
	g.change(next)
	if got := price(); !strings.Contains(got, "4999") || at.quick.Load() != 1 {
		t.Errorf("after a change: %.200s", got)
	}
	if price(); at.quick.Load() != 2 {
		t.Error("the new page was not answered by the fast path")
	}
	hourAgo := time.Now().Add(-time.Hour).UnixNano()
	g.trusted.Store(hourAgo) // the bus is silent
	g.l1.index.find(keyP7).verified.Store(hourAgo)
	if price(); at.quick.Load() != 2 {
		t.Error("a page that nobody vouches for was answered by the fast path")
	}
	g.l1.purge(keyP7)
	g.redis.set(catalog.Document{Key: keyP7, State: catalog.Tombstone, Stamp: catalog.Stamp{Version: 2, Token: 13}})
	if code := say(t, at.fast, text).StatusCode; code != 404 || at.quick.Load() != 2 {
		t.Errorf("a deleted product: %d", code)
	}
}

// 6: the fast path touches nothing but the heap either, and allocates nothing.
func TestInvariant6FastPathTouchesNothing(t *testing.T) {
	for _, mode := range []string{AccessCounts, AccessOff} {
		t.Run(mode, func(t *testing.T) {
			g, sink := newLogRig(t, AccessLog{Mode: mode}, 1)
			sink.refuse = func(kafka.Record) string {
				t.Error("a hit offered a record")
				return ""
			}
			g.get(t, "/product/7")
			g.Role.peers = untouchable{t}
			g.redis.before = func([]catalog.Key) { t.Error("a hit asked Redis") }
			g.cache.before = func() { t.Error("a hit asked the cache role") }
			hit := quick(t, g, "/product/7")
			if n := testing.AllocsPerRun(200, hit); n != 0 {
				t.Errorf("%v allocations a hit, want none", n)
			}
		})
	}
}

// quick is a function that has the fast path answer a request for a page in L1,
// as a browser makes it.
func quick(tb testing.TB, g *rig, target string) func() { return quickOn(tb, g, 1, target) }

// quickOn is quick on a connection of that number.
func quickOn(tb testing.TB, g *rig, conn uint64, target string) func() {
	tb.Helper()
	q := &fastpath.Request{Conn: conn, Target: []byte(target), Accept: []byte("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
		AcceptEncoding: []byte("gzip, deflate, br"), Fields: []byte("Host: shop.example\r\n" +
			"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
			"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
			"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: session=0123456789abcdef\r\n\r\n")}
	a := fastpath.NewAnswer()
	return func() {
		a.Reset()
		a.Now = time.Now()
		if !g.answerHit(q, a) {
			tb.Fatal("it was not answered")
		}
	}
}

// Answers of a connection that goes back and forth between fast path and handler
// come in order.
func TestFastPathInPipeline(t *testing.T) {
	g := newRig(t, nil)
	at := openCounting(t, g)
	g.get(t, "/product/7")
	c, err := net.Dial("tcp", at.fast)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	targets := []string{"/product/7", "/nothing", "/product/7.json", "/product/7", "/product/8", "/product/7", "/product/7"}
	codes := []int{200, 404, 200, 200, 404, 200, 200}
	var text strings.Builder
	for _, target := range targets {
		text.WriteString("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	if _, err := io.WriteString(c, text.String()); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for i, want := range codes {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("answer %d, to %s: %d, want %d", i, targets[i], resp.StatusCode, want)
		}
	}
	if at.quick.Load() != 4 {
		t.Errorf("%d answers by the fast path, want 4", at.quick.Load())
	}
}
