package accesslog

import "bytes"

// pair is a header or an argument of a request.
type pair struct {
	name, value []byte
	form        form
	flag        bool // an argument without an equals sign
	class       uint64
	start, end  int // where the value stands in the record already; end 0: nowhere
}

// form says how name and value are to be read.
type form uint8

const (
	header  form = iota // names without regard to case; the value may have continuation lines
	plain               // an argument
	escaped             // an argument of a query that has escapes
)

// appendMembers appends the members of an object: a text for each name, true for
// a flag, and for a name that is repeated an array of all its values at the place
// of the first.
func appendMembers(b []byte, pairs []pair) []byte {
	var seen, repeated uint64
	for i := range pairs {
		repeated |= seen & pairs[i].class
		seen |= pairs[i].class
	}
	for i := range pairs {
		p := &pairs[i]
		again := false
		if repeated&p.class != 0 {
			if anyNamed(pairs[:i], p.name) {
				continue
			}
			again = anyNamed(pairs[i+1:], p.name)
		}
		if i > 0 { // the first one is never a repetition
			b = append(b, ',')
		}
		b = append(p.appendName(append(b, '"')), `":`...)
		if !again {
			b = p.appendJSON(b)
			continue
		}
		b = p.appendJSON(append(b, '['))
		for j := i + 1; j < len(pairs); j++ {
			if pairs[j].named(p.name) {
				b = pairs[j].appendJSON(append(b, ','))
			}
		}
		b = append(b, ']')
	}
	return b
}

func anyNamed(pairs []pair, name []byte) bool {
	for i := range pairs {
		if pairs[i].named(name) {
			return true
		}
	}
	return false
}

// named tells whether the pair has the name of another one of the same form.
func (p *pair) named(name []byte) bool {
	switch p.form {
	case header:
		return foldEqual(p.name, name)
	case escaped:
		return sameUnescaped(p.name, name)
	}
	return bytes.Equal(p.name, name)
}

func (p *pair) appendName(b []byte) []byte {
	switch p.form {
	case header: // has nothing to escape
		start := len(b)
		b = append(b, p.name...)
		for i := start; i < len(b); i++ {
			b[i] = lower(b[i])
		}
		return b
	case escaped:
		return appendUnescaped(b, p.name)
	}
	return appendText(b, p.name)
}

// appendJSON appends the value as JSON.
func (p *pair) appendJSON(b []byte) []byte {
	if p.flag {
		return append(b, "true"...)
	}
	return append(p.appendValue(append(b, '"')), '"')
}

// appendValue appends the value as the inside of a JSON string.
func (p *pair) appendValue(b []byte) []byte {
	switch {
	case p.end > 0:
		return append(b, b[p.start:p.end]...)
	case p.form == escaped:
		return appendUnescaped(b, p.value)
	case p.form == plain:
		return appendText(b, p.value)
	}
	p.start = len(b)
	b = appendLine(b, p.value)
	p.end = len(b)
	return b
}

// class is a bit that names have in common which are equal without regard to
// case: nearly all requests show by it that no name is repeated.
func class(name []byte) uint64 {
	if len(name) == 0 {
		return 1
	}
	return 1 << ((len(name)*5 + int(name[0]|' ') + int(name[len(name)-1]|' ')) & 63)
}

// foldEqual compares without regard to the case of ASCII letters.
func foldEqual[T string | []byte](a []byte, b T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// lower returns the ASCII letter c in lower case, anything else as it is.
func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
