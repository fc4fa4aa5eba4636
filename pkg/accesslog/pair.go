package accesslog

import "bytes"

// pair is a header or an argument of a request.
type pair struct {
	name       []byte // as it stands in the record
	raw        []byte // of a header: its name as it came
	value      []byte // of a header: perhaps with continuation lines
	flag       bool   // an argument without an equals sign
	class      uint64
	start, end int // where a header's value stands in the record already; end 0: nowhere
}

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
		if b = append(b, '"'); p.raw != nil { // a token, nothing to escape
			b = append(b, p.name...)
		} else {
			b = appendText(b, p.name)
		}
		b = append(b, `":`...)
		if !again {
			b = p.appendJSON(b)
			continue
		}
		b = p.appendJSON(append(b, '['))
		for j := i + 1; j < len(pairs); j++ {
			if bytes.Equal(pairs[j].name, p.name) {
				b = pairs[j].appendJSON(append(b, ','))
			}
		}
		b = append(b, ']')
	}
	return b
}

func anyNamed(pairs []pair, name []byte) bool {
	for i := range pairs {
		if bytes.Equal(pairs[i].name, name) {
			return true
		}
	}
	return false
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
	case p.raw == nil:
		return appendText(b, p.value)
	case p.end > 0:
		return append(b, b[p.start:p.end]...)
	}
	p.start = len(b)
	b = appendLine(b, p.value)
	p.end = len(b)
	return b
}

// class is one bit that depends on the name: nearly all requests show by these
// bits that no name is repeated. The name is not empty.
func class(name []byte) uint64 {
	return 1 << ((len(name)*5 + int(name[0]) + int(name[len(name)-1])) & 63)
}
