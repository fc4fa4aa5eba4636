package accesslog

import (
	"bytes"

	"eshop/pkg/catalog"
)

// The names that matter in a request record.
const (
	memberArguments = "uri_args"
	memberWeight    = "weight"
	argumentProduct = "productId"
)

// maxNesting bounds how deep the scanner follows arrays and objects.
const maxNesting = 32

// shortestEscaped is the length of the shortest spelling of a name above that has
// an escape: letters and underscores can only be escaped as \uXXXX.
const shortestEscaped = len(`\u0077eight`)

// unsure is where a walk ends that met something it does not expect.
const unsure = -1

// scan reads a request record without decoding it: it walks the members of the
// top-level object, takes the two that matter and skips the others by their
// structure. What is said inside a string, or deeper inside another member, can
// therefore not be mistaken for them. id is 0 if the record names no product.
//
// sure is false, and the rest means nothing, if the text is not the JSON it
// expects: the full decoder has to judge. Structure, numbers and literals are
// checked completely; text that is skipped is searched for its end only.
func scan(b []byte) (id, weight int64, sure bool) {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return 0, 0, false
	}
	weight = 1
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return 0, weight, skipSpace(b, i+1) == len(b)
	}
	for {
		name, at := member(b, i)
		if at == unsure {
			return 0, 0, false
		}
		switch string(name) { // of members of the same name the last one stays
		case memberArguments:
			id, i = arguments(b, at)
		case memberWeight:
			if i = skipValue(b, at, maxNesting); i != unsure {
				weight = weightOf(b[at:i])
			}
		default:
			i = skipValue(b, at, maxNesting)
		}
		if i == unsure {
			return 0, 0, false
		}
		more := false
		if i, more = next(b, i, '}'); i == unsure {
			return 0, 0, false
		}
		if !more {
			return id, weight, skipSpace(b, i) == len(b)
		}
	}
}

// arguments reads the value of uri_args, which begins at b[i]: an object, or
// something that names no product.
func arguments(b []byte, i int) (id int64, end int) {
	if i >= len(b) || b[i] != '{' {
		return 0, skipValue(b, i, maxNesting)
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return 0, i + 1
	}
	for {
		name, at := member(b, i)
		if at == unsure {
			return 0, unsure
		}
		if string(name) == argumentProduct {
			id, i = product(b, at)
		} else {
			i = skipValue(b, at, maxNesting)
		}
		if i == unsure {
			return 0, unsure
		}
		more := false
		if i, more = next(b, i, '}'); !more {
			return id, i
		}
	}
}

// product reads the value of productId: a text, a number, an array of them, or
// something that is no id. It returns the first valid id, 0 if there is none.
func product(b []byte, i int) (id int64, end int) {
	if i >= len(b) || b[i] != '[' {
		return oneProduct(b, i)
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
		return 0, i + 1
	}
	for {
		one, at := oneProduct(b, i)
		if at == unsure {
			return 0, unsure
		}
		if id == 0 {
			id = one
		}
		more := false
		if i, more = next(b, at, ']'); !more {
			return id, i
		}
	}
}

func oneProduct(b []byte, i int) (id int64, end int) {
	if end = skipValue(b, i, maxNesting); end == unsure {
		return 0, unsure
	}
	text := b[i:end]
	if text[0] == '"' {
		if text = text[1 : len(text)-1]; bytes.IndexByte(text, '\\') >= 0 { // may spell a digit
			return 0, unsure
		}
	}
	id, _ = catalog.ParseIDBytes(text)
	return id, end
}

// member reads a name at b[i] and the colon behind it, and returns where the
// value begins. A name with an escape that could spell one of ours is unsure.
func member(b []byte, i int) (name []byte, at int) {
	if i >= len(b) || b[i] != '"' {
		return nil, unsure
	}
	end := skipText(b, i+1)
	if end == unsure {
		return nil, unsure
	}
	name = b[i+1 : end-1]
	if len(name) >= shortestEscaped && bytes.IndexByte(name, '\\') >= 0 {
		return nil, unsure
	}
	return name, colon(b, end)
}

// colon returns where the value begins behind a name that ends before b[i].
func colon(b []byte, i int) int {
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		return unsure
	}
	return skipSpace(b, i+1)
}

// next goes from the end of a value to the next member or element (more), or
// behind the bracket that closes the whole.
func next(b []byte, i int, closing byte) (at int, more bool) {
	if i = skipSpace(b, i); i >= len(b) {
		return unsure, false
	}
	switch b[i] {
	case ',':
		return skipSpace(b, i+1), true
	case closing:
		return i + 1, false
	}
	return unsure, false
}
