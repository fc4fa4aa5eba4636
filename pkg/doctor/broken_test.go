package doctor_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"eshop/pkg/doctor"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
	"eshop/pkg/zookeeper"
)

// TestMisconfiguredRedis changes the settings of a cluster of its own, and breaks it.
func TestMisconfiguredRedis(t *testing.T) {
	cluster := lab.RedisNew(t)
	w := bare()
	w.cfg.Redis.Addrs = cluster.Addrs()[:1] // the others are learned
	do := func(n *lab.Node, args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := cluster.Do(ctx, n, args...); err != nil {
			t.Error(err)
		}
	}
	// set changes settings everywhere and back at the end of the test.
	set := func(pairs ...string) func(t *testing.T, w *world) {
		return func(t *testing.T, _ *world) {
			for i := 0; i < len(pairs); i += 3 {
				for _, n := range cluster.Nodes() {
					do(n, "CONFIG", "SET", pairs[i], pairs[i+1])
				}
				t.Cleanup(func() {
					for _, n := range cluster.Nodes() {
						do(n, "CONFIG", "SET", pairs[i], pairs[i+2])
					}
				})
			}
		}
	}
	right := w.examine(t)
	master := cluster.Master(0)
	replica := cluster.Replicas(master)[0]
	var all said
	for _, m := range []injection{
		{name: "everything on one machine", check: "redis.hosts", severity: doctor.Warning, found: "master and replicas share the machine 127.0.0.1", mend: "CLUSTER REPLICATE", inject: func(*testing.T, *world) {}},
		{name: "no memory limit", check: "redis.memory", severity: doctor.Warning, found: "maxmemory is not set", mend: "CONFIG SET maxmemory BYTES", inject: func(*testing.T, *world) {}},
		{name: "neither appendonly nor save", check: "redis.persistence", severity: doctor.Warning, found: "neither appendonly nor save", mend: "CONFIG SET appendonly yes", inject: func(*testing.T, *world) {}},
		{name: "node timeout 15 s", check: "redis.node-timeout", severity: doctor.Warning, found: "cluster-node-timeout is 15s", mend: "CONFIG SET cluster-node-timeout 2000", inject: set("cluster-node-timeout", "15000", "2000")},
		{name: "node timeout 300 ms", check: "redis.node-timeout", severity: doctor.Warning, found: "cluster-node-timeout is 300ms", inject: func(t *testing.T, _ *world) {
			// At one node alone: with it everywhere a busy machine begins a fail-over.
			do(replica, "CONFIG", "SET", "cluster-node-timeout", "300")
			t.Cleanup(func() { do(replica, "CONFIG", "SET", "cluster-node-timeout", "2000") })
		}},
		{name: "full coverage demanded", check: "redis.full-coverage", severity: doctor.Failure, found: "cluster-require-full-coverage is yes", mend: "CONFIG SET cluster-require-full-coverage no", inject: set("cluster-require-full-coverage", "yes", "no")},
		{name: "no reads when down", check: "redis.reads-when-down", severity: doctor.Warning, found: "cluster-allow-reads-when-down is no", mend: "cluster-allow-reads-when-down yes", inject: set("cluster-allow-reads-when-down", "no", "yes")},
		{name: "evicts at random", check: "redis.memory", severity: doctor.Warning, found: "maxmemory-policy is allkeys-random", mend: "maxmemory-policy allkeys-lru", inject: set("maxmemory-policy", "allkeys-random", "noeviction", "maxmemory", "1gb", "0")},
		{name: "evicts nothing", check: "redis.memory", severity: doctor.Warning, found: "noeviction", mend: "maxmemory-policy allkeys-lru", inject: set("maxmemory", "1gb", "0")},
		{name: "evicts nothing and is full", check: "redis.memory", severity: doctor.Failure, found: "% full", mend: "maxmemory-policy allkeys-lru", inject: set("maxmemory", "1mb", "0")},
		{name: "views of the slots differ", check: "redis.views", severity: doctor.Failure, found: "different views", mend: "--cluster check", inject: func(t *testing.T, _ *world) {
			// The replica forgets a master; the others remind it within seconds, unless it has been told to wait a minute.
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			id, err := cluster.Do(ctx, cluster.Master(16383), "CLUSTER", "MYID")
			if err != nil {
				t.Fatal(err)
			}
			do(replica, "CLUSTER", "FORGET", id)
		}},
		{name: "master without a replica", check: "redis.replicas", severity: doctor.Failure, found: "no live replica of the master " + master.Addr(), mend: "--cluster add-node NEWHOST:PORT", inject: func(t *testing.T, w *world) {
			replica.Kill()
			w.cfg.Redis.Addrs = cluster.Addrs()
			seen(t, w, "redis.replicas", doctor.Failure)
		}},
		{name: "dead node", check: "redis.reachable", severity: doctor.Failure, found: "5 of 6 nodes answer; not " + replica.Addr(), mend: "PING", inject: func(_ *testing.T, w *world) { w.cfg.Redis.Addrs = cluster.Addrs() }},
		{name: "slots uncovered", check: "redis.slots", severity: doctor.Failure, found: "of 16384 slots have no live master: 0-5460", mend: "--cluster fix", inject: func(t *testing.T, w *world) {
			master.Kill()
			for _, a := range cluster.Addrs() {
				if a != master.Addr() && a != replica.Addr() {
					w.cfg.Redis.Addrs = []string{a}
				}
			}
			seen(t, w, "redis.slots", doctor.Failure)
		}},
	} {
		t.Run(m.name, func(t *testing.T) {
			wrong := *w
			m.inject(t, &wrong)
			before := right
			if m.name == "everything on one machine" || strings.HasPrefix(m.name, "no memory") || strings.HasPrefix(m.name, "neither") {
				before = doctor.Report{} // it is so from the start
			}
			expect(t, m, before, wrong.examine(t), &wrong, &all)
		})
	}
	all.show(t)
}

// seen waits until the servers have noticed.
func seen(t *testing.T, w *world, check string, severity doctor.Severity) {
	t.Helper()
	lab.Until(t, 2*time.Minute, func(context.Context) error {
		if f, _ := find(w.examine(t), check, ""); f.Severity != severity {
			return fmt.Errorf("%s is %s: %s", check, f.Severity, f.Found)
		}
		return nil
	})
}

// TestStandaloneRedis: a server that is no cluster is called so.
func TestStandaloneRedis(t *testing.T) {
	lab.Redis(t) // skips here where there is none
	w := bare()
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	lab.Start(t, lab.Command{Path: "redis-server", Dir: dir, Args: []string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--logfile", ""}})
	w.cfg.Redis.Addrs = []string{addr}
	lab.Until(t, 20*time.Second, func(ctx context.Context) error {
		r, err := rediscluster.Describe(ctx, w.cfg.Redis, time.Now)
		if err == nil {
			err = r[0].Err
		}
		return err
	})
	r := w.examine(t)
	if f, _ := find(r, "redis.cluster", ""); f.Severity != doctor.Failure || !strings.Contains(f.Found, addr+" runs alone") || !strings.Contains(f.Mend, "cluster-enabled yes") {
		t.Errorf("got %+v", f)
	}
	for _, f := range r.Findings {
		if f.Check == "redis.slots" && (f.Severity != doctor.Skipped || f.Found != "the servers are no cluster") || f.Area() == "canary" && f.Severity != doctor.Skipped {
			t.Errorf("got %+v, want it skipped", f)
		}
	}
}

// TestBrokenKafka: a broker that is away is named, and so are the partitions that miss its copies.
func TestBrokenKafka(t *testing.T) {
	cluster := lab.KafkaNew(t)
	w := newWorld(t, nil, cluster.Addrs(), lab.ZooKeeper(t).Addrs())
	w.cfg.ZooKeeper.Servers = nil
	right := w.examine(t)
	var all said
	cluster.Nodes()[2].Kill()
	cluster.WaitBrokers(2, time.Minute)
	for _, m := range []injection{
		{name: "broker dead", check: "kafka.reachable", severity: doctor.Failure, found: "2 of 3 brokers answer; not " + cluster.Nodes()[2].Addr(), mend: "kafka-broker-api-versions.sh"},
		{name: "copies missing", check: "kafka.leaders", on: func(w *world) string { return w.cfg.TopicChange }, severity: doctor.Warning, found: "copies are missing or behind in partition 0, 1, 2", mend: "--describe"},
	} {
		seen(t, w, m.check, m.severity)
		expect(t, m, right, w.examine(t), w, &all)
	}
	all.show(t)
}

// TestBrokenEnsemble: a dead server is named, and so is the lack of a majority. Servers
// that refuse to say what they are are no obstacle: the protocol tells the rest.
func TestBrokenEnsemble(t *testing.T) {
	ensemble := lab.ZooKeeperNew(t)
	w := bare()
	w.cfg.ZooKeeper.Servers = ensemble.Addrs()
	w.session(t, func(ctx context.Context, s *zookeeper.Session) error { return s.Ensure(ctx) })
	right := w.examine(t)
	var all said

	shy := *w
	shy.cfg.ZooKeeper.Servers = nil
	for _, a := range ensemble.Addrs() {
		shy.cfg.ZooKeeper.Servers = append(shy.cfg.ZooKeeper.Servers, withoutSrvr(t, a))
	}
	mute := shy.examine(t)
	expect(t, injection{name: "srvr not whitelisted", check: "zookeeper.words", severity: doctor.Warning, found: "srvr is not whitelisted at " + shy.cfg.ZooKeeper.Servers[0], mend: "4lw.commands.whitelist=srvr,ruok"}, right, mute, &shy, &all)
	if f, _ := find(mute, "zookeeper.ensemble", ""); f.Severity != doctor.OK || f.Found != "3 servers: it stands the loss of 1" {
		t.Errorf("the size of the ensemble: got %+v", f)
	}
	if f, _ := find(mute, "zookeeper.leader", ""); f.Severity != doctor.Skipped {
		t.Errorf("the leader is named although nobody tells: %+v", f)
	}

	leader := ensemble.Leader()
	var follower *lab.Node
	for _, n := range ensemble.Nodes() {
		if n != leader {
			follower = n
		}
	}
	follower.Kill()
	expect(t, injection{name: "server of the ensemble dead", check: "zookeeper.reachable", severity: doctor.Failure, found: "2 of 3 servers answer; not " + follower.Addr(), mend: "zkServer.sh status"}, right, w.examine(t), w, &all)
	leader.Kill()
	w.cfg.Timeout = 3 * time.Second
	seen(t, w, "zookeeper.session", doctor.Failure)
	expect(t, injection{name: "no majority", check: "zookeeper.session", severity: doctor.Failure, found: "no session", mend: "zkServer.sh status"}, right, w.examine(t), w, &all)
	all.show(t)
}

// withoutSrvr passes everything on to the server but the word srvr, which it
// refuses in the server's place.
func withoutSrvr(t *testing.T, server string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var passing sync.WaitGroup
	passing.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			passing.Go(func() {
				defer conn.Close()
				var word [4]byte
				if _, err := io.ReadFull(conn, word[:]); err != nil {
					return
				}
				if string(word[:]) == "srvr" {
					fmt.Fprint(conn, "srvr is not executed because it is not in the whitelist.\n")
					return
				}
				to, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer to.Close()
				go func() {
					_, _ = io.Copy(conn, to) // ends with either
					conn.Close()
				}()
				_, _ = io.Copy(to, io.MultiReader(bytes.NewReader(word[:]), conn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		passing.Wait()
	})
	return l.Addr().String()
}

// zooKeeperServers starts servers of one ensemble; one of them alone stands alone.
func zooKeeperServers(t *testing.T, count int) (addrs []string) {
	t.Helper()
	lab.ZooKeeper(t) // skips here where there is none
	var members strings.Builder
	for i := range count {
		_, peer, _ := net.SplitHostPort(freeAddr(t))
		_, vote, _ := net.SplitHostPort(freeAddr(t))
		fmt.Fprintf(&members, "server.%d=127.0.0.1:%s:%s\n", i+1, peer, vote)
		addrs = append(addrs, freeAddr(t))
	}
	if count == 1 {
		members.Reset()
	}
	for i, addr := range addrs {
		dir := t.TempDir()
		_, port, _ := net.SplitHostPort(addr)
		settings := fmt.Sprintf("tickTime=500\ninitLimit=20\nsyncLimit=10\ndataDir=%s\nclientPortAddress=127.0.0.1\nclientPort=%s\nadmin.enableServer=false\n%s", dir, port, members.String())
		for name, text := range map[string]string{"zoo.cfg": settings, "myid": fmt.Sprintln(i + 1)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		lab.Start(t, lab.Command{Path: "java", Dir: dir, Args: []string{"-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/zookeeper.jar",
			"org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(dir, "zoo.cfg")}})
	}
	return addrs
}

// TestSmallEnsembles: one server, and two.
func TestSmallEnsembles(t *testing.T) {
	var all said
	for _, m := range []injection{
		{name: "ensemble of one", check: "zookeeper.ensemble", severity: doctor.Warning, found: "one server", mend: "server.N="},
		{name: "ensemble of two", check: "zookeeper.ensemble", severity: doctor.Failure, found: "2 servers", mend: "server.N="},
	} {
		t.Run(m.name, func(t *testing.T) {
			w := bare()
			w.cfg.ZooKeeper = zookeeper.Config{Servers: zooKeeperServers(t, map[string]int{"ensemble of one": 1, "ensemble of two": 2}[m.name]), Root: "/none", SessionTimeout: 5 * time.Second}
			w.cfg.Timeout = 10 * time.Second
			seen(t, w, "zookeeper.session", doctor.OK)
			r := w.examine(t)
			expect(t, m, doctor.Report{}, r, w, &all)
			if f, _ := find(r, "redis.slots", ""); f.Found != "--redis.addrs is not given" {
				t.Errorf("got %+v, want it skipped", f)
			}
		})
	}
	all.show(t)
}

// bare is a world without servers.
func bare() *world {
	w := &world{now: time.Now}
	w.cfg.MaxStaleness, w.cfg.Timeout = 30*time.Second, 20*time.Second
	return w
}
