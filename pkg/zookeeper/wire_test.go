package zookeeper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// answer is one frame of a server: xid, zxid, error code, and some bytes.
func answer(xid int32, zxid int64, body string) []byte {
	var b bytes.Buffer
	binary.Write(&b, binary.BigEndian, struct {
		Length, Xid int32
		Zxid        int64
		Err         int32
	}{int32(16 + len(body)), xid, zxid, 0})
	b.WriteString(body)
	return b.Bytes()
}

func readFrame(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head))
	_, err := io.ReadFull(r, body)
	return append(head, body...), err
}

// After a reconnect only frames without a zxid pass until the watches are
// being restored.
func TestWireHoldsAnswersBack(t *testing.T) {
	for _, test := range []struct {
		name      string
		reconnect bool
		release   func(*wire)
		want      time.Duration
		err       error
	}{
		{"first connection", false, func(*wire) {}, 0, nil},
		{"watches restored", true, func(w *wire) { w.Write([]byte{0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, opSetWatches}) }, 100 * time.Millisecond, nil},
		{"never restored", true, func(*wire) {}, restoreLimit, nil},
		{"never restored while closing", true, func(*wire) {}, restoreLimit, net.ErrClosed},
		{"closed", true, func(w *wire) { w.Close() }, 100 * time.Millisecond, net.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				w := newWire(client, time.Minute)
				if !test.reconnect {
					w.pass()
				}
				w.waited = func() bool { return test.err == nil }
				defer w.Close()
				defer server.Close()
				frames := [][]byte{
					answer(0, 7<<32, "handshake"), // its second half is the timeout granted
					answer(1, 0, "credentials"),
					answer(-2, 5, "ping"),
					answer(-1, -1, "event"),
					answer(2, 9, "held back"),
					answer(3, 10, ""),
				}
				go func() {
					for _, frame := range frames {
						server.Write(frame)
					}
				}()
				go io.Copy(io.Discard, server)
				began := time.Now()
				time.AfterFunc(100*time.Millisecond, func() { test.release(w) })
				for i, want := range frames {
					got, err := readFrame(w)
					if i == 4 {
						if took := time.Since(began); took != test.want {
							t.Errorf("the answer passed after %v, want %v", took, test.want)
						}
						if test.err != nil {
							if !errors.Is(err, test.err) {
								t.Errorf("read: got %v, want %v", err, test.err)
							}
							return
						}
					}
					if err != nil || !bytes.Equal(got, want) {
						t.Fatalf("frame %d: got %q, %v; want %q", i, got, err, want)
					}
				}
				if got := w.established(); got != 7*time.Millisecond {
					t.Errorf("timeout granted: got %v, want 7ms", got)
				}
			})
		})
	}
}

func TestWireEndsALateHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer server.Close()
		w := newWire(client, 3*time.Second)
		began := time.Now()
		if _, err := w.Read(make([]byte, 4)); err == nil {
			t.Error("read: got nil, want an error")
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("closed after %v, want 3s", took)
		}
		// A write to the dead connection is not reported to the library.
		if n, err := w.Write([]byte("abc")); n != 3 || err != nil {
			t.Errorf("write: got %d, %v; want 3, nil", n, err)
		}
	})
}

// A request that restores watches may be left over from the connection before:
// only as many as there were reconnects let answers pass.
func TestDialerCountsRestores(t *testing.T) {
	d := dialer{trouble: new(trouble)}
	ends := func() *wire {
		client, server := net.Pipe()
		t.Cleanup(func() { client.Close(); server.Close() })
		w := newWire(client, time.Minute)
		t.Cleanup(func() { w.Close() })
		return w
	}
	passes := func(w *wire) bool {
		select {
		case <-w.restored:
			return true
		default:
			return false
		}
	}
	d.established() // the first connection
	d.established() // a reconnect whose request was not written
	d.established() // another
	w := ends()
	d.restored(w)
	if passes(w) {
		t.Error("answers pass after the first connection's request")
	}
	d.restored(w)
	if !passes(w) {
		t.Error("answers are held back after both requests")
	}
	d.established()
	d.settle() // one was dropped
	d.established()
	if w = ends(); passes(w) {
		t.Error("answers pass without a request")
	}
	if d.restored(w); !passes(w) {
		t.Error("a dropped request holds later answers back")
	}
}
