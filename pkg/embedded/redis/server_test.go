package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"eshop/pkg/embedded/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB, cfg redis.Config) *redis.Server {
	t.Helper()
	s, err := redis.Start(context.Background(), cfg, redis.Deps{Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client speaks RESP2 over one connection and renders replies as text: nil,
// numbers, strings, [a b], errors with a leading dash.
type client struct {
	t testing.TB
	net.Conn
	*bufio.Reader
}

func dial(t testing.TB, s *redis.Server) *client {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) send(args ...string) {
	c.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := c.Write([]byte(b.String())); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) do(args ...string) string {
	c.t.Helper()
	c.send(args...)
	return c.reply()
}

func (c *client) reply() string {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	line, err := c.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	line = strings.TrimSuffix(line, "\r\n")
	switch line[0] {
	case '+', ':':
		return line[1:]
	case '-':
		return line
	case '$', '*':
		n, err := strconv.Atoi(line[1:])
		if err != nil {
			c.t.Fatal(err)
		}
		if n < 0 {
			return "nil"
		}
		if line[0] == '*' {
			parts := make([]string, n)
			for i := range parts {
				parts[i] = c.reply()
			}
			return "[" + strings.Join(parts, " ") + "]"
		}
		b := make([]byte, n+2)
		for at := 0; at < len(b); {
			k, err := c.Reader.Read(b[at:])
			if err != nil {
				c.t.Fatal(err)
			}
			at += k
		}
		return string(b[:n])
	}
	c.t.Fatalf("reply %q", line)
	return ""
}

func (c *client) want(want string, args ...string) {
	c.t.Helper()
	if got := c.do(args...); got != want {
		c.t.Errorf("%v: got %q, want %q", args, got, want)
	}
}

func poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestStartsFast(t *testing.T) {
	began := time.Now()
	s := start(t, redis.Config{DataDir: t.TempDir()})
	dial(t, s).want("PONG", "PING")
	if took := time.Since(began); took > 100*time.Millisecond {
		t.Errorf("the start took %v, want less than 100 ms", took)
	}
	if host, port, err := net.SplitHostPort(s.Addr()); err != nil || host != "127.0.0.1" || port == "0" {
		t.Errorf("Addr() = %q, want a bound loopback address", s.Addr())
	}
}

func TestAddrInUse(t *testing.T) {
	s := start(t, redis.Config{})
	if _, err := redis.Start(context.Background(), redis.Config{Addr: s.Addr()}, redis.Deps{}); err == nil {
		t.Fatal("a second server on the same address started")
	}
}

// PITFALL 35: keys expire although nobody moves miniredis's clock.
func TestPitfall35Expiry(t *testing.T) {
	s := start(t, redis.Config{})
	c := dial(t, s)
	c.want("OK", "SET", "short", "1", "PX", "50")
	c.want("OK", "SET", "long", "1", "EX", "100")
	poll(t, "the key expires", func() bool { return c.do("EXISTS", "short") == "0" })
	poll(t, "the other one grows older", func() bool { return c.do("TTL", "long") != "100" })
	poll(t, "the count follows", func() bool { return strings.Contains(c.do("INFO", "keyspace"), "keys=1\r") })
}

// PITFALL 35: the bound on keys holds, and the key used longest ago goes first.
func TestPitfall35BoundedKeysLRU(t *testing.T) {
	s := start(t, redis.Config{MaxKeys: 100})
	c := dial(t, s)
	for i := range 100 {
		c.want("1", "HSET", fmt.Sprint("k", i), "b", "x")
	}
	for i := range 50 { // the first half is used again, by reading
		c.want("x", "HGET", fmt.Sprint("k", i), "b")
	}
	for i := 100; i < 151; i++ {
		c.want("1", "HSET", fmt.Sprint("k", i), "b", "x")
	}
	for i := range 151 {
		want := "1"
		if i >= 50 && i < 100 {
			want = "0"
		}
		c.want(want, "EXISTS", fmt.Sprint("k", i))
	}
	if got := s.Evicted(); got != 50 {
		t.Errorf("Evicted() = %d, want 50: one is deleted before each command that finds the bound overrun", got)
	}
}

// PITFALL 35: the bound on bytes holds for every way a value can grow.
func TestPitfall35BoundedBytes(t *testing.T) {
	const limit = 1 << 20
	body := strings.Repeat("x", 10_000)
	script := "redis.call('HSET', KEYS[1], 'b', ARGV[1]) return 1"
	for name, write := range map[string]func(c *client, i int){
		"string":     func(c *client, i int) { c.do("SET", fmt.Sprint("k", i), body) },
		"hash":       func(c *client, i int) { c.do("HSET", fmt.Sprint("k", i), "b", body) },
		"one hash":   func(c *client, i int) { c.do("HSET", "k", fmt.Sprint("f", i), body) },
		"list":       func(c *client, i int) { c.do("RPUSH", "k", body) },
		"set":        func(c *client, i int) { c.do("SADD", fmt.Sprint("k", i%7), fmt.Sprint(i, body)) },
		"sorted set": func(c *client, i int) { c.do("ZADD", "k", fmt.Sprint(i), fmt.Sprint(i, body)) },
		"stream":     func(c *client, i int) { c.do("XADD", fmt.Sprint("k", i%7), "*", "f", body) },
		"append":     func(c *client, i int) { c.do("APPEND", "k", body) },
		"script":     func(c *client, i int) { c.do("EVAL", script, "1", fmt.Sprint("k", i), body) },
		"script, key not declared": func(c *client, i int) {
			c.do("EVAL", "redis.call('SET', ARGV[2], ARGV[1]) return 1", "0", body, fmt.Sprint("k", i))
		},
		"transaction": func(c *client, i int) {
			c.do("MULTI")
			c.do("SET", fmt.Sprint("{k}", i), body)
			c.do("RPUSH", fmt.Sprint("{k}l", i), body)
			c.do("EXEC")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, redis.Config{MaxBytes: limit})
			c := dial(t, s)
			for i := range 400 { // four times the bound
				write(c, i)
			}
			var used int
			for line := range strings.SplitSeq(c.do("INFO", "memory"), "\r\n") {
				if v, ok := strings.CutPrefix(line, "used_memory:"); ok {
					used, _ = strconv.Atoi(v)
				}
			}
			if used <= 0 || used > limit+50_000 {
				t.Errorf("used_memory is %d, want from 1 to %d and one request", used, limit)
			}
			if s.Evicted() == 0 {
				t.Error("nothing was evicted")
			}
		})
	}
	c := dial(t, start(t, redis.Config{MaxBytes: limit}))
	c.want("-OOM command not allowed when used memory > 'maxmemory'.", "SET", "k", strings.Repeat("x", limit+1))
}

func TestFlushEmptiesTheEstimate(t *testing.T) {
	c := dial(t, start(t, redis.Config{}))
	c.want("OK", "SET", "k", "v")
	c.want("OK", "FLUSHALL")
	if got := c.do("INFO", "memory"); !strings.Contains(got, "used_memory:0\r") {
		t.Errorf("after FLUSHALL: %q", got)
	}
}

func TestMaxClients(t *testing.T) {
	s := start(t, redis.Config{MaxClients: 2})
	a, b := dial(t, s), dial(t, s)
	a.want("PONG", "PING")
	b.want("PONG", "PING")
	dial(t, s).want("-ERR max number of clients reached", "PING")
	b.Close()
	poll(t, "the place is free again", func() bool {
		return dial(t, s).do("PING") == "PONG"
	})
}

// PITFALL 35: what a cluster client and an operator ask of a node.
func TestPitfall35Cluster(t *testing.T) {
	s := start(t, redis.Config{})
	c := dial(t, s)
	_, port, _ := net.SplitHostPort(s.Addr())
	id := c.do("CLUSTER", "MYID")
	if len(id) != 40 {
		t.Errorf("CLUSTER MYID: %q", id)
	}
	c.want("OK", "SET", "foo", "1")
	for _, tc := range []struct{ want, cmd string }{
		{"OK", "READONLY"}, {"OK", "READWRITE"}, {"OK", "ASKING"},
		{"[[0 16383 [127.0.0.1 " + port + " " + id + "]]]", "CLUSTER SLOTS"},
		{id + " 127.0.0.1:" + port + "@", "CLUSTER NODES"},
		{"cluster_state:ok", "CLUSTER INFO"},
		{"[[slots [0 16383] nodes [[id " + id + " port " + port + " ip 127.0.0.1 endpoint 127.0.0.1 role master replication-offset 0 health online]]]]", "CLUSTER SHARDS"},
		{"12182", "CLUSTER KEYSLOT foo"}, // as redis-server 7.0 answers
		{"12182", "CLUSTER KEYSLOT x{foo}y"},
		{"8363", "CLUSTER KEYSLOT foo{}{bar}"},
		{"4015", "CLUSTER KEYSLOT foo{{bar}}zap"},
		{"5061", "CLUSTER KEYSLOT foo{bar}{zap}"},
		{"899", "CLUSTER KEYSLOT product_info_7"},
		{"1", "CLUSTER COUNTKEYSINSLOT 12182"},
		{"[foo]", "CLUSTER GETKEYSINSLOT 12182 10"},
		{"[]", "CLUSTER REPLICAS " + id},
		{"-ERR wrong number of arguments", "CLUSTER KEYSLOT"},
		{"-ERR CLUSTER RESET is not possible", "CLUSTER RESET"},
		{"-ERR SELECT is not allowed in cluster mode", "SELECT 1"},
		{"OK", "SELECT 0"},
		{"-ERR SWAPDB is not allowed", "SWAPDB 0 1"},
		{"cluster_enabled:1", "INFO cluster"},
		{"role:master", "INFO replication"},
		{"redis_mode:cluster", "INFO"},
	} {
		if got := c.do(strings.Fields(tc.cmd)...); !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q in it", tc.cmd, got, tc.want)
		}
	}
}

// PITFALL 35: commands, scripts and transactions over two slots are refused.
func TestPitfall35CrossSlot(t *testing.T) {
	c := dial(t, start(t, redis.Config{}))
	const refused = "-CROSSSLOT Keys in request don't hash to the same slot"
	for _, tc := range []struct{ want, cmd string }{
		{refused, "MGET a b"}, {"[nil nil]", "MGET {a}1 {a}2"}, {refused, "DEL a b"}, {refused, "MSET a 1 b 2"},
		{"OK", "MSET {a}1 1 {a}2 2"}, {refused, "RENAME {a}1 b"}, {refused, "SUNIONSTORE a b c"}, {refused, "ZUNIONSTORE a 1 b"},
		{refused, "BLPOP a b 0"}, {refused, "XREAD STREAMS a b 0 0"}, {refused, "EXISTS a b"}, {refused, "PFCOUNT a b"},
		{refused, "LMOVE a b LEFT RIGHT"}, {refused, "SINTERCARD 2 a b"}, {refused, "BITOP AND a b"}, {refused, "WATCH a b"},
	} {
		if got := c.do(strings.Fields(tc.cmd)...); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.cmd, got, tc.want)
		}
	}
	c.want(refused, "EVAL", "return 1", "2", "a", "b")
	if got := c.do("EVAL", "return redis.call('MGET', 'a', 'b')", "0"); !strings.Contains(got, "CROSSSLOT") {
		t.Errorf("a script over two slots: %q", got)
	}
	// Across the commands of a transaction.
	c.want("OK", "MULTI")
	c.want("QUEUED", "SET", "a", "1")
	c.want("QUEUED", "SET", "b", "1")
	c.want(refused, "EXEC")
	c.want("0", "EXISTS", "a")
	// A refused command spoils its transaction.
	c.want("OK", "MULTI")
	c.want("QUEUED", "SET", "a", "1")
	c.want(refused, "MGET", "a", "b")
	c.want("-EXECABORT Transaction discarded because of previous errors.", "EXEC")
	c.want("0", "EXISTS", "a")
	c.want("OK", "MULTI")
	c.want("QUEUED", "SET", "{a}1", "1")
	c.want("QUEUED", "GET", "{a}1")
	c.want("[OK 1]", "EXEC")
}

func TestRedisCLI(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		if os.Getenv("ESHOP_TEST_STRICT") == "1" {
			t.Fatal("redis-cli is missing")
		}
		t.Skip("redis-cli is missing")
	}
	s := start(t, redis.Config{})
	_, port, _ := net.SplitHostPort(s.Addr())
	for _, tc := range []struct{ want, args string }{
		{"OK", "-c -p " + port + " SET foo bar"},
		{"bar", "-c -p " + port + " GET foo"},
		{"All 16384 slots covered", "--cluster check " + s.Addr()},
		{"1 keys in 1 masters", "--cluster info " + s.Addr()},
	} {
		out, err := exec.CommandContext(t.Context(), cli, strings.Fields(tc.args)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), tc.want) {
			t.Errorf("redis-cli %s: %v\n%s", tc.args, err, out)
		}
	}
}

func TestDataDir(t *testing.T) {
	dir := t.TempDir()
	s := start(t, redis.Config{DataDir: dir})
	c := dial(t, s)
	odd := "\x00\xff\r\n\"ü\u2028"
	c.want("OK", "SET", "string", odd)
	c.want("OK", "SET", "", "empty key")
	c.want("2", "HSET", "hash", "b", odd, "e", "")
	c.want("3", "RPUSH", "list", "c", "a", "b")
	c.want("2", "SADD", "set", "x", "y")
	c.want("2", "ZADD", "zset", "1.5", "m", "-inf", "n")
	c.want("OK", "SET", "expiring", "1", "PX", "3600000")
	c.want("OK", "SET", "expired", "1", "PX", "1200")
	if _, err := redis.Start(t.Context(), redis.Config{DataDir: dir}, redis.Deps{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second server on the same directory: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The expiry goes on while nothing runs.
	until := time.Now().Add(1300 * time.Millisecond)
	poll(t, "the time passes", func() bool { return time.Now().After(until) })

	s = start(t, redis.Config{DataDir: dir})
	c = dial(t, s)
	c.want(odd, "GET", "string")
	c.want("empty key", "GET", "")
	c.want(odd, "HGET", "hash", "b")
	c.want("", "HGET", "hash", "e")
	c.want("[c a b]", "LRANGE", "list", "0", "-1")
	c.want("[x y]", "SMEMBERS", "set")
	c.want("[n -inf m 1.5]", "ZRANGE", "zset", "0", "-1", "WITHSCORES")
	c.want("0", "EXISTS", "expired")
	if ttl, _ := strconv.Atoi(c.do("PTTL", "expiring")); ttl <= 3_500_000 || ttl > 3_599_000 {
		t.Errorf("PTTL after the restart is %d ms, want a little less than an hour", ttl)
	}
	c.want("-1", "PTTL", "hash")
}

func TestSnapshotPeriodic(t *testing.T) {
	dir := t.TempDir()
	s := start(t, redis.Config{DataDir: dir, SnapshotEvery: time.Millisecond})
	c := dial(t, s)
	c.want("OK", "SET", "k", "v")
	file := filepath.Join(dir, "redis.snapshot")
	poll(t, "a snapshot appears while the server runs", func() bool { _, err := os.Stat(file); return err == nil })
	// As after kill -9: a copy of the directory is all there is.
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "redis.snapshot"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	dial(t, start(t, redis.Config{DataDir: other})).want("v", "GET", "k")
}

func TestSnapshotDamaged(t *testing.T) {
	dir := t.TempDir()
	s := start(t, redis.Config{DataDir: dir})
	dial(t, s).want("OK", "SET", "k", "v")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "redis.snapshot")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-10] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, redis.Config{DataDir: dir})
	dial(t, s).want("0", "DBSIZE")
	if _, err := os.Stat(file + ".damaged"); err != nil {
		t.Errorf("the damaged snapshot was not kept: %v", err)
	}
}

func TestCloseTwice(t *testing.T) {
	s := start(t, redis.Config{DataDir: t.TempDir()})
	c := dial(t, s)
	c.want("PONG", "PING")
	c.send("BLPOP", "k", "0") // a blocked client must not hold up the end
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
