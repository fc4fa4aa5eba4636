package fastpath_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/fastpath"
	"eshop/pkg/lab"
)

// shop is a server behind a fast path. Both answer in the same words; the fast
// path leaves to the server what has "slow" in its target.
type shop struct {
	addr         string
	client       *tls.Config // nil: plain
	server       *fasthttp.Server
	listener     *fastpath.Listener
	fast, behind atomic.Int64 // answers
	failed       atomic.Int64 // handshakes
	refused      atomic.Int64 // requests that could not be read
	served       chan error
}

// nobody is who reads the server's log.
type nobody struct{}

func (nobody) Printf(string, ...any) {}

// refuse answers what could not be read.
func refuse(ctx *fasthttp.RequestCtx, err error) {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		ctx.Error("late", fasthttp.StatusRequestTimeout)
	} else {
		ctx.Error("broken", fasthttp.StatusBadRequest)
	}
}

var body = bytes.Repeat([]byte("0123456789abcdef"), 640)

// words is the body for a target.
func words(target string) []byte {
	return append([]byte(target+"\n"), body[:len(target)*17%len(body)]...)
}

// opening opens a shop, with the fast path or without.
type opening func(tb testing.TB, fast bool, change func(*fasthttp.Server)) *shop

// both runs a body on plain connections and on such with TLS.
func both(t *testing.T, body func(t *testing.T, open opening)) {
	t.Run("plain", func(t *testing.T) { body(t, openPlain) })
	ca := lab.NewAuthority(t)
	t.Run("TLS", func(t *testing.T) {
		body(t, func(tb testing.TB, fast bool, change func(*fasthttp.Server)) *shop {
			return openWith(tb, ca, fast, change)
		})
	})
}

func openPlain(tb testing.TB, fast bool, change func(*fasthttp.Server)) *shop {
	return openWith(tb, nil, fast, change)
}

// openWith serves with a certificate of ca, if there is one.
func openWith(tb testing.TB, ca *lab.Authority, fast bool, change func(*fasthttp.Server)) *shop {
	tb.Helper()
	s := &shop{served: make(chan error, 1)}
	s.server = &fasthttp.Server{ReadBufferSize: 4096, ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: 20 * time.Second,
		CloseOnShutdown: true, Logger: nobody{},
		ErrorHandler: func(ctx *fasthttp.RequestCtx, err error) { s.refused.Add(1); refuse(ctx, err) }, NoDefaultServerHeader: true, NoDefaultDate: true, LazyRequestTime: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			s.behind.Add(1)
			if ctx.IsGet() || ctx.IsHead() {
				ctx.SetBody(words(string(ctx.Request.Header.RequestURI())))
			} else {
				ctx.SetBodyString("got " + string(ctx.Request.Body()))
			}
		}}
	if change != nil {
		change(s.server)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.addr = l.Addr().String()
	if ca != nil {
		pair, err := tls.LoadX509KeyPair(ca.CertFile, ca.KeyFile)
		if err != nil {
			tb.Fatal(err)
		}
		s.client = ca.Client(tb)
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, DynamicRecordSizingDisabled: true})
	}
	s.listener = fastpath.Listen(l, fastpath.Config{Answer: s.answer, IdleTimeout: s.server.IdleTimeout, ReadTimeout: s.server.ReadTimeout, Linger: 30 * time.Second,
		WriteTimeout: s.server.WriteTimeout, HandshakeFailed: func(net.Addr, error) { s.failed.Add(1) }})
	if fast {
		l = s.listener
	}
	go func() { s.served <- s.server.Serve(l) }()
	tb.Cleanup(func() {
		if err := s.server.Shutdown(); err != nil {
			tb.Error(err)
		}
		if err := <-s.served; err != nil && !errors.Is(err, net.ErrClosed) {
			tb.Error(err)
		}
	})
	return s
}

func (s *shop) answer(q *fastpath.Request, a *fastpath.Answer) bool {
	target := string(q.Target)
	if strings.Contains(target, "slow") {
		return false
	}
	text := words(target)
	b := append(a.Head(), "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(text)), 10), "\r\n\r\n"...)
	if q.Head {
		text = nil
	}
	s.fast.Add(1)
	a.Send(b, text)
	return true
}

// visitor is a client's connection, plain or not.
type visitor interface {
	net.Conn
	CloseWrite() error
}

// dial opens a connection that ends with the test.
func (s *shop) dial(tb testing.TB) visitor {
	tb.Helper()
	c := s.dialTCP(tb)
	if s.client == nil {
		return c
	}
	t := tls.Client(c, s.client)
	if err := t.HandshakeContext(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return t
}

// dialTCP does so without a handshake.
func (s *shop) dialTCP(tb testing.TB) *net.TCPConn {
	tb.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// read reads one answer and puts it into a line.
func read(r *bufio.Reader, method string) (string, error) {
	resp, err := http.ReadResponse(r, &http.Request{Method: method})
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d %s close=%v %q", resp.Status, resp.ContentLength, resp.Header.Get("Content-Type"), resp.Close, text.String()), nil
}
