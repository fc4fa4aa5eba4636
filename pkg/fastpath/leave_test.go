package fastpath_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/lab"
)

// After Leave a connection is there for one more request, whoever has answered the
// last one, were it answered at that moment, and if there was none: that goes to the
// server. Who asks for nothing more finds the connection closed, without a word.
func TestLeave(t *testing.T) { both(t, leave) }

func leave(t *testing.T, open opening) {
	held, answer := make(chan struct{}), make(chan struct{})
	s := open(t, true, func(s *fasthttp.Server) {
		handler := s.Handler
		s.Handler = func(ctx *fasthttp.RequestCtx) {
			if strings.Contains(string(ctx.Request.Header.RequestURI()), "held") {
				close(held)
				<-answer
			}
			handler(ctx)
		}
	})
	type client struct {
		visitor
		r *bufio.Reader
	}
	send := func(c client, target string) {
		t.Helper()
		if _, err := io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
	}
	answered := func(c client, of string) {
		t.Helper()
		if line, err := read(c.r, "GET"); err != nil || !strings.HasPrefix(line, "200 OK") {
			t.Errorf("%s: %s, %v", of, line, err)
		}
	}
	var all []client
	for _, before := range []string{"/quick", "/slow", "/slow/held", ""} {
		v := s.dial(t)
		c := client{v, bufio.NewReader(v)}
		all = append(all, c)
		switch before {
		case "":
		case "/slow/held":
			send(c, before)
			<-held
		default:
			send(c, before)
			answered(c, before)
		}
	}
	has := func(n int) {
		t.Helper()
		lab.Until(t, 20*time.Second, func(context.Context) error {
			if open := s.listener.Open(); open != n {
				return fmt.Errorf("%d connections are open, want %d", open, n)
			}
			return nil
		})
	}
	has(4)
	s.listener.Drain()
	s.listener.Leave()
	close(answer)
	answered(all[2], "one that was being answered")
	behind := s.behind.Load()
	for i, c := range all {
		send(c, fmt.Sprintf("/after/%d", i))
		answered(c, fmt.Sprintf("connection %d, after Leave", i))
	}
	if n := s.behind.Load() - behind; n != 4 {
		t.Errorf("the server got %d of four requests after Leave", n)
	}
	has(0)
	for i, c := range all {
		if left, err := io.ReadAll(c.r); err != nil || len(left) > 0 {
			t.Errorf("connection %d ended with %q, %v", i, left, err)
		}
	}
}
