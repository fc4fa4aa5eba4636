package zookeeper_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// rawClient speaks the protocol frame by frame, so that tests see headers, error codes and the order of answers and events, which a
// client library hides. It encodes by itself: the server's own codec is under test.
type rawClient struct {
	tb       testing.TB
	conn     net.Conn
	session  int64
	password []byte
	timeout  int32
	xid      int32
}

// packet builds a record: int32 and int for 4 bytes, int64 for 8, bool, string, []byte (nil is null), []string, and lists of acl entries.
func packet(fields ...any) []byte {
	var b []byte
	for _, f := range fields {
		switch v := f.(type) {
		case bool:
			if v {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		case int32:
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		case int64:
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
		case []byte:
			if v == nil {
				b = binary.BigEndian.AppendUint32(b, 0xffffffff)
			} else {
				b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
			}
		case []string:
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
			for _, s := range v {
				b = append(b, packet(s)...)
			}
		case []entry:
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
			for _, e := range v {
				b = append(b, packet(e.perms, e.scheme, e.id)...)
			}
		case raw:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("a %T has no wire form", f))
		}
	}
	return b
}

type raw []byte

// entry is one ACL line.
type entry struct {
	perms      int
	scheme, id string
}

var open = []entry{{31, "world", "anyone"}}

func dialRaw(tb testing.TB, addr string) *rawClient {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		tb.Fatalf("dial %s: %v", addr, err)
	}
	tb.Cleanup(func() { conn.Close() })
	return &rawClient{tb: tb, conn: conn}
}

// openRaw connects with a new session.
func openRaw(tb testing.TB, addr string) *rawClient {
	tb.Helper()
	c := dialRaw(tb, addr)
	if !c.connect(0, 10_000, 0, make([]byte, 16)) {
		tb.Fatalf("%s gave no session", addr)
	}
	return c
}

// connect sends a connect request; false: the connection was closed or the session is expired.
func (c *rawClient) connect(lastZxid int64, timeoutMs int, session int64, password []byte) bool {
	c.tb.Helper()
	c.sendFrame(packet(0, lastZxid, timeoutMs, session, password, false))
	b, err := c.readFrame()
	if err != nil {
		return false
	}
	d := &fields{b: b}
	d.int32()
	c.timeout, c.session, c.password = d.int32(), d.int64(), []byte(d.string())
	if len(d.b) != 1 {
		c.tb.Fatalf("connect answer ends with %d bytes, want the read-only flag alone", len(d.b))
	}
	return c.session != 0
}

func (c *rawClient) sendFrame(b []byte) {
	c.tb.Helper()
	if _, err := c.conn.Write(append(packet(len(b)), b...)); err != nil {
		c.tb.Logf("write: %v", err) // the read that follows sees the closed connection
	}
}

// send sends a request and returns its xid.
func (c *rawClient) send(op int, body ...any) int32 {
	c.tb.Helper()
	c.xid++
	c.sendFrame(append(packet(c.xid, op), packet(body...)...))
	return c.xid
}

func (c *rawClient) readFrame() ([]byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(c.conn, b)
	return b, err
}

// answer is one frame from the server; xid -1 is a watch event.
type answer struct {
	xid  int32
	zxid int64
	code int32
	body *fields
}

func (c *rawClient) receive() (answer, error) {
	b, err := c.readFrame()
	if err != nil {
		return answer{}, err
	}
	d := &fields{b: b}
	return answer{xid: d.int32(), zxid: d.int64(), code: d.int32(), body: d}, nil
}

// call sends a request and returns the next frame, which must be its answer.
func (c *rawClient) call(op int, body ...any) answer {
	c.tb.Helper()
	xid := c.send(op, body...)
	a, err := c.receive()
	if err != nil || a.xid != xid {
		c.tb.Fatalf("answer to request %d (type %d): xid %d, error %v", xid, op, a.xid, err)
	}
	return a
}

// must is call for a request that has to succeed.
func (c *rawClient) must(op int, body ...any) answer {
	c.tb.Helper()
	a := c.call(op, body...)
	if a.code != 0 {
		c.tb.Fatalf("request type %d failed with code %d", op, a.code)
	}
	return a
}

// closed waits for the server to close the connection.
func (c *rawClient) closed() {
	c.tb.Helper()
	if b, err := c.readFrame(); err == nil {
		c.tb.Fatalf("got a frame of %d bytes, want the connection closed", len(b))
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.tb.Fatal("the connection was not closed within 10 s")
	}
}

// fields reads an answer's body.
type fields struct{ b []byte }

func (d *fields) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		panic(fmt.Sprintf("the answer ends %d bytes too early", n-len(d.b)))
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *fields) bool() bool   { return d.take(1)[0] != 0 }
func (d *fields) int32() int32 { return int32(binary.BigEndian.Uint32(d.take(4))) }
func (d *fields) int64() int64 { return int64(binary.BigEndian.Uint64(d.take(8))) }

// data returns nil for a null buffer.
func (d *fields) data() []byte {
	n := d.int32()
	if n == -1 {
		return nil
	}
	return append([]byte{}, d.take(int(n))...)
}

func (d *fields) string() string { return string(d.data()) }

func (d *fields) strings() []string {
	list := make([]string, max(0, d.int32()))
	for i := range list {
		list[i] = d.string()
	}
	return list
}

// nodeStat is the wire form of a node's metadata.
type nodeStat struct {
	Czxid, Mzxid, Ctime, Mtime  int64
	Version, Cversion, Aversion int32
	Owner                       int64
	DataLength, NumChildren     int32
	Pzxid                       int64
}

func (d *fields) stat() nodeStat {
	return nodeStat{
		d.int64(), d.int64(), d.int64(), d.int64(), d.int32(), d.int32(), d.int32(), d.int64(), d.int32(), d.int32(), d.int64(),
	}
}

func (d *fields) acls() []entry {
	list := make([]entry, max(0, d.int32()))
	for i := range list {
		list[i] = entry{int(d.int32()), d.string(), d.string()}
	}
	return list
}
