package kafka

import (
	"encoding/binary"
	"errors"
)

// maxFrame is the largest request read. The broker takes records up to 1 MiB in batches a client joins in one request.
const maxFrame = 64 << 20

// lastKey is the highest request key the broker serves; its decoder knows all of them.
const lastKey = 92

var errFrame = errors.New("not a kafka request")

// frame follows the framing of a connection and finds what would harm the
// process: the broker's decoder allocates whatever length it is told and
// dereferences nil at a request key it does not know, so a single HTTP request
// to its port would end the process.
type frame struct {
	head [6]byte // length and key
	have int
	left int64 // bytes of the body after the key
}

// pass takes the next bytes of the stream, in pieces of any size.
func (f *frame) pass(b []byte) error {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(f.left, int64(len(b)))
			f.left -= n
			b = b[n:]
			continue
		}
		n := copy(f.head[f.have:], b)
		f.have += n
		b = b[n:]
		if f.have < 4 {
			continue
		}
		size := int64(binary.BigEndian.Uint32(f.head[:4]))
		if size < 10 || size > maxFrame { // a header has at least key, version, correlation id and the length of a client id
			return errFrame
		}
		if f.have < len(f.head) {
			continue
		}
		if binary.BigEndian.Uint16(f.head[4:]) > lastKey {
			return errFrame
		}
		f.have, f.left = 0, size-2
	}
	return nil
}
