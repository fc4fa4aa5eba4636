package accesslog

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks those of the eight bytes of x, by their high bits, that do not
// stand for themselves in a JSON string: control characters, quotes, backslashes,
// and all but ASCII. The lowest mark is exact.
//
// A byte of x-ones*n has its high bit set and that of x not if it is below n; a
// byte equal to c is 0 in x^ones*c, which is below 1. A borrow can mark a byte
// wrongly only above one that is marked rightly (Bit Twiddling Hacks, "Determine if
// a word has a byte less than n").
func special(x uint64) uint64 {
	quote, backslash := x^ones*'"', x^ones*'\\'
	return ((x-ones*' ')&^x | (quote-ones)&^quote | (backslash-ones)&^backslash | x) & highs
}

// appendText appends s as the inside of a JSON string. Each byte that is not part
// of valid UTF-8 becomes U+FFFD, as encoding/json has it.
func appendText(b, s []byte) []byte {
	b, _ = appendEscaped(b, s, false)
	return b
}

// appendLine appends s as the inside of a JSON string without the line breaks
// that s may have: a continuation line (RFC 9112, 5.2) is joined by a space, and
// any other break ends the text, since what follows it may be another header.
func appendLine(b, s []byte) []byte {
	for start := len(b); ; {
		var n int
		b, n = appendEscaped(b, s, true)
		if n == len(s) {
			return b
		}
		if s[n] == '\r' && n+1 < len(s) && s[n+1] == '\n' {
			n++
		}
		if s = s[n+1:]; len(s) == 0 || !isBlank(s[0]) {
			return b
		}
		s = trimLeft(s)
		if len(b) > start {
			b = append(b, ' ')
		}
	}
}

// appendEscaped does appendText's work, with oneLine up to the first line break
// only; n is where it ended.
func appendEscaped(b, s []byte, oneLine bool) (out []byte, n int) {
	done, i := 0, 0
	for i < len(s) {
		if left := len(s) - i; len(s) >= 8 {
			x := uint64(0)
			if left >= 8 {
				x = binary.LittleEndian.Uint64(s[i:])
			} else { // the last eight bytes without those that are done, and blanks instead
				x = binary.LittleEndian.Uint64(s[len(s)-8:])>>(64-8*left) | ones*' '<<(8*left)
			}
			marks := special(x)
			if marks == 0 {
				i += min(left, 8)
				continue
			}
			i += bits.TrailingZeros64(marks) / 8
		} else if c := s[i]; c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[done:i]...), string(utf8.RuneError)...)
				done = i + 1
			}
			i += size
			continue
		}
		if oneLine && (c == '\r' || c == '\n') {
			break
		}
		b = append(b, s[done:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		done = i
	}
	return append(b, s[done:i]...), i
}
