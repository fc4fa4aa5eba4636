package accesslog

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// skipValue returns the end of the value that begins at b[i].
func skipValue(b []byte, i, nesting int) int {
	if i >= len(b) {
		return unsure
	}
	switch b[i] {
	case '"':
		return skipText(b, i+1)
	case '{':
		return skipObject(b, i+1, nesting-1)
	case '[':
		return skipArray(b, i+1, nesting-1)
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	}
	return skipNumber(b, i)
}

// skipObject begins behind the opening brace.
func skipObject(b []byte, i, nesting int) int {
	if i = skipSpace(b, i); nesting == 0 {
		return unsure
	} else if i < len(b) && b[i] == '}' {
		return i + 1
	}
	for more := true; more; {
		if i >= len(b) || b[i] != '"' {
			return unsure
		}
		if i = skipText(b, i+1); i == unsure {
			return unsure
		}
		if i = colon(b, i); i != unsure {
			i = skipValue(b, i, nesting)
		}
		if i == unsure {
			return unsure
		}
		i, more = next(b, i, '}')
	}
	return i
}

func skipArray(b []byte, i, nesting int) int {
	if i = skipSpace(b, i); nesting == 0 {
		return unsure
	} else if i < len(b) && b[i] == ']' {
		return i + 1
	}
	for more := true; more; {
		if i = skipValue(b, i, nesting); i == unsure {
			return unsure
		}
		i, more = next(b, i, ']')
	}
	return i
}

// skipText returns where the string ends whose first character is b[i]: behind
// the first quote with an even number of backslashes before it. Most strings end
// within 16 bytes, where a call of IndexByte costs more than looking at them.
func skipText(b []byte, i int) int {
	from := i
	if len(b)-i >= 16 {
		if x := quotes(binary.LittleEndian.Uint64(b[i:])); x != 0 {
			return closed(b, i, i+bits.TrailingZeros64(x)/8)
		}
		if x := quotes(binary.LittleEndian.Uint64(b[i+8:])); x != 0 {
			return closed(b, i, i+8+bits.TrailingZeros64(x)/8)
		}
		from += 16
	}
	n := bytes.IndexByte(b[from:], '"')
	if n < 0 {
		return unsure
	}
	return closed(b, i, from+n)
}

// closed returns the end of the string that begins at b[i] and has its first quote at b[quote].
func closed(b []byte, i, quote int) int {
	if quote > i && b[quote-1] == '\\' {
		return skipEscapedQuote(b, i, quote)
	}
	return quote + 1
}

// skipEscapedQuote does it for a string that begins at b[i] and has its first
// quote, with a backslash before it, at b[quote].
func skipEscapedQuote(b []byte, i, quote int) int {
	for start := i; ; {
		k := quote
		for k > start && b[k-1] == '\\' {
			k--
		}
		i = quote + 1
		if (quote-k)&1 == 0 {
			return i
		}
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return unsure
		}
		quote = i + n
	}
}

func skipLiteral(b []byte, i int, literal string) int {
	if end := i + len(literal); end <= len(b) && string(b[i:end]) == literal {
		return end
	}
	return unsure
}

// skipNumber accepts what RFC 8259 calls a number.
func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	whole := i
	if i = skipDigits(b, i); i == whole || b[whole] == '0' && i > whole+1 {
		return unsure
	}
	if i < len(b) && b[i] == '.' {
		fraction := i + 1
		if i = skipDigits(b, fraction); i == fraction {
			return unsure
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exponent := i
		if i = skipDigits(b, i); i == exponent {
			return unsure
		}
	}
	return i
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// skipSpace returns i if b[i] is no white space, so that it is inlined for the common case.
func skipSpace(b []byte, i int) int {
	if i < len(b) && b[i] <= ' ' {
		return skipSpaces(b, i)
	}
	return i
}

func skipSpaces(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// quotes marks the bytes of x that are quotes by their high bit; the lowest mark is exact, as plain has it.
func quotes(x uint64) uint64 {
	x ^= ones * '"'
	return (x - ones) &^ x & highs
}
