package zookeeper

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
)

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 1, 2}, 64)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, 64)
	f.Add([]byte{0, 1, 0, 0, 9}, 1<<20)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit = min(max(limit, 0), 1<<20)
		got, err := readFrame(bytes.NewReader(b), limit)
		if err != nil {
			return
		}
		if len(got) > limit || !bytes.Equal(got, b[4:4+len(got)]) {
			t.Errorf("got %d bytes of a frame from %d, limit %d", len(got), len(b), limit)
		}
	})
}

// FuzzRequest gives a session any bytes as requests: no panic, and the tree stays whole.
func FuzzRequest(f *testing.F) {
	frame := func(op int32, build func(e *encoder)) []byte {
		e := &encoder{}
		e.int32(1)
		e.int32(op)
		build(e)
		return e.b
	}
	f.Add(frame(opCreate, func(e *encoder) { e.string("/a-"); e.buffer([]byte("x")); e.acls(openACL()); e.int32(3) }), frame(opGetData, func(e *encoder) { e.string("/"); e.bool(true) }))
	f.Add(frame(opMulti, func(e *encoder) {
		e.int32(opCreate)
		e.bool(false)
		e.int32(-1)
		e.string("/m")
		e.buffer(nil)
		e.acls(openACL())
		e.int32(0)
		e.int32(-1)
		e.bool(true)
		e.int32(-1)
	}), frame(opDelete, func(e *encoder) { e.string("/m"); e.int32(-1) }))
	f.Add(frame(opSetWatches, func(e *encoder) { e.int64(0); e.int32(1); e.string("/x"); e.int32(0); e.int32(0) }), frame(opSetACL, func(e *encoder) { e.string("/"); e.acls(openACL()); e.int32(-1) }))
	f.Add(frame(opSetAuth, func(e *encoder) { e.int32(0); e.string("digest"); e.buffer([]byte("a:b")) }), frame(opCloseSession, func(*encoder) {}))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := idle(Config{})
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		c := &conn{server: s, net: server, out: newOutbox(8)}
		if !s.connect(c, connectRequest{}) {
			t.Fatal("no session")
		}
		for _, b := range [][]byte{first, second} {
			if len(b) < 8 && s.handle(c, b) {
				t.Errorf("a request of %d bytes was taken", len(b))
			} else if len(b) >= 8 {
				s.handle(c, b)
			}
		}
		if err := consistent(s.tree); err != nil {
			t.Error(err)
		}
		im, err := decodeImage(s.image().encode())
		if err != nil || len(im.nodes) != len(s.tree.nodes) {
			t.Errorf("the snapshot holds %d nodes of %d, error %v", len(im.nodes), len(s.tree.nodes), err)
		}
	})
}

func FuzzDecodeImage(f *testing.F) {
	s := idle(Config{})
	whole := s.image().encode()
	f.Add(whole[:len(whole)-4])
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, content []byte) {
		// With the right checksum, so that what lies behind it is reached.
		im, err := decodeImage(binary.BigEndian.AppendUint32(bytes.Clone(content), checksum(content)))
		if err != nil {
			return
		}
		if again, err := decodeImage(im.encode()); err != nil || len(again.nodes) != len(im.nodes) {
			t.Errorf("an accepted snapshot does not survive writing: %v", err)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, p := range []string{"/", "/a/b", "/a//b", "/..", "", "x/y"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !validPath(path) || path == "/" {
			return
		}
		parent, name := parentOf(path)
		if !validPath(parent) || name == "" || childPath(parent, name) != path {
			t.Errorf("%q splits into %q and %q", path, parent, name)
		}
	})
}
