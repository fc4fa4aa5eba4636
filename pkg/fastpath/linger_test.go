package fastpath_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// Who sends more than is taken gets the answer all the same, and can go on sending until it has read it: the connection
// is not reset under it.
func TestRefusedWhileSending(t *testing.T) { both(t, refusedWhileSending) }

func refusedWhileSending(t *testing.T, open opening) {
	s := open(t, true, func(s *fasthttp.Server) { s.MaxRequestBodySize = 1024 })
	const more = 300 << 10
	for name, head := range map[string]string{
		"body":    fmt.Sprintf("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", more),
		"headers": "GET /a HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-A: b\r\n", 1000),
	} {
		c := s.dial(t)
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := bufio.NewReader(c)
		got, err := read(r, "POST")
		if err != nil || !strings.HasPrefix(got, "400 ") {
			t.Fatalf("%s: got %s, %v", name, got, err)
		}
		for range more >> 12 {
			if _, err := c.Write(body[:4096]); err != nil {
				t.Fatalf("%s: sending on: %v", name, err)
			}
		}
		if n, err := io.Copy(io.Discard, r); n != 0 || err != nil {
			t.Errorf("%s: after the answer came %d bytes and %v, want the end", name, n, err)
		}
		c.Close()
	}
}
