package accesslog

import (
	"bytes"
	"strings"
)

// appendFields splits the header lines of a request's head and appends those that
// redact shows to dst. They share the memory of head. A line without a colon is no
// header.
func appendFields(dst []pair, head []byte, redact *Redaction) []pair {
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
		if name := trimRight(trimLeft(line[:colon])); redact.shows(name) {
			dst = append(dst, pair{name: name, value: trimRight(trimLeft(line[colon+1:])), form: header, class: class(name)})
		}
	}
	return dst
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
		if name = strings.TrimSpace(name); name != "" {
			r.extra = append(r.extra, name)
		}
	}
	return r
}

// shows tells whether a record has a header of this name. A name that is empty or
// has anything but visible ASCII without quotes and backslashes is left out too: no
// server takes it, and it would have to be escaped.
func (r *Redaction) shows(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	switch len(name) {
	case 0:
		return false
	case len("cookie"):
		if foldEqual(name, "cookie") {
			return false
		}
	case len("set-cookie"):
		if foldEqual(name, "set-cookie") {
			return false
		}
	case len("authorization"):
		if foldEqual(name, "authorization") {
			return false
		}
	case len("proxy-authorization"):
		if foldEqual(name, "proxy-authorization") {
			return false
		}
	}
	if r != nil {
		for _, hidden := range r.extra {
			if foldEqual(name, hidden) {
				return false
			}
		}
	}
	return true
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
