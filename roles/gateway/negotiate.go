package gateway

import "bytes"

// nextElement cuts the next element off a comma-separated header list, commas
// within quotes not counted, and trims it.
func nextElement(list []byte) (element, rest []byte) {
	quoted := false
	for i, c := range list {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return bytes.TrimSpace(list[:i]), list[i+1:]
		}
	}
	return bytes.TrimSpace(list), nil
}

// weight splits an element "value;a=b;q=0.5" into its value and its weight in
// thousandths. Without a weight it is 1000; a malformed one is 0, for what
// cannot be understood cannot be preferred.
func weight(element []byte) (value []byte, q int) {
	i := bytes.IndexByte(element, ';')
	if i < 0 {
		return element, 1000
	}
	value, params := bytes.TrimSpace(element[:i]), element[i+1:]
	for len(params) > 0 {
		p := params
		if i := bytes.IndexByte(params, ';'); i >= 0 {
			p, params = params[:i], params[i+1:]
		} else {
			params = nil
		}
		p = bytes.TrimSpace(p)
		if len(p) >= 2 && (p[0] == 'q' || p[0] == 'Q') && p[1] == '=' {
			return value, thousandths(p[2:])
		}
	}
	return value, 1000
}

// thousandths reads a qvalue of RFC 9110, 12.4.2.
func thousandths(text []byte) int {
	if len(text) == 0 || len(text) > 5 || text[0] != '0' && text[0] != '1' || len(text) > 1 && text[1] != '.' {
		return 0
	}
	q := int(text[0]-'0') * 1000
	unit := 100
	for _, c := range text[min(2, len(text)):] {
		if c < '0' || c > '9' {
			return 0
		}
		q += int(c-'0') * unit
		unit /= 10
	}
	if q > 1000 {
		return 0
	}
	return q
}

// acceptsGzip reads an Accept-Encoding header: gzip is used when it is named, or
// covered by *, with a weight above zero and not below that of identity.
func acceptsGzip(header []byte) bool {
	// What browsers send ("gzip, deflate, br"): named first, nothing weighted.
	if bytes.HasPrefix(header, []byte("gzip,")) && bytes.IndexByte(header, ';') < 0 {
		return true
	}
	gzip, star, identity := -1, -1, -1
	for rest := header; len(rest) > 0; {
		var e []byte
		e, rest = nextElement(rest)
		value, q := weight(e)
		switch {
		case bytes.EqualFold(value, []byte("gzip")), bytes.EqualFold(value, []byte("x-gzip")):
			gzip = max(gzip, q)
		case string(value) == "*":
			star = q
		case bytes.EqualFold(value, []byte("identity")):
			identity = q
		}
	}
	if gzip < 0 {
		gzip = star
	}
	return gzip > 0 && gzip >= identity
}

// prefersJSON reads an Accept header: JSON is given when it has the higher
// weight, or the same one and is named more exactly; HTML otherwise.
func prefersJSON(header []byte) bool {
	// What browsers send ("text/html,…"): HTML at full weight, which JSON could
	// equal but not exceed.
	if bytes.HasPrefix(header, []byte("text/html,")) {
		return false
	}
	var json, html preference
	for rest := header; len(rest) > 0; {
		var e []byte
		e, rest = nextElement(rest)
		value, q := weight(e)
		switch {
		case bytes.EqualFold(value, []byte("application/json")):
			json.offer(3, q)
		case bytes.EqualFold(value, []byte("text/html")), bytes.EqualFold(value, []byte("application/xhtml+xml")):
			html.offer(3, q)
		case bytes.EqualFold(value, []byte("application/*")):
			json.offer(2, q)
		case bytes.EqualFold(value, []byte("text/*")):
			html.offer(2, q)
		case string(value) == "*/*":
			json.offer(1, q)
			html.offer(1, q)
		}
	}
	if json.q != html.q {
		return json.q > html.q
	}
	return json.q > 0 && json.exact > html.exact
}

// preference is the most exact range that covers a media type, and its weight.
type preference struct{ exact, q int }

func (p *preference) offer(exact, q int) {
	if exact > p.exact {
		p.exact, p.q = exact, q
	} else if exact == p.exact {
		p.q = max(p.q, q)
	}
}

// matchesETag reads an If-None-Match header and compares weakly, as RFC 9110,
// 13.1.2 has it. etag is a strong one, quotes included.
func matchesETag(header, etag []byte) bool {
	for rest := header; len(rest) > 0; {
		var e []byte
		e, rest = nextElement(rest)
		if string(e) == "*" {
			return true
		}
		if len(e) > 2 && e[0] == 'W' && e[1] == '/' {
			e = e[2:]
		}
		if len(etag) > 0 && bytes.Equal(e, etag) {
			return true
		}
	}
	return false
}
