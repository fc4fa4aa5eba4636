package fastpath_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"eshop/pkg/lab"
)

// Who does not get through the handshake is cut off in time, whatever he does, and told nothing but that he should have
// spoken TLS, if he spoke HTTP. Neither the fast path nor the server ever hears of him.
func TestNoHandshake(t *testing.T) {
	const limit = 400 * time.Millisecond
	ca := lab.NewAuthority(t)
	for _, c := range []struct {
		name  string
		first string
		drip  bool
		want  string // what is answered
		late  bool   // only after the time for a request
	}{
		{"says nothing", "", false, "", true},
		{"never ends its hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", true, "", true},
		{"speaks HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, "HTTP/1.1 400 Bad Request", false},
		{"speaks something else", "\x00\x01\x02\x03\x04\x05\x06\x07", false, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := openWith(t, ca, true, func(s *fasthttp.Server) { s.ReadTimeout = limit })
			conn := s.dialTCP(t)
			begin := time.Now()
			if _, err := io.WriteString(conn, c.first); err != nil {
				t.Fatal(err)
			}
			if c.drip {
				stop := make(chan struct{})
				defer close(stop)
				go func() {
					tick := time.NewTicker(20 * time.Millisecond)
					defer tick.Stop()
					for err := error(nil); err == nil; {
						select {
						case <-stop:
							return
						case <-tick.C:
							_, err = conn.Write([]byte{0})
						}
					}
				}()
			}
			text, err := io.ReadAll(conn)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Fatalf("it was not cut off: %v", err)
			}
			if said := string(text); c.want != "" && !strings.HasPrefix(said, c.want) || c.want == "" && strings.Contains(said, "HTTP") {
				t.Errorf("it was told %q, want %q", said, c.want)
			}
			if took := time.Since(begin); c.late && took < limit/2 {
				t.Errorf("it was cut off after %v, the limit is %v", took, limit)
			}
			lab.Until(t, 10*time.Second, func(context.Context) error {
				if n := s.failed.Load(); n != 1 {
					return fmt.Errorf("%d handshakes failed, want 1", n)
				}
				return nil
			})
			if n := s.fast.Load() + s.behind.Load() + s.refused.Load(); n != 0 {
				t.Errorf("%d requests of it got through", n)
			}
		})
	}
}

// A client that leaves after the handshake, by a word or without one, is no request that could not be read.
func TestLeavesAfterTheHandshake(t *testing.T) {
	s := openWith(t, lab.NewAuthority(t), true, nil)
	polite := s.dial(t)
	polite.Close()
	rude := s.dial(t).(*tls.Conn)
	rude.NetConn().Close()
	lab.Until(t, 10*time.Second, func(context.Context) error {
		if n := s.server.GetOpenConnectionsCount(); n != 0 {
			return fmt.Errorf("%d connections are open", n)
		}
		return nil
	})
	if n := s.refused.Load(); n != 0 {
		t.Errorf("%d requests could not be read", n)
	}
}

// A page that fits in a record goes out in one.
func TestOneRecord(t *testing.T) {
	s := openWith(t, lab.NewAuthority(t), true, nil)
	tcp := &counted{Conn: s.dialTCP(t)}
	c := tls.Client(tcp, s.client)
	r := bufio.NewReader(c)
	ask := func() {
		t.Helper()
		if _, err := fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", strings.Repeat("x", 500)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil || n < 8<<10 || n > 10<<10 {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	ask() // the rest of the handshake comes with it
	before := tcp.records
	ask()
	if n := tcp.records - before; n != 1 {
		t.Errorf("the answer came in %d records, want 1", n)
	}
}

// counted counts the records that come over a connection.
type counted struct {
	net.Conn
	records int
	head    []byte
	rest    int // of the record
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for got := b[:n]; len(got) > 0; {
		if c.rest > 0 {
			part := min(c.rest, len(got))
			c.rest, got = c.rest-part, got[part:]
			continue
		}
		c.head, got = append(c.head, got[0]), got[1:]
		if len(c.head) == 5 { // type, version, length (RFC 8446, 5.1)
			c.rest, c.head = int(c.head[3])<<8|int(c.head[4]), c.head[:0]
			c.records++
		}
	}
	return n, err
}
