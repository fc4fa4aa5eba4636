package fastpath

import (
	"bytes"
	"net"
)

// Request is a complete head of a request without a body. Its bytes lie in the
// connection's buffer: nothing of it may be kept.
type Request struct {
	// Head: HEAD rather than GET.
	Head bool
	// Target as it stands in the request line.
	Target []byte
	// Fields are the header lines as they came, with the empty line at the end.
	Fields []byte
	// Accept and the others are these headers' values, nil without them.
	Accept, AcceptEncoding, Authorization, IfNoneMatch []byte
	// Traceparent is that header's value, the first if there are several.
	Traceparent []byte
	// Conn numbers the connection within its listener, from 1; Remote is its other
	// end.
	Conn   uint64
	Remote net.Addr
}

// Method returns GET or HEAD.
func (q *Request) Method() string {
	if q.Head {
		return "HEAD"
	}
	return "GET"
}

// Protocol returns HTTP/1.1, the only one there is here.
func (q *Request) Protocol() string { return "HTTP/1.1" }

// verdict on the beginning of a buffer.
type verdict uint8

const (
	simple     verdict = iota
	incomplete         // more bytes are needed
	unusual            // the server's
)

const protocol = " HTTP/1.1\r\n"

// parse reads the head at the beginning of b and says how long it is. It takes
// what RFC 9112 allows in its plainest form only: a method and a version spelt
// as they are here, one space each, lines that end with CRLF and are not folded,
// at most one of each header that is read, and a Host.
func (q *Request) parse(b []byte) (size int, v verdict) {
	line := bytes.IndexByte(b, '\n')
	if line < 0 {
		if len(b) > 0 && b[0] != 'G' && b[0] != 'H' {
			return 0, unusual
		}
		return 0, incomplete
	}
	start := 0
	switch {
	case len(b) > 4 && string(b[:4]) == "GET ":
		start, q.Head = 4, false
	case len(b) > 5 && string(b[:5]) == "HEAD ":
		start, q.Head = 5, true
	default:
		return 0, unusual
	}
	end := line + 1 - len(protocol)
	if end <= start || string(b[end:line+1]) != protocol {
		return 0, unusual
	}
	q.Target = b[start:end]
	for _, c := range q.Target {
		if c <= ' ' || c >= 0x7f {
			return 0, unusual
		}
	}
	q.Accept, q.AcceptEncoding, q.Authorization, q.IfNoneMatch, q.Traceparent = nil, nil, nil, nil, nil
	host := false
	for at := line + 1; ; {
		n := bytes.IndexByte(b[at:], '\n')
		if n < 0 {
			return 0, incomplete
		}
		if n == 0 || b[at+n-1] != '\r' {
			return 0, unusual
		}
		if n == 1 {
			if !host {
				return 0, unusual
			}
			q.Fields = b[line+1 : at+2]
			return at + 2, simple
		}
		if !q.field(b[at:at+n-1], &host) {
			return 0, unusual
		}
		at += n + 1
	}
}

// field takes one header line and reports whether it is one that leaves the
// request simple. The first byte and the length of a name tell most of the others
// apart from those that matter.
func (q *Request) field(line []byte, host *bool) bool {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return false
	}
	name := line[:colon]
	for _, c := range name {
		if !token[c] {
			return false // a fold, a blank before the colon, or worse
		}
	}
	if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
		return false // some take the one for the end of a line, some the other for that of a text
	}
	var into *[]byte
	switch name[0] | 0x20 {
	case 'a':
		switch {
		case named(name, "accept"):
			into = &q.Accept
		case named(name, "accept-encoding"):
			into = &q.AcceptEncoding
		case named(name, "authorization"):
			into = &q.Authorization
		}
	case 'h':
		if named(name, "host") {
			if *host {
				return false
			}
			*host = true
		}
	case 'i':
		if named(name, "if-none-match") {
			into = &q.IfNoneMatch
		}
	case 'c':
		if named(name, "connection") {
			return named(bytes.TrimSpace(line[colon+1:]), "keep-alive")
		}
		return !named(name, "content-length")
	case 't':
		if named(name, "traceparent") {
			if q.Traceparent == nil {
				q.Traceparent = bytes.Trim(line[colon+1:], " \t")
			}
			return true
		}
		return !named(name, "transfer-encoding") && !named(name, "trailer") && !named(name, "te")
	case 'e':
		return !named(name, "expect")
	case 'u':
		// Upgrade-Insecure-Requests is none.
		return !named(name, "upgrade")
	}
	if into == nil {
		return true
	}
	if *into != nil {
		return false
	}
	if *into = bytes.Trim(line[colon+1:], " \t"); *into == nil {
		*into = []byte{} // it was there
	}
	return true
}

// named reports whether text is name, which is in lower case.
func named(text []byte, name string) bool {
	if len(text) != len(name) {
		return false
	}
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

// token tells the bytes of which names are made (RFC 9110, 5.6.2).
var token = func() (t [256]bool) {
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = true, true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()
