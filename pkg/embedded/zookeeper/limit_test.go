package zookeeper_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"eshop/pkg/embedded/zookeeper"
)

// A frame above 1 MiB closes the connection, as jute.maxbuffer does; the session goes on.
func TestFrameAbove1MiBClosesTheConnection(t *testing.T) {
	s := start(t, zookeeper.Config{})
	c := openRaw(t, s.Addr())
	c.must(create, "/n", make([]byte, 0xfffff-100), open, 0)
	overhead := len(packet(int32(0), setData, "/n", []byte{}, -1))
	c.must(setData, "/n", make([]byte, 0xfffff-overhead), -1) // exactly the limit
	c.conn.Write(packet(0x100000))
	c.closed()
	again := dialRaw(t, s.Addr())
	if !again.connect(0, 10_000, c.session, c.password) {
		t.Fatal("the session is gone")
	}
	again.conn.Write(packet(-1))
	again.closed()
}

func TestFirstFrameIsBounded(t *testing.T) {
	s := start(t, zookeeper.Config{})
	for name, b := range map[string][]byte{
		"too large":  packet(5000),
		"negative":   packet(-2),
		"not a word": []byte("what"),
		"too short":  packet(4, 0),
		"http":       []byte("GET / HTTP/1.1\r\n\r\n"),
		"bad length": packet(44, 0, int64(0), 0, int64(0), 9999, make([]byte, 12)),
	} {
		c := dialRaw(t, s.Addr())
		c.conn.Write(b)
		if _, err := c.readFrame(); err == nil {
			t.Errorf("%s: got an answer, want the connection closed", name)
		}
	}
	if got := s.Stats().Sessions; got != 0 {
		t.Errorf("%d sessions, want 0", got)
	}
}

func TestMaxConnections(t *testing.T) {
	s := start(t, zookeeper.Config{MaxConnections: 2})
	a, _ := openRaw(t, s.Addr()), openRaw(t, s.Addr())
	third := dialRaw(t, s.Addr())
	if third.connect(0, 10_000, 0, make([]byte, 16)) {
		t.Error("a third connection was served")
	}
	if got := s.Stats().RefusedConns; got != 1 {
		t.Errorf("%d connections refused, want 1", got)
	}
	a.conn.Close()
	eventually(t, "room for one more", func() bool { return dialRaw(t, s.Addr()).connect(0, 10_000, 0, make([]byte, 16)) })
}

func TestMaxSessions(t *testing.T) {
	s := start(t, zookeeper.Config{MaxSessions: 1})
	first := openRaw(t, s.Addr())
	if dialRaw(t, s.Addr()).connect(0, 10_000, 0, make([]byte, 16)) {
		t.Error("a second session was given")
	}
	if got := s.Stats().RefusedSessions; got != 1 {
		t.Errorf("%d sessions refused, want 1", got)
	}
	first.must(closeSession)
	first.closed()
	openRaw(t, s.Addr())
}

const quotaExceeded = -125

func TestMaxWatches(t *testing.T) {
	s := start(t, zookeeper.Config{MaxWatches: 2})
	c := openRaw(t, s.Addr())
	c.must(getChildren, "/", true)
	c.must(getData, "/", true)
	c.must(getData, "/", true) // the same watch again
	if a := c.call(exists, "/third", true); a.code != quotaExceeded {
		t.Errorf("third watch: code %d, want %d", a.code, quotaExceeded)
	}
	if a := c.call(setWatches, int64(1)<<62, []string{"/zookeeper"}, []string{}, []string{}); a.code != quotaExceeded {
		t.Errorf("third watch by setWatches: code %d, want %d", a.code, quotaExceeded)
	}
	if got := s.Stats().Watches; got != 2 {
		t.Errorf("%d watches armed, want 2", got)
	}
	c.conn.Close()
	eventually(t, "no watches of a closed connection", func() bool { return s.Stats().Watches == 0 })
}

func TestMaxNodesAndBytes(t *testing.T) {
	s := start(t, zookeeper.Config{MaxNodes: 6, MaxBytes: 10_000})
	c := openRaw(t, s.Addr())
	c.must(create, "/a", []byte{}, open, 0)
	if a := c.call(create, "/big", make([]byte, 9000), open, 0); a.code != quotaExceeded {
		t.Errorf("create beyond the bytes: code %d, want %d", a.code, quotaExceeded)
	}
	if a := c.call(setData, "/a", make([]byte, 9000), -1); a.code != quotaExceeded {
		t.Errorf("set beyond the bytes: code %d, want %d", a.code, quotaExceeded)
	}
	c.must(setData, "/a", make([]byte, 5000), -1)
	c.must(setData, "/a", make([]byte, 10), -1)
	c.must(create, "/b", []byte{}, open, 0)
	before := s.Stats()
	if a := c.call(create, "/c", []byte{}, open, 0); a.code != quotaExceeded {
		t.Errorf("create beyond the nodes: code %d, want %d", a.code, quotaExceeded)
	}
	after := s.Stats()
	if before.Nodes != 6 || after.Nodes != 6 || after.Bytes != before.Bytes {
		t.Errorf("a refused create changed the fill from %d nodes, %d bytes to %d, %d", before.Nodes, before.Bytes, after.Nodes, after.Bytes)
	}
	c.must(remove, "/b", -1)
	c.must(create, "/c", []byte{}, open, 0)
}

// A container goes when its last child has gone, not before it ever had one.
func TestContainers(t *testing.T) {
	s := start(t, zookeeper.Config{TickTime: 5 * time.Millisecond, ContainerInterval: 5 * time.Millisecond})
	c, watcher := openRaw(t, s.Addr()), openRaw(t, s.Addr())
	c.must(createContainer, "/used", []byte{}, open, 4)
	c.must(createContainer, "/fresh", []byte{}, open, 4)
	c.must(create, "/used/x", []byte{}, open, 0)
	watcher.must(exists, "/used", true)
	c.must(remove, "/used/x", -1)
	a, err := watcher.receive()
	if err != nil || a.xid != -1 || a.body.int32() != 2 {
		t.Errorf("got xid %d, error %v, want the event of the deletion", a.xid, err)
	}
	if !c.exists("/fresh") {
		t.Error("a container that never had a child was removed")
	}
}

func TestFourLetterWords(t *testing.T) {
	s := start(t, zookeeper.Config{})
	openRaw(t, s.Addr())
	for word, want := range map[string]string{"ruok": "imok", "isro": "rw", "srvr": "Mode: standalone\n", "stat": "Clients:\n", "mntr": "zk_znode_count\t4\n"} {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, word)
		got, err := io.ReadAll(conn)
		conn.Close()
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: got %q, error %v, want %q in it", word, got, err, want)
		}
	}
	if ok := zk.FLWRuok([]string{s.Addr()}, time.Second); !ok[0] {
		t.Error("the library does not understand the answer to ruok")
	}
	stats, ok := zk.FLWSrvr([]string{s.Addr()}, time.Second)
	if !ok || stats[0].Mode != zk.ModeStandalone || stats[0].NodeCount != 4 {
		t.Errorf("the library reads srvr as %+v, ok %t", stats[0], ok)
	}
}

func TestWrongSettingsAreListedTogether(t *testing.T) {
	_, err := zookeeper.Start(t.Context(), zookeeper.Config{MaxFrame: 3, MaxNodes: -1, MinSessionTimeout: time.Hour, MaxSessionTimeout: time.Minute}, zookeeper.Deps{})
	for _, want := range []string{"MaxFrame", "MaxNodes", "MaxSessionTimeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
	s := start(t, zookeeper.Config{})
	if _, err := zookeeper.Start(t.Context(), zookeeper.Config{Addr: s.Addr()}, zookeeper.Deps{}); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("error for an occupied port is %v, want the address in it", err)
	}
}

// Close must not wait for a client that reads nothing, and may be called twice.
func TestCloseDoesNotWaitForClients(t *testing.T) {
	s := start(t, zookeeper.Config{})
	c := openRaw(t, s.Addr())
	c.must(create, "/n", bytes.Repeat([]byte("x"), 1<<19), open, 0)
	for range 64 {
		c.send(getData, "/n", false)
	}
	begin := time.Now()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
}
