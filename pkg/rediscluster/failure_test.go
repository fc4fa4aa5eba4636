package rediscluster_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"eshop/pkg/catalog"
	"eshop/pkg/lab"
	"eshop/pkg/rediscluster"
)

// An answer lost on the way: the library sends the write again, which finds
// itself done. The caller must hear that it changed something.
func TestLostAnswerStillCountsAsChange(t *testing.T) {
	for _, tc := range []struct {
		name string
		op   rediscluster.Op
	}{{"put", put}, {"tombstone", tomb}, {"force", force}, {"forced tombstone", ftomb}} {
		t.Run(tc.name, func(t *testing.T) {
			var p *proxy
			var lose atomic.Int32
			p = newProxy(t, embedded(t).Addr(), func(args []string) (string, bool) {
				if isSlots(args) {
					return slotsAnswer(p.addr), false
				}
				return "", strings.EqualFold(args[0], "evalsha") && lose.Add(-1) == 0
			})
			s, reg := open(t, rediscluster.Config{Addrs: []string{p.addr}}, shop(t))
			write(t, s, put, doc(1, 1, 1, "a"))
			lose.Store(1)
			o := write(t, s, tc.op, doc(1, 2, 2, "b"))
			if !o.Accepted || !o.Changed || o.Stored.Token != 2 {
				t.Errorf("got %+v, want it accepted and changed", o)
			}
			if n := metric(t, reg, "eshop_redis_ambiguous_writes_total"); n != 1 {
				t.Errorf("%v ambiguous writes counted, want 1", n)
			}
			// Without a lost answer the same write is an ordinary refusal.
			if o := write(t, s, tc.op, doc(1, 2, 2, "b")); o.Accepted || o.Changed {
				t.Errorf("the second time: %+v, want it refused", o)
			}
		})
	}
}

// PITFALL 20: a demoted master answers READONLY. The slots are loaded anew and
// the write goes to its successor within the call.
func TestPitfall20ReadOnly(t *testing.T) {
	server := embedded(t).Addr()
	var demoted atomic.Bool
	var after atomic.Value
	after.Store("")
	old := newProxy(t, server, func(args []string) (string, bool) {
		switch {
		case isSlots(args):
			return slotsAnswer(after.Load().(string)), false
		case demoted.Load() && strings.HasPrefix(strings.ToLower(args[0]), "eval"):
			return "-READONLY You can't write against a read only replica.\r\n", false
		}
		return "", false
	})
	after.Store(old.addr)
	var next *proxy
	next = newProxy(t, server, func(args []string) (string, bool) {
		if isSlots(args) {
			return slotsAnswer(next.addr), false
		}
		return "", false
	})
	s, reg := open(t, rediscluster.Config{Addrs: []string{old.addr}}, shop(t))
	write(t, s, put, doc(1, 1, 1, "a"))
	demoted.Store(true)
	after.Store(next.addr)
	if o := write(t, s, put, doc(1, 2, 2, "b")); !o.Accepted {
		t.Errorf("got %+v, want it accepted by the new master", o)
	}
	if n := metric(t, reg, "eshop_redis_reloads_total", "reason", "readonly"); n < 1 {
		t.Error("no reload because of READONLY is counted")
	}
}

// synced waits until every replica has what its master has.
func synced(t *testing.T, s *rediscluster.Store, c *lab.RedisCluster) {
	t.Helper()
	c.WaitReady(20 * time.Second)
	lab.Until(t, 20*time.Second, func(ctx context.Context) error {
		for _, n := range c.Nodes()[:3] {
			if got, err := c.Do(ctx, n, "WAIT", "1", "1000"); err != nil || got != "1" {
				return fmt.Errorf("%s has %q replicas in step, %v", n.Addr(), got, err)
			}
		}
		return nil
	})
	// A node lists a replica in CLUSTER SLOTS only when it has heard of its offset,
	// which takes a new cluster some seconds; and the client asks any node.
	lab.Until(t, 20*time.Second, func(ctx context.Context) error {
		for _, n := range c.Nodes() {
			node := redis.NewClient(&redis.Options{Addr: n.Addr()})
			slots, err := node.Do(ctx, "cluster", "slots").Slice() // as the client asks
			node.Close()
			if err != nil {
				return err
			}
			for _, r := range slots {
				if part := r.([]any); len(part) != 4 { // first slot, last slot, master, replica
					return fmt.Errorf("%s lists %d nodes for the slots from %v", n.Addr(), len(part)-2, part[0])
				}
			}
		}
		return nil
	})
}

// PITFALL 19, invariant 12: with a master killed, reads from replicas go on
// without one error, and writes to its slots come back with the failover. The
// change of topology is told. The old master comes back as a replica
// (PITFALL 20) and nothing breaks.
func TestPitfall19MasterKilled(t *testing.T) {
	c := lab.RedisNew(t)
	cat := shop(t)
	s, reg := open(t, rediscluster.Config{Addrs: c.Addrs()}, cat)
	var told atomic.Int32
	s.OnTopologyChange(func() { told.Add(1) })
	const n = 300
	var keys []catalog.Key
	var requests []rediscluster.WriteRequest
	for id := int64(1); id <= n; id++ {
		keys = append(keys, product(id))
		requests = append(requests, rediscluster.WriteRequest{Op: put, Document: doc(id, 1, 1, "a")})
	}
	for _, r := range s.WriteMany(t.Context(), requests) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	synced(t, s, c)
	slot := int(s.Masters().ClusterKeySlot(t.Context(), cat.RedisKey(product(1))).Val())
	victim := c.Master(slot)

	stop := make(chan struct{})
	var readers sync.WaitGroup
	var reads, slowest atomic.Int64
	var failed atomic.Pointer[string]
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				began := time.Now()
				for _, r := range s.GetMany(context.Background(), keys, rediscluster.FromReplica) {
					if r.Err != nil || r.Document.State != live {
						text := "not live"
						if r.Err != nil {
							text = r.Err.Error()
						}
						failed.CompareAndSwap(nil, &text)
					}
				}
				reads.Add(1)
				if d := int64(time.Since(began)); d > slowest.Load() {
					slowest.Store(d)
				}
			}
		})
	}
	until(t, 10*time.Second, "reads run", func() bool { return reads.Load() > 50 })
	killed := time.Now()
	victim.Kill()
	if err := s.Ping(t.Context()); err == nil {
		t.Error("Ping with a dead master: no error")
	}
	token := int64(1)
	until(t, 30*time.Second, "a write to the killed master's slot succeeds", func() bool {
		token++
		o, err := s.Write(t.Context(), put, doc(1, 2, token, "b"))
		return err == nil && o.Accepted
	})
	t.Logf("writes are back %v after the kill; %d batches of %d reads, the slowest took %v",
		time.Since(killed).Round(time.Millisecond), reads.Load(), n, time.Duration(slowest.Load()).Round(time.Millisecond))
	until(t, 10*time.Second, "the change of topology is told", func() bool { return told.Load() > 0 })
	victim.Restart()
	c.WaitReady(30 * time.Second)
	for id := int64(1); id <= n; id++ {
		if o, err := s.Write(t.Context(), put, doc(id, 3, 99, "c")); err != nil || !o.Accepted {
			t.Fatalf("product %d after the old master is back: %+v, %v", id, o, err)
		}
	}
	close(stop)
	readers.Wait()
	if text := failed.Load(); text != nil {
		t.Errorf("a read failed: %s", *text)
	}
	if metric(t, reg, "eshop_redis_reloads_total") == 0 {
		t.Error("no reload is counted")
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// A replica that hangs costs a read one timeout, then it is passed by; dead
// replicas cost nothing that is seen.
func TestReplicaPausedAndKilled(t *testing.T) {
	c := lab.RedisNew(t)
	cat := shop(t)
	s, _ := open(t, rediscluster.Config{Addrs: c.Addrs(), ReadTimeout: 2 * time.Second}, cat)
	for id := int64(1); id <= 30; id++ {
		write(t, s, put, doc(id, 1, 1, "a"))
	}
	synced(t, s, c)
	slot := int(s.Masters().ClusterKeySlot(t.Context(), cat.RedisKey(product(1))).Val())
	replica := c.Replicas(c.Master(slot))[0]
	get(t, s, product(1), rediscluster.FromReplica)
	replica.Pause()
	began := time.Now()
	if d := get(t, s, product(1), rediscluster.FromReplica); d.State != live {
		t.Errorf("with the replica paused: %v", d.State)
	}
	t.Logf("the first read with the replica paused took %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	get(t, s, product(1), rediscluster.FromReplica)
	if took := time.Since(began); took > 250*time.Millisecond {
		t.Errorf("the next one took %v", took)
	}
	replica.Resume()
	replica.Kill()
	for id := int64(1); id <= 30; id++ {
		if d := get(t, s, product(id), rediscluster.FromReplica); d.State != live {
			t.Errorf("product %d with the replica dead: %v", id, d.State)
		}
	}
}

// A master that is killed and back before the others vote is empty, and the
// slots look as ever: that must be told too.
func TestMasterRestartedEmptyIsTold(t *testing.T) {
	c := lab.RedisNew(t)
	s, _ := open(t, rediscluster.Config{Addrs: c.Addrs()}, shop(t))
	for id := int64(1); id <= 30; id++ {
		write(t, s, put, doc(id, 1, 1, "a"))
	}
	synced(t, s, c)
	var told atomic.Int32
	s.OnTopologyChange(func() { told.Add(1) })
	stop := make(chan struct{})
	var traffic sync.WaitGroup
	traffic.Go(func() {
		for id := int64(1); ; id = id%30 + 1 {
			select {
			case <-stop:
				return
			default:
				_, _ = s.Get(context.Background(), product(id), rediscluster.FromMaster)
			}
		}
	})
	victim := c.Nodes()[0]
	victim.Kill()
	victim.Restart()
	until(t, 20*time.Second, "the restart is told", func() bool { return told.Load() > 0 })
	close(stop)
	traffic.Wait()
}

// Close returns while a topology callback is under way only after it is done,
// and leaves no goroutine (goleak in TestMain).
func TestCloseWhileUsed(t *testing.T) {
	s, err := rediscluster.New(rediscluster.Config{Addrs: []string{embedded(t).Addr()}}, shop(t), rediscluster.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	s.OnTopologyChange(func() {})
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for {
				if _, err := s.Get(context.Background(), product(1), rediscluster.FromReplica); err != nil {
					return
				}
			}
		})
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	users.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// Reads with FromReplica are answered by replicas and those with FromMaster by
// masters, as the servers count them.
func TestReadsGoWhereTheyShould(t *testing.T) {
	c := lab.RedisNew(t)
	s, reg := open(t, rediscluster.Config{Addrs: c.Addrs()}, shop(t))
	for id := int64(1); id <= 90; id++ {
		write(t, s, put, doc(id, 1, 1, "a"))
	}
	synced(t, s, c)
	served := func(nodes []*lab.Node) (n int) {
		for _, node := range nodes {
			info, err := c.Do(t.Context(), node, "INFO", "commandstats")
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(info, "\n") {
				var calls int
				if _, err := fmt.Sscanf(line, "cmdstat_hmget:calls=%d,", &calls); err == nil {
					n += calls
				}
			}
		}
		return n
	}
	masters, replicas := c.Nodes()[:3], c.Nodes()[3:]
	for _, tc := range []struct {
		from            rediscluster.From
		master, replica int
	}{{rediscluster.FromReplica, 0, 90}, {rediscluster.FromMaster, 90, 0}} {
		// A node lists a replica in CLUSTER SLOTS only when it has heard of its
		// offset, which takes a new cluster some seconds.
		lab.Until(t, 20*time.Second, func(context.Context) error {
			m, r := served(masters), served(replicas)
			for id := int64(1); id <= 90; id++ {
				get(t, s, product(id), tc.from)
			}
			if m, r := served(masters)-m, served(replicas)-r; m != tc.master || r != tc.replica {
				return fmt.Errorf("from %v: masters served %d and replicas %d reads, want %d and %d", tc.from, m, r, tc.master, tc.replica)
			}
			return nil
		})
	}
	if n := metric(t, reg, "eshop_redis_fallbacks_total"); n != 0 {
		t.Errorf("%v reads fell back to the master", n)
	}
}
