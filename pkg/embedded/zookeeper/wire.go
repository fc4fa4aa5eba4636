package zookeeper

import (
	"encoding/binary"
	"errors"
)

// errMalformed says that a record does not fit the bytes it was sent in.
var errMalformed = errors.New("the record is malformed")

// decoder reads jute values (big-endian integers, length-prefixed strings and buffers) from one frame. The first value that
// does not fit sets err; from then on every read gives a zero value, so a record is read to its end and err looked at once.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.rest) {
		d.err = errMalformed
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) bool() bool {
	b := d.take(1)
	return b != nil && b[0] != 0
}

func (d *decoder) int32() int32 {
	b := d.take(4)
	if b == nil {
		return 0
	}
	return int32(binary.BigEndian.Uint32(b))
}

func (d *decoder) int64() int64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// buffer returns bytes that alias the frame, or nil for a null buffer (length -1).
func (d *decoder) buffer() []byte {
	n := d.int32()
	if d.err != nil || n == -1 {
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) string() string { return string(d.buffer()) }

// count reads the length of a vector whose elements take at least size bytes each, so a lying count cannot make anyone allocate
// more than the frame that carried it.
func (d *decoder) count(size int) int {
	n := int(d.int32())
	if n == -1 {
		return 0
	}
	if n < 0 || n > len(d.rest)/size {
		d.err = errMalformed
		return 0
	}
	return n
}

func (d *decoder) strings() []string {
	n := d.count(4)
	if n == 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.string())
	}
	return list
}

func (d *decoder) acls() []acl {
	n := d.count(12)
	if n == 0 {
		return nil
	}
	list := make([]acl, 0, n)
	for range n {
		list = append(list, acl{perms: d.int32(), scheme: d.string(), id: d.string()})
	}
	return list
}

// encoder appends jute values.
type encoder struct{ b []byte }

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) int32(v int32) { e.b = binary.BigEndian.AppendUint32(e.b, uint32(v)) }
func (e *encoder) int64(v int64) { e.b = binary.BigEndian.AppendUint64(e.b, uint64(v)) }

// buffer writes nil as the null buffer.
func (e *encoder) buffer(v []byte) {
	if v == nil {
		e.int32(-1)
		return
	}
	e.int32(int32(len(v)))
	e.b = append(e.b, v...)
}

func (e *encoder) string(v string) {
	e.int32(int32(len(v)))
	e.b = append(e.b, v...)
}

func (e *encoder) acls(list []acl) {
	e.int32(int32(len(list)))
	for _, a := range list {
		e.int32(a.perms)
		e.string(a.scheme)
		e.string(a.id)
	}
}

func (e *encoder) stat(s stat) {
	e.int64(s.czxid)
	e.int64(s.mzxid)
	e.int64(s.ctime)
	e.int64(s.mtime)
	e.int32(s.version)
	e.int32(s.cversion)
	e.int32(s.aversion)
	e.int64(s.ephemeralOwner)
	e.int32(s.dataLength)
	e.int32(s.numChildren)
	e.int64(s.pzxid)
}

// newFrame starts a frame: four bytes for the length, then the reply header. finish fills in the length.
func newFrame(xid int32, zxid int64, code errorCode) *encoder {
	e := &encoder{b: make([]byte, 4, 128)}
	e.int32(xid)
	e.int64(zxid)
	e.int32(int32(code))
	return e
}

func (e *encoder) finish() []byte {
	binary.BigEndian.PutUint32(e.b, uint32(len(e.b)-4))
	return e.b
}
