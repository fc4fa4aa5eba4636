package redis_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
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
