package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// public opens the public listener of a gateway on fakes.
func public(t *testing.T, g *rig) string {
	t.Helper()
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.serveOn(ctx, g.publicServer(), g.listener, g.fast, "public") }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		g.peerListener.Close()
	})
	return g.Addr()
}

// say sends raw bytes and reads one answer.
func say(t *testing.T, addr, text string) *http.Response {
	t.Helper()
	return transport{}.say(t, addr, text)
}

func (over transport) say(t *testing.T, addr, text string) *http.Response {
	t.Helper()
	c := over.dial(t, addr)
	if h, ok := c.(*tls.Conn); ok && text == "" {
		if err := h.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.60q: %v", text, err)
	}
	return resp
}

func TestPublicListener(t *testing.T) { overBoth(t, publicListener) }

func publicListener(t *testing.T, over transport) {
	g := newRig(t, func(c *Config, _ *Deps) {
		c.TLS = over.pair
		c.Limits = Limits{HeaderBytes: 4096, BodyBytes: 1024, ReadTimeout: 300 * time.Millisecond}
		if over.client != nil {
			c.Limits.ReadTimeout = 3 * time.Second // a handshake on a busy machine
		}
	})
	addr := public(t, g)
	const end = " HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, c := range []struct {
		name, request string
		want          int
	}{
		{"a page", "GET /product/7" + end, 200},
		{"absolute form", "GET http://x/product/7" + end, 200},
		{"another method", "POST /product/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 405},
		{"long request line", "GET /product/7?x=" + strings.Repeat("a", 8000) + end, 431},
		{"many headers", "GET /product/7 HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 2000) + "\r\n", 431},
		{"a large body", "POST /product/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", 413},
		{"no HTTP", "hello\r\n\r\n", 400},
		{"a client that stops in the middle", "GET /product/7 HTTP/1.1\r\nHos", 408},
		{"a connection opened in advance", "", 408},
	} {
		if got := over.say(t, addr, c.request).StatusCode; got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	for code, want := range map[int]uint64{400: 1, 405: 1, 408: 2, 413: 1, 431: 2} {
		if got := g.metrics.requests.of(layerNone, code); got != want {
			t.Errorf("%v answers counted as %d, want %v", got, code, want)
		}
	}
	head := over.say(t, addr, "HEAD /product/7"+end)
	get := over.say(t, addr, "GET /product/7"+end)
	body, err := io.ReadAll(get.Body)
	if err != nil || int64(len(body)) != get.ContentLength {
		t.Errorf("a page of %d bytes says it has %d (%v)", len(body), get.ContentLength, err)
	}
	if head.ContentLength != get.ContentLength || head.Header.Get("Etag") != get.Header.Get("Etag") || head.StatusCode != 200 {
		t.Errorf("HEAD: %d, %d bytes, %s; GET: %d bytes, %s", head.StatusCode, head.ContentLength, head.Header.Get("Etag"), get.ContentLength, get.Header.Get("Etag"))
	}
	if s := get.Header.Get("Server"); s != "" {
		t.Errorf("the server tells its name: %q", s)
	}
}

// A stop that comes before the server has begun to serve ends all the same.
func TestStopBeforeServe(t *testing.T) {
	g := newRig(t, nil)
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		done := make(chan error, 1)
		fast := g.fastpath(l, g.answerHit, nil)
		go func() { done <- g.serveOn(ctx, g.publicServer(), fast, fast, "public") }()
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it hangs")
		}
	}
}
