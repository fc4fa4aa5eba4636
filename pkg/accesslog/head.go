package accesslog

import (
	"bytes"
	"strings"
)

// appendFields splits the header lines of a request's head and appends those that
// redact shows to dst. Their names in lower case are in room, all else is in head.
// A line without a colon is no header, nor is one whose name no server takes.
func appendFields(dst []pair, room, head []byte, redact *Redaction) (pairs []pair, used []byte) {
	for len(head) > 0 {
		end := 0
		for { // over the lines of one header
			n := bytes.IndexByte(head[end:], '\n')
			if n < 0 {
				end = len(head)
				break
			}
			if end += n + 1; end == len(head) || !isBlank(head[end]) {
				break
			}
		}
		line := head[:end]
		head = head[end:]
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue
		}
		p := pair{raw: trimRight(trimLeft(line[:colon])), value: trimRight(trimLeft(line[colon+1:]))}
		room = append(room, p.raw...)
		if p.name = room[len(room)-len(p.raw):]; lowerToken(p.name) && redact.shows(p.name) {
			p.class = class(p.name)
			dst = append(dst, p)
		}
	}
	return dst, room
}

// Redaction says which headers are left out of a record, wherever it would show
// them: Authorization, Cookie, Proxy-Authorization, Set-Cookie, and those named to
// NewRedaction. Names are compared without regard to case. A nil Redaction names no
// others.
type Redaction struct{ extra []string }

// NewRedaction leaves out the named headers too. Blanks around a name do not count.
func NewRedaction(extra ...string) *Redaction {
	r := &Redaction{}
	for _, name := range extra {
		r.extra = append(r.extra, strings.ToLower(strings.TrimSpace(name)))
	}
	return r
}

// shows tells whether a record has the header of this name, which is in lower case.
func (r *Redaction) shows(name []byte) bool {
	switch string(name) {
	case "authorization", "cookie", "proxy-authorization", "set-cookie":
		return false
	}
	if r != nil {
		for _, hidden := range r.extra {
			if string(name) == hidden {
				return false
			}
		}
	}
	return true
}

// lowerToken puts a header's name in lower case. It is false for one that is empty
// or has another character than those of a token (RFC 9110, 5.6.2).
func lowerToken(name []byte) bool {
	for i, c := range name {
		if name[i] = tokens[c]; name[i] == 0 {
			return false
		}
	}
	return len(name) > 0
}

// tokens has the characters of a token in lower case, 0 for all others.
var tokens = tokenTable()

func tokenTable() (t [256]byte) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
		t[c] = c
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = c + 'a' - 'A'
	}
	return t
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func trimLeft(s []byte) []byte {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	return s
}

// trimRight cuts the line break off too. One at the beginning says what the rest is, see appendLine.
func trimRight(s []byte) []byte {
	for n := len(s); n > 0 && (isBlank(s[n-1]) || s[n-1] == '\r' || s[n-1] == '\n'); n-- {
		s = s[:n-1]
	}
	return s
}
