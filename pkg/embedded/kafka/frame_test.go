package kafka

import (
	"encoding/binary"
	"testing"
)

func request(size uint32, key uint16, body int) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	b = binary.BigEndian.AppendUint16(b, key)
	return append(b, make([]byte, body)...)
}

func TestFrame(t *testing.T) {
	two := append(request(20, 3, 18), request(10, 92, 8)...)
	for _, tc := range []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"two requests", two, true},
		{"unknown key", request(20, 93, 18), false},
		{"negative key", request(20, 0xffff, 18), false},
		{"second is bad", append(request(20, 3, 18), request(20, 300, 18)...), false},
		{"huge", request(1<<31, 3, 10), false},
		{"empty", request(0, 3, 10), false},
		{"http", []byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), false},
		{"tls hello", []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, false},
	} {
		for _, piece := range []int{1, 3, 5, len(tc.in)} {
			var f frame
			var err error
			for rest := tc.in; len(rest) > 0 && err == nil; rest = rest[min(piece, len(rest)):] {
				err = f.pass(rest[:min(piece, len(rest))])
			}
			if got := err == nil; got != tc.ok {
				t.Errorf("%s in pieces of %d: got ok=%v, want %v", tc.name, piece, got, tc.ok)
			}
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(append(request(20, 3, 18), request(10, 92, 8)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		var whole, single frame
		errWhole := whole.pass(in)
		var errSingle error
		for i := 0; i < len(in) && errSingle == nil; i++ {
			errSingle = single.pass(in[i : i+1])
		}
		if (errWhole == nil) != (errSingle == nil) {
			t.Errorf("whole says %v, byte by byte says %v", errWhole, errSingle)
		}
	})
}
