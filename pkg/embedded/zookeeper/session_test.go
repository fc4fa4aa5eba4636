package zookeeper_test

import (
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"eshop/pkg/embedded/zookeeper"
)

// quick has timeouts that tests can wait for.
func quick() zookeeper.Config {
	return zookeeper.Config{TickTime: 10 * time.Millisecond, MinSessionTimeout: 100 * time.Millisecond}
}

// eventually polls until ok, for ten seconds at most.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline.C:
			tb.Fatalf("not within 10 s: %s", what)
		}
	}
}

func (c *rawClient) exists(path string) bool {
	c.tb.Helper()
	return c.call(exists, path, false).code == 0
}

func TestNegotiatedTimeout(t *testing.T) {
	s := start(t, zookeeper.Config{MinSessionTimeout: 2 * time.Second, MaxSessionTimeout: 20 * time.Second})
	for _, tt := range []struct{ asked, want int }{{0, 2000}, {-5, 2000}, {1999, 2000}, {5000, 5000}, {20_001, 20_000}, {1 << 30, 20_000}} {
		c := dialRaw(t, s.Addr())
		if !c.connect(0, tt.asked, 0, make([]byte, 16)) || c.timeout != int32(tt.want) {
			t.Errorf("asked for %d ms: got %d, want %d", tt.asked, c.timeout, tt.want)
		}
	}
}

func TestReattach(t *testing.T) {
	s := start(t, zookeeper.Config{})
	first := openRaw(t, s.Addr())
	first.must(create, "/mine", []byte{}, open, 1)

	second := dialRaw(t, s.Addr())
	if !second.connect(0, 4000, first.session, first.password) || second.session != first.session || second.timeout != 4000 {
		t.Fatalf("re-attached as session %d with timeout %d, want %d and 4000", second.session, second.timeout, first.session)
	}
	first.closed() // the session has one connection, the newest
	if got := second.must(exists, "/mine", false).body.stat().Owner; got != first.session {
		t.Errorf("owner of the ephemeral is %d, want %d", got, first.session)
	}
	second.must(closeSession)
	second.closed()
	if third := dialRaw(t, s.Addr()); third.connect(0, 4000, first.session, first.password) {
		t.Error("a closed session could be re-attached")
	}
}

func TestWrongPasswordIsAnsweredExpired(t *testing.T) {
	s := start(t, zookeeper.Config{})
	owner := openRaw(t, s.Addr())
	for _, password := range [][]byte{nil, {}, make([]byte, 16), append(owner.password[:15:15], owner.password[15]+1), owner.password[:15]} {
		c := dialRaw(t, s.Addr())
		if c.connect(0, 4000, owner.session, password) {
			t.Errorf("password %x was accepted", password)
		}
		if c.session != 0 || c.timeout != 0 || len(c.password) != 16 {
			t.Errorf("answer to a wrong password: session %d, timeout %d, %d bytes of password; want 0, 0, 16", c.session, c.timeout, len(c.password))
		}
		c.closed()
	}
	if !owner.exists("/") {
		t.Error("the owner lost its session")
	}
	if c := dialRaw(t, s.Addr()); c.connect(0, 4000, 4711, make([]byte, 16)) {
		t.Error("an unknown session was accepted")
	}
}

// A client that has seen a later state must not be let into the past.
func TestClientFromTheFuture(t *testing.T) {
	s := start(t, zookeeper.Config{})
	c := dialRaw(t, s.Addr())
	if c.connect(s.Stats().Zxid+1, 4000, 0, make([]byte, 16)) {
		t.Fatal("a client that has seen a later zxid got a session")
	}
	c.closed()
	if got := s.Stats().Sessions; got != 0 {
		t.Errorf("%d sessions, want 0", got)
	}
}

func TestSilentSessionExpires(t *testing.T) {
	s := start(t, quick())
	watcher := openRaw(t, s.Addr())
	silent := dialRaw(t, s.Addr())
	if !silent.connect(0, 100, 0, make([]byte, 16)) {
		t.Fatal("no session")
	}
	silent.must(create, "/e", []byte{}, open, 1)
	watcher.must(exists, "/e", true)
	watcher.must(getChildren, "/", true)
	begin := time.Now()
	var kinds []int32
	for range 2 {
		a, err := watcher.receive()
		if err != nil || a.xid != -1 {
			t.Fatalf("got xid %d, error %v, want an event", a.xid, err)
		}
		kinds = append(kinds, a.body.int32())
	}
	if kinds[0]+kinds[1] != 2+4 {
		t.Errorf("event types %v, want deleted (2) and children changed (4)", kinds)
	}
	if took := time.Since(begin); took < 50*time.Millisecond {
		t.Errorf("expired after %v, the timeout is 100 ms", took)
	}
	silent.closed()
	if c := dialRaw(t, s.Addr()); c.connect(0, 100, silent.session, silent.password) {
		t.Error("an expired session could be re-attached")
	}
	if got := s.Stats().Expired; got != 1 {
		t.Errorf("%d sessions expired, want 1", got)
	}
}

func TestPingsKeepASessionAlive(t *testing.T) {
	s := start(t, quick())
	c := dialRaw(t, s.Addr())
	if !c.connect(0, 100, 0, make([]byte, 16)) {
		t.Fatal("no session")
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for range 50 { // five timeouts
		<-poll.C
		c.send(ping)
		if a, err := c.receive(); err != nil || a.xid != -2 || a.code != 0 {
			t.Fatalf("ping: xid %d, code %d, error %v", a.xid, a.code, err)
		}
	}
}

// A dead link leaves the session alone until its timeout: pitfall 27 is about clients that lose it too early.
func TestDroppedConnectionKeepsTheSession(t *testing.T) {
	s := start(t, zookeeper.Config{})
	c := openRaw(t, s.Addr())
	c.must(create, "/e", []byte{}, open, 1)
	if got := s.DropConnections(); got != 1 {
		t.Errorf("dropped %d connections, want 1", got)
	}
	c.closed()
	again := dialRaw(t, s.Addr())
	if !again.connect(0, 10_000, c.session, c.password) || !again.exists("/e") {
		t.Error("the session or its ephemeral is gone")
	}
}

func TestExpireSession(t *testing.T) {
	s := start(t, zookeeper.Config{})
	c, other := openRaw(t, s.Addr()), openRaw(t, s.Addr())
	c.must(create, "/e", []byte{}, open, 1)
	if !s.ExpireSession(c.session) {
		t.Error("the session was not found")
	}
	if s.ExpireSession(c.session) {
		t.Error("the session was found a second time")
	}
	c.closed()
	if other.exists("/e") {
		t.Error("the ephemeral outlived its session")
	}
	if got := s.Sessions(); len(got) != 1 || got[0] != other.session {
		t.Errorf("sessions %v, want %d alone", got, other.session)
	}
}

// client connects with the library the roles use.
func client(tb testing.TB, addr string, timeout time.Duration) *zk.Conn {
	tb.Helper()
	c, _, err := zk.Connect([]string{addr}, timeout, zk.WithLogger(silence{}), zk.WithLogInfo(false))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

type silence struct{}

func (silence) Printf(string, ...any) {}

// The library re-attaches after a cut and hears of what changed meanwhile, whether or not its watches were armed at that time.
func TestLibraryRearmsWatches(t *testing.T) {
	s := start(t, zookeeper.Config{})
	c := client(t, s.Addr(), 10*time.Second)
	if _, err := c.Create("/n", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	session := c.SessionID()
	_, _, data, err := c.GetW("/n")
	if err != nil {
		t.Fatal(err)
	}
	_, _, missing, err := c.ExistsW("/later")
	if err != nil {
		t.Fatal(err)
	}
	_, _, children, err := c.ChildrenW("/")
	if err != nil {
		t.Fatal(err)
	}
	s.DropConnections()
	writer := openRaw(t, s.Addr())
	writer.must(setData, "/n", []byte("1"), -1)
	writer.must(create, "/later", []byte{}, open, 0)
	for name, w := range map[string]struct {
		ch   <-chan zk.Event
		want zk.EventType
	}{"data": {data, zk.EventNodeDataChanged}, "exists": {missing, zk.EventNodeCreated}, "children": {children, zk.EventNodeChildrenChanged}} {
		select {
		case ev := <-w.ch:
			if ev.Type != w.want {
				t.Errorf("%s watch got %v (%v), want %v", name, ev.Type, ev.Err, w.want)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s watch got nothing in 10 s", name)
		}
	}
	if c.SessionID() != session {
		t.Error("the library got a new session")
	}
}

// The library sees the expiry, gets a new session, and its ephemerals are gone (pitfall 27).
func TestLibrarySeesExpiry(t *testing.T) {
	s := start(t, zookeeper.Config{})
	c := client(t, s.Addr(), 10*time.Second)
	if _, err := c.Create("/e", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	old := c.SessionID()
	s.ExpireSession(old)
	eventually(t, "a new session", func() bool { return c.State() == zk.StateHasSession && c.SessionID() != old })
	if ok, _, err := c.Exists("/e"); ok || err != nil {
		t.Errorf("ephemeral of the old session: exists %t, error %v", ok, err)
	}
}

func TestLibraryLock(t *testing.T) {
	s := start(t, zookeeper.Config{})
	a, b := client(t, s.Addr(), 10*time.Second), client(t, s.Addr(), 10*time.Second)
	first, second := zk.NewLock(a, "/lock", zk.WorldACL(zk.PermAll)), zk.NewLock(b, "/lock", zk.WorldACL(zk.PermAll))
	if err := first.Lock(); err != nil {
		t.Fatal(err)
	}
	held := make(chan error, 1)
	go func() { held <- second.Lock() }()
	eventually(t, "two lock nodes", func() bool {
		names, _, err := a.Children("/lock")
		return err == nil && len(names) == 2
	})
	select {
	case err := <-held:
		t.Fatalf("the second lock was given while the first was held: %v", err)
	default:
	}
	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	if err := second.Unlock(); err != nil {
		t.Fatal(err)
	}
}
