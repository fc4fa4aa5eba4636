package redis_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"eshop/pkg/embedded/redis"
)

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
