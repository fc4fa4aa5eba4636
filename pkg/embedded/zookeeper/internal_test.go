package zookeeper

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// idle is a server that listens nowhere, for tests of what happens under its lock.
func idle(cfg Config) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, log: slog.New(slog.DiscardHandler), stop: make(chan struct{}),
		tree: newTree(cfg.MaxNodes, cfg.MaxBytes), watches: newWatchTable(), sessions: map[int64]*session{}, conns: map[*conn]struct{}{},
	}
	s.zxid = clockZxid(time.Now())
	return s
}

// A process that was paused or starved must not expire sessions for the time it was away (pitfall 39 seen from the server).
func TestPausedServerExpiresNobody(t *testing.T) {
	const tick = 100 * time.Millisecond
	for _, tt := range []struct{ elapsed, want time.Duration }{{tick, tick}, {2 * tick, 2 * tick}, {time.Hour, 2 * tick}, {0, 0}} {
		if got := creditedTime(tt.elapsed, tick); got != tt.want {
			t.Errorf("a tick after %v advances the clock by %v, want %v", tt.elapsed, got, tt.want)
		}
	}
}

func TestFirstEpoch(t *testing.T) {
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	clock := clockZxid(now) >> 32
	for _, tt := range []struct {
		name         string
		onDisk, zxid int64 // epoch in the file, zxid in the snapshot
		now          time.Time
		wantAbove    int64
	}{
		{"fresh", 0, 0, now, clock - 1},
		{"as usual", clock - 100, (clock-100)<<32 + 5, now, clock - 1},
		{"started twice in a second", clock + 1, 0, now, clock + 1},
		{"clock set back ten years", clock, clock<<32 + 5, now.AddDate(-10, 0, 0), clock},
		{"clock before 2020", clock, 0, time.Unix(0, 0), clock},
		{"epoch file lost", 0, (clock+7)<<32 + 5, now, clock + 7},
		{"snapshot lost", clock + 7, 0, now, clock + 7},
	} {
		s := idle(Config{})
		st, err := openStore(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s.store, s.zxid = st, tt.zxid
		if err := st.writeEpoch(tt.onDisk); err != nil {
			t.Fatal(err)
		}
		if err := s.firstEpoch(tt.now); err != nil {
			t.Fatal(err)
		}
		disk, err := st.readEpoch()
		if err != nil || disk != s.zxid>>32 {
			t.Errorf("%s: epoch on disk %d, error %v, in use %d", tt.name, disk, err, s.zxid>>32)
		}
		if disk <= tt.wantAbove || s.zxid <= tt.zxid {
			t.Errorf("%s: epoch %d, want above %d; zxid %d, want above %d", tt.name, disk, tt.wantAbove, s.zxid, tt.zxid)
		}
		st.close()
	}
}

// When the low 32 bits are used up the next epoch is on disk before its first zxid is given out, or the write is refused.
func TestCounterCarriesIntoTheEpoch(t *testing.T) {
	s := idle(Config{})
	st, err := openStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	s.store, s.zxid = st, 7<<32|0xffffffff
	if next, err := s.nextZxid(); err != nil || next != 8<<32 {
		t.Errorf("next zxid %x, error %v, want 800000000", next, err)
	}
	if epoch, _ := st.readEpoch(); epoch != 8 {
		t.Errorf("epoch on disk %d, want 8", epoch)
	}
	st.dir += "/gone"
	if next, err := s.nextZxid(); err == nil {
		t.Errorf("zxid %x was given out although its epoch is not on disk", next)
	}
}

func TestReadFrame(t *testing.T) {
	const limit = 300_000
	for _, n := range []int{0, 1, 17, frameReadStep - 1, frameReadStep, frameReadStep + 1, 3 * frameReadStep, limit} {
		want := bytes.Repeat([]byte{7}, n)
		e := &encoder{}
		e.buffer(append([]byte{}, want...))
		if got, err := readFrame(bytes.NewReader(e.b), limit); err != nil || !bytes.Equal(got, want) {
			t.Errorf("frame of %d bytes: got %d bytes, error %v", n, len(got), err)
		}
		if _, err := readFrame(bytes.NewReader(e.b[:len(e.b)-1]), limit); err == nil {
			t.Errorf("frame of %d bytes without its last: no error", n)
		}
	}
	e := &encoder{}
	e.int32(limit + 1)
	if _, err := readFrame(io.MultiReader(bytes.NewReader(e.b), neverRead{t}), limit); err == nil {
		t.Error("a frame above the limit was accepted")
	}
}

type neverRead struct{ t *testing.T }

func (n neverRead) Read([]byte) (int, error) {
	n.t.Error("bytes were read after a length above the limit")
	return 0, io.EOF
}

// The reader of a connection stops while its client takes no answers, and goes on when it does.
func TestOutboxHoldsTheReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(3)
		server, client := net.Pipe()
		go o.write(server)
		taken := 0
		go func() {
			for o.awaitRoom() {
				o.put([]byte("12345678"))
				taken++
			}
		}()
		synctest.Wait()
		if taken < 3 || taken > 7 { // three waiting, up to three in the writer's hands, one under way
			t.Errorf("%d answers were put without a reader, want 3 to 7", taken)
		}
		stuck := taken
		if _, err := io.ReadFull(client, make([]byte, 80)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if taken < stuck+3 {
			t.Errorf("%d answers were put after ten were read, %d before", taken, stuck)
		}
		o.kill()
		client.Close()
		synctest.Wait()
	})
}

// A client that reads no events loses its connection, not the server its memory.
func TestOutboxBoundsEvents(t *testing.T) {
	o := newOutbox(3)
	frame := make([]byte, 1<<20)
	for i := range maxEventBytes >> 20 {
		if !o.putEvent(frame) {
			t.Fatalf("event %d was refused below the bound", i)
		}
	}
	if o.putEvent([]byte{1}) {
		t.Error("an event above the bound was taken")
	}
	s := idle(Config{})
	client, server := net.Pipe()
	c := &conn{server: s, net: server, out: o}
	c.notify([]byte{1})
	if got := s.counts.slow.Load(); got != 1 {
		t.Errorf("%d slow connections counted, want 1", got)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("reading gave %v, want EOF", err)
	}
}

// Property: a multi that fails leaves the tree as it was, byte for byte, whatever its operations were; and the accounts of the
// tree always agree with its nodes.
func TestFailedMultiLeavesNoTrace(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := idle(Config{MaxNodes: 40, MaxBytes: 40 * 600})
	paths := []string{"/a", "/a/b", "/a/b/c", "/d", "/d/e", "/d/f", "/g-", "/d/g-"}
	op := func() multiOp {
		path, version := paths[rng.IntN(len(paths))], int32(max(-1, rng.IntN(8)-6))
		switch rng.IntN(5) {
		case 0:
			return multiOp{opDelete, pathVersion{path, version}}
		case 1:
			return multiOp{opSetData, setDataRequest{path, make([]byte, rng.IntN(300)), version}}
		case 2:
			return multiOp{opCheck, pathVersion{path, version}}
		}
		return multiOp{opCreate, createRequest{path, make([]byte, rng.IntN(300)), openACL(), int32(rng.IntN(5))}}
	}
	failed, stood, run := 0, 0, int64(0)
	for range 8_000 {
		if run++; run%40 == 0 { // a fresh tree is not full of ephemerals and versions nobody hits
			s.tree = newTree(40, 40*600)
		}
		before := s.image()
		x, err := s.begin(int64(1+rng.IntN(3)), nil)
		if err != nil {
			t.Fatal(err)
		}
		ops := make([]multiOp, 1+rng.IntN(3))
		for i := range ops {
			ops[i] = op()
		}
		results := x.multi(ops)
		if results[0].op == opError {
			failed++
			after := s.image()
			after.zxid = before.zxid
			if !bytes.Equal(before.encode(), after.encode()) {
				t.Fatalf("a failed multi changed the tree: %+v", ops)
			}
			if len(x.events) > 0 {
				t.Fatalf("a failed multi left %d events", len(x.events))
			}
		} else {
			stood++
		}
		if err := consistent(s.tree); err != nil {
			t.Fatalf("after %+v: %v", ops, err)
		}
		if rng.IntN(10) == 0 {
			x, _ := s.begin(0, nil)
			x.endSession(int64(1 + rng.IntN(3)))
		}
	}
	if failed < 500 || stood < 500 {
		t.Errorf("%d failed and %d stood: the mixture tests too little", failed, stood)
	}
}

// consistent recomputes what the tree keeps beside its nodes.
func consistent(t *tree) error {
	bytes, children, ephemerals, containers := int64(0), 0, 0, 0
	for path, n := range t.nodes {
		if path != n.path {
			return fmt.Errorf("%s is filed under %s", n.path, path)
		}
		bytes += n.cost()
		children += len(n.children)
		for name := range n.children {
			if t.find(childPath(path, name)) == nil {
				return fmt.Errorf("%s lists a child %s that is not there", path, name)
			}
		}
		if n.ephemeral() {
			ephemerals++
			if _, ok := t.ephemerals[n.owner][path]; !ok {
				return fmt.Errorf("%s is missing among the ephemerals of %d", path, n.owner)
			}
		}
		if n.owner == containerOwner {
			containers++
		}
	}
	for _, set := range t.ephemerals {
		ephemerals -= len(set)
	}
	if bytes != t.bytes || children != len(t.nodes)-1 || ephemerals != 0 || containers != len(t.containers) {
		return fmt.Errorf("bytes %d, counted %d; children %d of %d nodes; %d ephemerals unfiled; containers %d, counted %d",
			t.bytes, bytes, children, len(t.nodes), ephemerals, len(t.containers), containers)
	}
	return nil
}

func childPath(parent, name string) string {
	if parent == "/" {
		return "/" + name
	}
	return parent + "/" + name
}
