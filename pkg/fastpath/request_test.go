package fastpath

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestParse(t *testing.T) {
	const host = "Host: a\r\n"
	for _, c := range []struct {
		text string
		want verdict
	}{
		{"GET / HTTP/1.1\r\n" + host + "\r\n", simple},
		{"HEAD / HTTP/1.1\r\n" + host + "\r\nGET", simple},
		{"GET /a?b=%20 HTTP/1.1\r\nhOST: a\r\nUpgrade-Insecure-Requests: 1\r\nConnection: Keep-Alive\r\nCookie: a=b; c\r\n\r\n", simple},
		{"GET / HTTP/1.1\r\n" + host + "X-Empty:\r\n\r\n", simple},
		{"", incomplete},
		{"GET / HTTP/1.1\r\n" + host, incomplete},
		{"GET / HTTP/1.1\r\n" + host + "\r", incomplete},
		{"GET / HTT", incomplete},
		{"POST", unusual},
		{"GET / HTTP/1.0\r\n" + host + "\r\n", unusual},
		{"GET / HTTP/1.1\n" + host + "\r\n", unusual},
		{"GET  / HTTP/1.1\r\n" + host + "\r\n", unusual},
		{"GET /\x7f HTTP/1.1\r\n" + host + "\r\n", unusual},
		{"GET /a b HTTP/1.1\r\n" + host + "\r\n", unusual},
		{"GET  HTTP/1.1\r\n" + host + "\r\n", unusual},
		{"GET / HTTP/1.1\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + host + "\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "Accept: a\r\nAccept: b\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + " folded\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "X : y\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "X\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + ": y\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "X: y\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "Accept:\r\nAccept: b\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "X: y\rTransfer-Encoding: chunked\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "X: \x00\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "Connection: keep-alive, x\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\n\r\n", unusual},
		{"GET / HTTP/1.1\r\n" + host + "Upgrade: h2c\r\n\r\n", unusual},
	} {
		var q Request
		if _, got := q.parse([]byte(c.text)); got != c.want {
			t.Errorf("%q: %d, want %d", c.text, got, c.want)
		}
	}
	var q Request
	text := "HEAD /p/7 HTTP/1.1\r\nHost: a\r\nAccept: \t text/html \r\nACCEPT-ENCODING:gzip\r\nIf-None-Match: \"x\"\r\nTraceParent: 00-a\r\ntraceparent: 00-b\r\n\r\n"
	size, _ := q.parse([]byte(text + "GET"))
	again := Request{Traceparent: []byte("of the request before")}
	if again.parse([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); again.Traceparent != nil {
		t.Errorf("a request without a traceparent has %q", again.Traceparent)
	}
	if size != len(text) || !q.Head || string(q.Target) != "/p/7" || string(q.Accept) != "text/html" || string(q.AcceptEncoding) != "gzip" ||
		string(q.IfNoneMatch) != `"x"` || string(q.Traceparent) != "00-a" || string(q.Fields) != text[strings.Index(text, "Host"):] || q.Method() != "HEAD" {
		t.Errorf("%d, %+v", size, q)
	}
}

// FuzzParse: what is taken for simple is understood in the same way by the server,
// which would have read exactly as much.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", "HEAD http://a/b HTTP/1.1\r\nHost: a\r\nAccept: x\r\nIf-None-Match: y\r\nAuthorization: z\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nCookie: b\r\nX:\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
		"GET / HTTP/1.1\r\nHost: a\r\nTraceparent: t\r\ntraceparent: u\r\n\r\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var q Request
		size, v := q.parse(b)
		if v != simple {
			if size != 0 {
				t.Fatalf("%d bytes of %q, verdict %d", size, b, v)
			}
			return
		}
		var h fasthttp.RequestHeader
		r := bufio.NewReaderSize(bytes.NewReader(b), len(b)+16)
		if err := h.Read(r); err != nil {
			return // the fast path is more lenient with bytes that nobody reads
		}
		if read := len(b) - r.Buffered(); read != size {
			t.Errorf("%q: %d bytes, the server reads %d", b, size, read)
		}
		if !bytes.Equal(h.RequestURI(), q.Target) || string(h.Method()) != q.Method() || string(h.Protocol()) != q.Protocol() ||
			!bytes.Equal(h.RawHeaders(), q.Fields) {
			t.Errorf("%q: %+v", b, q)
		}
		if h.ConnectionClose() || h.ContentLength() > 0 || h.ContentLength() == -1 {
			t.Errorf("%q is not simple", b)
		}
		for name, value := range map[string][]byte{"Accept": q.Accept, "Accept-Encoding": q.AcceptEncoding, "Authorization": q.Authorization, "If-None-Match": q.IfNoneMatch, "Traceparent": q.Traceparent} {
			if got := h.Peek(name); !bytes.Equal(bytes.TrimSpace(got), value) {
				t.Errorf("%q: %s is %q, for the server %q", b, name, value, got)
			}
		}
	})
}
