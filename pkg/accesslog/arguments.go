package accesslog

import "bytes"

// appendArguments appends the arguments of a request target's query to dst: not
// productId, none without a name, and like ngx.req.get_uri_args at most maxFields.
func appendArguments(dst []pair, target []byte) []pair {
	if i := bytes.IndexByte(target, '#'); i >= 0 {
		target = target[:i]
	}
	i := bytes.IndexByte(target, '?')
	if i < 0 {
		return dst
	}
	q, form := target[i+1:], plain
	if bytes.IndexByte(q, '%') >= 0 || bytes.IndexByte(q, '+') >= 0 {
		form = escaped
	}
	for len(q) > 0 && len(dst) < maxFields {
		part := q
		if i := bytes.IndexByte(q, '&'); i >= 0 {
			part, q = q[:i], q[i+1:]
		} else {
			q = nil
		}
		p := pair{name: part, form: form, flag: true}
		if i := bytes.IndexByte(part, '='); i >= 0 {
			p.name, p.value, p.flag = part[:i], part[i+1:], false
		}
		if len(p.name) == 0 || p.named([]byte(argumentProduct)) {
			continue
		}
		if p.class = class(p.name); form == escaped {
			p.class = ^uint64(0) // the name that counts is not known yet
		}
		dst = append(dst, p)
	}
	return dst
}

// appendUnescaped appends the text that s escapes as the inside of a JSON string.
func appendUnescaped(b, s []byte) []byte {
	// The text is put behind b first, since a character can be spread over several
	// escapes, and its JSON form takes its place afterwards.
	start := len(b)
	for len(s) > 0 {
		var c byte
		c, s = unescape(s)
		b = append(b, c)
	}
	end := len(b)
	b = appendText(b, b[start:end])
	return append(b[:start], b[end:]...)
}

// sameUnescaped tells whether a and b escape the same text.
func sameUnescaped(a, b []byte) bool {
	for len(a) > 0 && len(b) > 0 {
		var x, y byte
		x, a = unescape(a)
		if y, b = unescape(b); x != y {
			return false
		}
	}
	return len(a) == len(b)
}

// unescape takes one byte off an escaped text: a plus sign is a space, and a
// percent sign without two hexadecimal digits behind it stands for itself.
func unescape(s []byte) (c byte, rest []byte) {
	switch c = s[0]; {
	case c == '+':
		return ' ', s[1:]
	case c == '%' && len(s) > 2:
		high, ok := unhex(s[1])
		low, ok2 := unhex(s[2])
		if ok && ok2 {
			return high<<4 | low, s[3:]
		}
	}
	return c, s[1:]
}

func unhex(c byte) (digit byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= lower(c) && lower(c) <= 'f':
		return lower(c) - 'a' + 10, true
	}
	return 0, false
}
