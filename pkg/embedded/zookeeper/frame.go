package zookeeper

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	minFrame      = 64      // a limit below this would refuse connect requests
	connectFrame  = 4 << 10 // largest connect request: nobody is known yet, so nobody gets a MiB
	frameReadStep = 64 << 10
)

// readFrame reads one length-prefixed frame of at most limit bytes. Memory grows with the bytes that really arrive, so a
// connection that only announces a large frame costs nothing.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	return readBody(r, head, limit)
}

// readBody reads the frame whose length prefix is head.
func readBody(r io.Reader, head [4]byte, limit int) ([]byte, error) {
	n := int(int32(binary.BigEndian.Uint32(head[:])))
	if n < 0 || n > limit {
		return nil, fmt.Errorf("a frame of %d bytes was announced, the limit is %d", n, limit)
	}
	body := make([]byte, 0, min(n, frameReadStep))
	for len(body) < n {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(n, 2*cap(body)))
			copy(grown, body)
			body = grown
		}
		m, err := io.ReadFull(r, body[len(body):cap(body)])
		body = body[:len(body)+m]
		if err != nil {
			return nil, fmt.Errorf("a frame of %d bytes ended after %d: %w", n, len(body), io.ErrUnexpectedEOF)
		}
	}
	return body, nil
}
