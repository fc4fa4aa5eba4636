package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"eshop/pkg/certificate"
	"eshop/pkg/lab"
	"eshop/pkg/lifecycle"
)

// visitor is one connection of a client.
type visitor struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func visit(t *testing.T, addr string) *visitor {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, Conn: c, r: bufio.NewReader(c)}
}

func (v *visitor) send() {
	v.t.Helper()
	if _, err := io.WriteString(v, "GET /product?productId=7 HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		v.t.Fatal(err)
	}
}

// answered checks that the request was, and whether that was the connection's last.
func (v *visitor) answered(what string, last bool) {
	v.t.Helper()
	resp, err := http.ReadResponse(v.r, nil)
	if err != nil {
		v.t.Fatalf("%s: %v", what, err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK || resp.Close != last {
		v.t.Errorf("%s: %s, closes: %t, want %t (%v)", what, resp.Status, resp.Close, last, err)
	}
}

// process is a gateway that was passed the socket.
func process(t *testing.T, socket net.Listener, ready *lifecycle.Ready, pair certificate.Config) (g *rig, stop func()) {
	t.Helper()
	f, err := socket.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	g = newRig(t, func(c *Config, d *Deps) { c.TLS, d.Public, d.Ready = pair, l, ready })
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	if g.Addr() != socket.Addr().String() {
		t.Errorf("it is at %s, the socket at %s", g.Addr(), socket.Addr())
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.runPublic(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		g.peerListener.Close()
	})
	t.Cleanup(stop)
	return g, stop
}

// A listener that was passed is accepted from when the gateway is ready, and until it has told its clients
// to close; before and after that connections wait in the socket for the next process.
func TestPassedListener(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	addr := socket.Addr().String()
	var ready lifecycle.Ready
	ready.Set("kafka", false, "not yet")
	early := visit(t, addr)
	early.send()
	first, stop := process(t, socket, &ready, certificate.Config{})
	for range 20 {
		if n := first.overload.open(); n != 0 {
			t.Fatalf("it has accepted %d connections before it is ready", n)
		}
		if err := early.SetReadDeadline(time.Now().Add(5 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := early.r.Peek(1); err == nil {
			t.Fatal("it answers before it is ready")
		}
	}
	early = &visitor{t: t, Conn: early.Conn, r: bufio.NewReader(early.Conn)} // the old reader keeps its error
	if err := early.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	ready.Set("kafka", true, "")
	early.answered("a connection that waited for it to be ready", false)

	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	late := visit(t, addr)
	lab.Until(t, 10*time.Second, func(context.Context) error { // it has begun to stop
		c := visit(t, addr)
		c.send()
		resp, err := http.ReadResponse(c.r, nil)
		if err == nil && !resp.Close {
			err = fmt.Errorf("answered without telling to close")
		}
		c.Close()
		return err
	})
	late.send()
	late.answered("a connection of one that stops", true)
	early.send()
	early.answered("a kept connection of one that stops", true)
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Fatal("it does not stop")
	}

	next := visit(t, addr) // while there is no process at all
	next.send()
	process(t, socket, &ready, certificate.Config{})
	next.answered("a connection between two processes", false)
	next.Close() // or the second one would wait for it
}

// A gateway that cannot become ready accepts all the same after a while, as one does that listens by
// itself; one that is told to stop meanwhile does not.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ready lifecycle.Ready
		ready.Set("kafka", false, "away")
		g := newRig(t, func(_ *Config, d *Deps) { d.Public, d.Ready = nowhere{}, &ready })
		began := time.Now()
		if !g.hold(t.Context()) || time.Since(began) != g.cfg.WarmTimeout+holdMargin {
			t.Errorf("it held for %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if g.hold(ctx) {
			t.Error("it goes on although it was told to stop")
		}
		ready.Set("kafka", true, "")
		if began := time.Now(); !g.hold(t.Context()) || time.Since(began) != 0 {
			t.Error("it waits although it is ready")
		}
	})
}

// nowhere is a listener that nobody uses.
type nowhere struct{ net.Listener }

func (nowhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// While a listener stops, no client that keeps its connection busy loses an answer: whatever the server
// answers last on a connection says that it is the last. The fast path has nothing to do with these.
func TestStopTellsEveryClient(t *testing.T) { overBoth(t, stopTellsEveryClient) }

func stopTellsEveryClient(t *testing.T, over transport) {
	for range 5 {
		g := newRig(t, func(c *Config, _ *Deps) { c.TLS = over.pair })
		if err := g.Listen(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.runPublic(ctx) }()
		var clients sync.WaitGroup
		var answers atomic.Int64
		for range 8 {
			v := over.dial(t, g.Addr())
			r := bufio.NewReader(v)
			clients.Go(func() {
				for i := 0; ; i++ {
					_, err := io.WriteString(v, "GET /unknown HTTP/1.1\r\nHost: x\r\n\r\n")
					var resp *http.Response
					if err == nil {
						resp, err = http.ReadResponse(r, nil)
					}
					if err != nil {
						t.Errorf("request %d: %v", i, err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					answers.Add(1)
					if resp.Close {
						return
					}
				}
			})
		}
		lab.Until(t, 20*time.Second, func(context.Context) error {
			if n := answers.Load(); n < 500 {
				return fmt.Errorf("%d answers", n)
			}
			return nil
		})
		cancel()
		clients.Wait()
		if err := <-done; err != nil {
			t.Error(err)
		}
		g.peerListener.Close()
	}
}
