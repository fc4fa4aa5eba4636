package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/catalog"
	"eshop/pkg/ring"
)

// piped waits until the first pipe to a peer is connected.
func piped(t *testing.T, h *hosts, addr string) *pipe {
	t.Helper()
	p := h.host(addr).pipes[0]
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		open := p.conn != nil
		p.mu.Unlock()
		if open {
			return p
		}
		if q, _ := h.ask(addr, time.Second, func(b []byte) []byte { return append(b, "GET /-/ping HTTP/1.1\r\nHost: x\r\n\r\n"...) }); time.Now().After(deadline) {
			t.Fatalf("no pipe to %s within 20 s, %v", addr, q.err)
		}
	}
}

// What the owner has is asked of it on a pipe, what it has to load by a request of
// its own, so that nothing on the pipe waits for a load.
func TestHopOnAPipe(t *testing.T) {
	a, b := pair(t, "gw-2", [2]string{"secret", "secret"})
	wantPage(t, a.get(t, "/product/7"), "5599.0", "stored") // no pipe yet
	p := piped(t, a.hosts, b.addr)
	wantPage(t, a.get(t, "/product/7"), "5599.0", "eshop; hit")
	loaded := b.redis.count()
	release := make(chan struct{})
	b.redis.mu.Lock()
	b.redis.before = func(keys []catalog.Key) {
		if keys[0].ID == 8 {
			<-release
		}
	}
	b.redis.mu.Unlock()
	waits := make(chan *fasthttp.RequestCtx)
	go func() { waits <- a.get(t, "/product/8") }()
	for deadline := time.Now().Add(20 * time.Second); b.loads.Waiting() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the owner does not load within 20 s")
		}
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			ctx := a.get(t, "/product/7", "Accept-Encoding", "gzip")
			if body, err := ctx.Response.BodyGunzip(); err != nil || !strings.Contains(string(body), "Phone seven") {
				t.Errorf("status %d, %v, %.80q", ctx.Response.StatusCode(), err, body)
			}
		})
	}
	all.Wait() // or the test hangs
	close(release)
	if ctx := <-waits; ctx.Response.StatusCode() != 404 {
		t.Errorf("the page that was loaded: %d, want 404", ctx.Response.StatusCode())
	}
	if n := b.redis.count() - loaded; n != 1 || a.redis.count() != 0 {
		t.Errorf("the owner read Redis %d times, the other %d; want 1, 0", n, a.redis.count())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil || len(p.asked) != 0 || a.hosts.calls() != 0 {
		t.Errorf("connected %v, %d unanswered, %d under way", p.conn != nil, len(p.asked), a.hosts.calls())
	}
}

// scripted is a peer that reads requests and answers with what reply says, "" for
// not at all; an error ends the connection.
func scripted(t *testing.T, reply func(n int, request string) (string, error)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer context.AfterFunc(ctx, func() { c.Close() })()
				defer c.Close()
				r := bufio.NewReader(c)
				for n := 0; ; n++ {
					request := ""
					for !strings.HasSuffix(request, "\r\n\r\n") {
						line, err := r.ReadString('\n')
						if err != nil {
							return
						}
						request += line
					}
					text, err := reply(n, request)
					if err != nil {
						return
					}
					io.WriteString(c, text)
				}
			})
		}
	})
	t.Cleanup(func() { stop(); l.Close(); serving.Wait() })
	return l.Addr().String()
}

const pong = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// However a connection ends, everybody who waits is told, and the next one gets
// another connection.
func TestPipeFails(t *testing.T) {
	for name, c := range map[string]struct {
		reply string
		err   error
	}{
		"closed":          {"", io.EOF},
		"silent":          {"", nil},
		"half a header":   {"HTTP/1.1 200 OK\r\nContent-Le", nil},
		"half a body":     {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", nil},
		"no length":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", nil},
		"not HTTP":        {"ok\r\n\r\n", nil},
		"one too many":    {pong + pong + pong + pong + pong + pong, nil},
		"too long a body": {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			addr := scripted(t, func(n int, request string) (string, error) {
				if strings.Contains(request, "/-/ping") || strings.Contains(request, "/well") {
					return pong, nil
				}
				return c.reply, c.err
			})
			h := newHosts(512, 0, plainDial)
			t.Cleanup(h.close)
			p := piped(t, h, addr)
			first := p.connection()
			var all sync.WaitGroup
			failed := make(chan error, 5)
			for range 5 {
				all.Go(func() {
					q, err := h.ask(addr, 200*time.Millisecond, func(b []byte) []byte { return append(b, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"...) })
					h.done(q)
					failed <- err
				})
			}
			all.Wait()
			close(failed)
			none := true
			for err := range failed {
				none = none && err == nil
			}
			for deadline := time.Now().Add(20 * time.Second); p.connection() == first; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the connection is kept")
				}
			}
			if none && name != "one too many" {
				t.Error("nobody was told")
			}
			piped(t, h, addr)
			q, err := h.ask(addr, 10*time.Second, func(b []byte) []byte { return append(b, "GET /well HTTP/1.1\r\nHost: x\r\n\r\n"...) })
			if err != nil || string(q.body) != "ok" || q.header.StatusCode() != 200 {
				t.Errorf("on the next connection: %v, %d %q", err, q.header.StatusCode(), q.body)
			}
			h.done(q)
		})
	}
}

func (p *pipe) connection() net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn
}

// Answers go to whom they are for, however the requests are put together.
func TestPipeKeepsTheOrder(t *testing.T) {
	addr := scripted(t, func(_ int, request string) (string, error) {
		path := strings.Fields(request)[1]
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path), nil
	})
	h := newHosts(512, 0, plainDial)
	t.Cleanup(h.close)
	piped(t, h, addr)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			for j := range 50 {
				want := fmt.Sprintf("/%d/%d/%s", i, j, strings.Repeat("x", i*20))
				q, err := h.ask(addr, 20*time.Second, func(b []byte) []byte { return append(b, "GET "+want+" HTTP/1.1\r\nHost: x\r\n\r\n"...) })
				if errors.Is(err, errPipeClosed) { // the second one is still being connected
					h.done(q)
					continue
				}
				if err != nil || string(q.body) != want {
					t.Errorf("got %.40q, %v; want %.40q", q.body, err, want)
				}
				h.done(q)
			}
		})
	}
	all.Wait()
}

// A connection on which nothing is asked is kept, whatever the last deadline was.
func TestPipeOutlivesADeadline(t *testing.T) {
	addr := scripted(t, func(int, string) (string, error) { return pong, nil })
	h := newHosts(512, 0, plainDial)
	t.Cleanup(h.close)
	p := piped(t, h, addr)
	ask := func() {
		t.Helper()
		q, err := h.ask(addr, 50*time.Millisecond, func(b []byte) []byte { return append(b, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"...) })
		if h.done(q); err != nil {
			t.Error(err)
		}
	}
	ask()
	first := p.connection()
	p.mu.Lock()
	past := p.deadline
	p.mu.Unlock()
	<-time.After(time.Until(past) + 20*time.Millisecond)
	if ask(); p.connection() != first {
		t.Error("the connection was given up")
	}
}

// A peer that is stopped holds nobody for longer than the time for a hop, on a
// pipe too, and is ejected.
func TestStoppedPeerOnAPipe(t *testing.T) {
	addr := scripted(t, func(n int, request string) (string, error) {
		if strings.Contains(request, "/-/ping") && n == 0 {
			return pong, nil
		}
		return "", nil
	})
	g := newRig(t, func(c *Config, _ *Deps) { c.PeerTimeout = 200 * time.Millisecond })
	t.Cleanup(g.hosts.close)
	t.Cleanup(g.probes.close)
	piped(t, g.hosts, addr)
	g.peers.ring.Store(ring.New([]ring.Member{{ID: "gw-2", Addr: addr}}, 0))
	wantPage(t, g.get(t, "/product/7"), "5599.0", "eshop-redis; hit")
	if n := g.peers.ejected.Load(); n != 1 {
		t.Errorf("the silent owner was ejected %d times, want 1", n)
	}
	if n := counter(t, g.metrics.forwarded); n != 0 {
		t.Errorf("%v requests count as sent to the owner, want 0: none was answered", n)
	}
}
