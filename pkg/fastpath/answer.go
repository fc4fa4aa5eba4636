package fastpath

import (
	"net"
	"time"
)

// room is how much of heads is gathered before they are written; a head may be
// longer.
const room = 8 << 10

// maxParts bounds what one write takes: heads and bodies of sixteen answers.
const maxParts = 32

// Answer is what a Config.Answer writes to. Answers to requests that came
// together go out together.
type Answer struct {
	// Now is the time at which the request was read.
	Now time.Time

	heads   []byte      // of all answers, one after the other
	parts   net.Buffers // pieces of heads, and bodies
	out     net.Buffers // what of parts is not written yet; a field, for WriteTo keeps its address
	vectors vectors     // of tryWrite
	record  []byte      // of writeRecords, which gathers in it; nil before the first
}

// NewAnswer returns an empty one.
func NewAnswer() *Answer {
	return &Answer{heads: make([]byte, 0, room), parts: make(net.Buffers, 0, maxParts)}
}

// Head returns the buffer to append an answer's head to: status line, headers and
// empty line. What was appended is handed to Send.
func (a *Answer) Head() []byte { return a.heads[len(a.heads):] }

// Send takes an answer: its head, which was appended to what Head returned, and
// its body, which stays as it is: it is written from where it lies and never
// changed. Once for each request that is answered.
func (a *Answer) Send(head, body []byte) {
	if len(head) <= cap(a.heads)-len(a.heads) {
		a.heads = a.heads[:len(a.heads)+len(head)] // they were appended in place
	}
	a.parts = append(a.parts, head)
	if len(body) > 0 {
		a.parts = append(a.parts, body)
	}
}

// full reports whether another answer has to wait for the next write.
func (a *Answer) full() bool {
	return len(a.parts)+2 > maxParts || cap(a.heads)-len(a.heads) < room/8
}

// written takes n bytes off what is to be written.
func (a *Answer) written(n int) {
	for len(a.out) > 0 && n >= len(a.out[0]) {
		n -= len(a.out[0])
		a.out = a.out[1:]
	}
	if n > 0 {
		a.out[0] = a.out[0][n:]
	}
}

// Reset makes it empty. It keeps no body in memory.
func (a *Answer) Reset() {
	clear(a.parts)
	a.parts, a.out, a.heads = a.parts[:0], nil, a.heads[:0]
}
