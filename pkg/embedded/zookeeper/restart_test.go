package zookeeper_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"eshop/pkg/embedded/zookeeper"
)

func TestStateSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, zookeeper.Config{DataDir: dir})
	c := openRaw(t, s.Addr())
	c.must(create, "/p", []byte("data"), []entry{{31, "digest", "ann:x"}, {1, "world", "anyone"}}, 0)
	c.must(create, "/null", []byte(nil), open, 0)
	c.must(createContainer, "/c", []byte{}, open, 4)
	for range 3 {
		c.must(create, "/c/s-", []byte{}, open, 2)
	}
	c.must(remove, "/c/s-0000000001", -1)
	c.must(create, "/e", []byte("mine"), open, 1)
	c.must(setData, "/null", []byte(nil), -1)
	describe := func(c *rawClient) string {
		var b strings.Builder
		for _, path := range []string{"/", "/p", "/null", "/c", "/c/s-0000000002", "/e", "/zookeeper/config"} {
			d := c.must(getData, path, false).body
			data := d.data()
			fmt.Fprintf(&b, "%s %q null=%t %+v\n", path, data, data == nil, d.stat())
			fmt.Fprintf(&b, "%v %v\n", sorted(c.must(getChildren, path, false).body.strings()), c.must(getACL, path).body.acls())
		}
		return b.String()
	}
	want, zxid := describe(c), s.Stats().Zxid
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = start(t, zookeeper.Config{DataDir: dir})
	if got := s.Stats().Zxid; got <= zxid {
		t.Errorf("zxid went from %d to %d", zxid, got)
	}
	again := dialRaw(t, s.Addr())
	if !again.connect(zxid, 10_000, c.session, c.password) {
		t.Fatal("the session did not survive")
	}
	if got := describe(again); got != want {
		t.Errorf("after the restart:\n%s\nbefore:\n%s", got, want)
	}
	if got := again.must(create, "/c/s-", []byte{}, open, 2).body.string(); got != "/c/s-0000000003" {
		t.Errorf("next sequential node is %s, want /c/s-0000000003", got)
	}
	if got := again.must(getEphemerals, "/").body.strings(); len(got) != 1 || got[0] != "/e" {
		t.Errorf("own ephemerals %v, want /e", got)
	}
	again.must(closeSession)
	if openRaw(t, s.Addr()).exists("/e") {
		t.Error("the restored ephemeral outlived its session")
	}
}

// A session nobody comes back for ends a full timeout after the restart, with its ephemerals.
func TestRestoredSessionExpires(t *testing.T) {
	cfg := quick()
	cfg.DataDir = t.TempDir()
	s := start(t, cfg)
	c := dialRaw(t, s.Addr())
	if !c.connect(0, 100, 0, make([]byte, 16)) {
		t.Fatal("no session")
	}
	c.must(create, "/e", []byte{}, open, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, cfg)
	if got := len(s.Sessions()); got != 1 {
		t.Fatalf("%d sessions after the restart, want 1", got)
	}
	watcher := openRaw(t, s.Addr())
	if watcher.call(exists, "/e", true).code == 0 {
		if a, err := watcher.receive(); err != nil || a.xid != -1 || a.body.int32() != 2 {
			t.Errorf("got xid %d, error %v, want the event of the deletion", a.xid, err)
		}
	}
}

// copyDir is what a crash at this moment would leave behind.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	for _, name := range []string{"epoch", "snapshot"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// Whatever is lost in a crash, no zxid is given out twice: each start opens a higher epoch, on disk before anybody is served.
func TestZxidNeverGoesBackOverCrashes(t *testing.T) {
	dir := t.TempDir()
	last, lastEpoch := int64(0), int64(0)
	for range 4 {
		s := start(t, zookeeper.Config{DataDir: dir, SnapshotInterval: time.Hour})
		c := openRaw(t, s.Addr())
		for range 10 {
			a := c.must(create2, "/n-", []byte{}, open, 2)
			a.body.string()
			if got := a.body.stat().Czxid; got <= last {
				t.Fatalf("czxid %d after %d", got, last)
			} else {
				last = got
			}
		}
		if epoch := last >> 32; epoch <= lastEpoch {
			t.Errorf("epoch %d after %d", epoch, lastEpoch)
		} else {
			lastEpoch = epoch
		}
		dir = copyDir(t, dir)
	}
}

func TestZxidRisesWithoutADataDirectory(t *testing.T) {
	last := int64(0)
	for range 3 {
		s := start(t, zookeeper.Config{})
		c := openRaw(t, s.Addr())
		a := c.must(create, "/n", []byte{}, open, 0)
		if a.zxid <= last {
			t.Errorf("zxid %d after %d", a.zxid, last)
		}
		last = a.zxid
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the next millisecond", func() bool { return time.Now().UnixMilli()-1_577_836_800_000 > last>>22 })
	}
}

func TestPeriodicSnapshot(t *testing.T) {
	dir := t.TempDir()
	s := start(t, zookeeper.Config{DataDir: dir, SnapshotInterval: 5 * time.Millisecond})
	c := openRaw(t, s.Addr())
	c.must(create, "/n", []byte{}, open, 0)
	eventually(t, "the node in the state a crash leaves", func() bool {
		crashed, err := zookeeper.Start(t.Context(), zookeeper.Config{DataDir: copyDir(t, dir)}, zookeeper.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		defer crashed.Close()
		return openRaw(t, crashed.Addr()).exists("/n")
	})
}

// Two processes on one directory would both believe in their epoch.
func TestDataDirectoryIsLocked(t *testing.T) {
	dir := t.TempDir()
	s := start(t, zookeeper.Config{DataDir: dir})
	if _, err := zookeeper.Start(t.Context(), zookeeper.Config{DataDir: dir}, zookeeper.Deps{}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("second server on the directory: error %v, want one that names it", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	start(t, zookeeper.Config{DataDir: dir})
}

func TestDamagedFilesAreNamed(t *testing.T) {
	source := t.TempDir()
	s := start(t, zookeeper.Config{DataDir: source})
	openRaw(t, s.Addr()).must(create, "/n", []byte("data"), open, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, file string
		damage     func([]byte) []byte
	}{
		{"snapshot cut short", "snapshot", func(b []byte) []byte { return b[:len(b)-3] }},
		{"snapshot empty", "snapshot", func([]byte) []byte { return nil }},
		{"snapshot with a flipped bit", "snapshot", func(b []byte) []byte { b[bytes.LastIndex(b, []byte("data"))] ^= 4; return b }},
		{"snapshot of another format", "snapshot", func(b []byte) []byte { b[7] = '9'; return b }},
		{"epoch not a number", "epoch", func([]byte) []byte { return []byte("x") }},
		{"epoch empty", "epoch", func([]byte) []byte { return nil }},
		{"epoch negative", "epoch", func([]byte) []byte { return []byte("-1") }},
	} {
		dir := copyDir(t, source)
		path := filepath.Join(dir, tt.file)
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, tt.damage(b), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := zookeeper.Start(t.Context(), zookeeper.Config{DataDir: dir}, zookeeper.Deps{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one that names %s", tt.name, err, path)
		}
	}
	// What a crash while writing leaves is no damage.
	dir := copyDir(t, source)
	for _, name := range []string{"epoch.new", "snapshot.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = start(t, zookeeper.Config{DataDir: dir})
	if !openRaw(t, s.Addr()).exists("/n") {
		t.Error("the node is gone")
	}
}
