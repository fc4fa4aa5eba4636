package zookeeper_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"eshop/pkg/zookeeper"
)

// TestDescribeServers: each server tells its part; one that is away, and one that
// speaks something else, are reported.
func TestDescribeServers(t *testing.T) {
	onBoth(t, func(e *env) {
		const dead = "127.0.0.1:1"
		reports, err := zookeeper.DescribeServers(e.ctx(), zookeeper.Config{Servers: append([]string{dead}, e.addrs...)})
		if err != nil {
			t.Fatal(err)
		}
		if reports[0].Addr != dead || reports[0].Err == nil {
			e.Errorf("the dead server: got %+v", reports[0])
		}
		leaders := 0
		for _, r := range reports[1:] {
			if r.Err != nil || r.Refused || r.Idle || r.Version == "" {
				e.Errorf("got %+v", r)
			}
			if r.Mode == "leader" || r.Mode == "standalone" {
				leaders++
			}
		}
		if len(reports) != len(e.addrs)+1 || leaders != 1 {
			e.Errorf("got %d reports with %d leaders", len(reports), leaders)
		}
	})
}

func TestDescribeServersThatAreNone(t *testing.T) {
	for answer, want := range map[string]func(zookeeper.ServerReport) bool{
		"HTTP/1.1 400 Bad Request\r\n": func(r zookeeper.ServerReport) bool { return r.Err != nil },
		"":                             func(r zookeeper.ServerReport) bool { return r.Err != nil },
		"This ZooKeeper instance is not currently serving requests\n":   func(r zookeeper.ServerReport) bool { return r.Idle && r.Err == nil },
		"srvr is not executed because it is not in the whitelist.\n":    func(r zookeeper.ServerReport) bool { return r.Refused && r.Err == nil },
		"Zookeeper version: 3.8.0-abc, built on 2022\nMode: follower\n": func(r zookeeper.ServerReport) bool { return r.Mode == "follower" && r.Version == "3.8.0" },
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 4))
			_, _ = conn.Write([]byte(answer))
		}()
		reports, err := zookeeper.DescribeServers(t.Context(), zookeeper.Config{Servers: []string{l.Addr().String()}})
		if err != nil || !want(reports[0]) {
			t.Errorf("%q: got %+v %v", answer, reports, err)
		}
		l.Close()
		<-done
	}
}

// TestDescribeInASession: timeout, members, sizes and clock; nothing is left of it.
func TestDescribeInASession(t *testing.T) {
	onBoth(t, func(e *env) {
		s := e.session(timeout(5 * time.Second))
		if _, _, _, err := s.Clock(e.ctx(), time.Now); !errors.Is(err, zookeeper.ErrNoNode) {
			e.Errorf("the clock without a root: got %v, want ErrNoNode", err)
		}
		if _, _, err := s.Sizes(e.ctx(), 10); !errors.Is(err, zookeeper.ErrNoNode) {
			e.Errorf("sizes without a root: got %v, want ErrNoNode", err)
		}
		if err := s.Ensure(e.ctx(), "", "a", "a/b", "locks/7"); err != nil {
			e.Fatal(err)
		}
		if err := s.Put(e.ctx(), "a/big", make([]byte, 1000)); err != nil {
			e.Fatal(err)
		}
		if granted, err := s.Granted(e.ctx()); err != nil || granted != 5*time.Second {
			e.Errorf("granted: got %v %v, want 5s", granted, err)
		}
		voters, err := s.Voters(e.ctx())
		if want := map[bool]int{true: 3, false: 0}[len(e.addrs) == 3]; err != nil || voters != want {
			e.Errorf("voters: got %d %v, want %d", voters, err, want)
		}
		asked, told, answered, err := s.Clock(e.ctx(), time.Now)
		if err != nil || told.Before(asked.Add(-time.Second)) || told.After(answered.Add(time.Second)) {
			e.Errorf("clock: got %v between %v and %v, %v", told, asked, answered, err)
		}
		sizes, more, err := s.Sizes(e.ctx(), 100)
		if err != nil || more || len(sizes) != 6 || sizes[0].Path != e.root {
			e.Errorf("sizes: got %+v, more %v, %v; want 6 nodes, nothing of the clock's", sizes, more, err)
		}
		for _, z := range sizes {
			if strings.HasSuffix(z.Path, "/big") && z.Bytes != 1000 || strings.HasSuffix(z.Path, "/a") && z.List != 4+1+4+3 {
				e.Errorf("got %+v", z)
			}
		}
		if sizes, more, err := s.Sizes(e.ctx(), 2); err != nil || !more || len(sizes) != 2 {
			e.Errorf("at most two: got %+v, more %v, %v", sizes, more, err)
		}
		if path := zookeeper.LockPath("x"); !strings.HasPrefix(path, "locks/") {
			e.Errorf("the place of a lock: got %q", path)
		}
	})
}
