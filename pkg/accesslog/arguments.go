package accesslog

import "bytes"

// appendArguments appends the arguments of a request target's query to dst: not
// productId, none without a name, and like ngx.req.get_uri_args at most maxFields.
// They are in target, or in room if they had to be unescaped.
func appendArguments(dst []pair, room, target []byte) (pairs []pair, used []byte) {
	if i := bytes.IndexByte(target, '#'); i >= 0 {
		target = target[:i]
	}
	i := bytes.IndexByte(target, '?')
	if i < 0 {
		return dst, room
	}
	q := target[i+1:]
	escapes := bytes.IndexByte(q, '%') >= 0 || bytes.IndexByte(q, '+') >= 0
	for len(q) > 0 && len(dst) < maxFields {
		part := q
		if i := bytes.IndexByte(q, '&'); i >= 0 {
			part, q = q[:i], q[i+1:]
		} else {
			q = nil
		}
		p := pair{name: part, flag: true}
		if i := bytes.IndexByte(part, '='); i >= 0 {
			p.name, p.value, p.flag = part[:i], part[i+1:], false
		}
		if escapes {
			p.name, room = unescape(room, p.name)
			p.value, room = unescape(room, p.value)
		}
		if len(p.name) == 0 || string(p.name) == argumentProduct {
			continue
		}
		p.class = class(p.name)
		dst = append(dst, p)
	}
	return dst, room
}

// unescape returns the text that s escapes, which it appends to room: a plus sign
// is a space, and a percent sign without two hexadecimal digits behind it stands for
// itself.
func unescape(room, s []byte) (text, used []byte) {
	start := len(room)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		} else if c == '%' && i+2 < len(s) {
			high, ok := unhex(s[i+1])
			low, ok2 := unhex(s[i+2])
			if ok && ok2 {
				c = high<<4 | low
				i += 2
			}
		}
		room = append(room, c)
	}
	return room[start:], room
}

func unhex(c byte) (digit byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
