package rediscluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"eshop/pkg/catalog"
	"eshop/pkg/rediscluster"
)

func TestPing(t *testing.T) {
	onBoth(t, func(t *testing.T, addrs []string) {
		s, _ := open(t, rediscluster.Config{Addrs: addrs}, shop(t))
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestMissing(t *testing.T) {
	onBoth(t, func(t *testing.T, addrs []string) {
		s, reg := open(t, rediscluster.Config{Addrs: addrs}, shop(t))
		for _, from := range []rediscluster.From{rediscluster.FromReplica, rediscluster.FromMaster} {
			got := get(t, s, product(404), from)
			if diff := cmp.Diff(catalog.Document{Key: product(404)}, got); diff != "" {
				t.Errorf("a missing key (-want +got):\n%s", diff)
			}
		}
		if n := metric(t, reg, "eshop_redis_fallbacks_total", "reason", "absent"); n != 1 {
			t.Errorf("%v reads went on to the master, want 1", n)
		}
	})
}

// Bodies come back byte for byte; JSON is never decoded on the way (PITFALL 35:
// cjson drops null members and turns [] into {}).
func TestPitfall35BodiesUntouched(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	bodies := [][]byte{
		[]byte(`{"a":null,"b":[],"c":{},"d":5599.0,"e":1e400,"f":12345678901234567890}`),
		[]byte("{\"a\" :\t\"\\u0000\\/ü\u2028\"}\r\n"),
		every, {0}, []byte("\r\n$5\r\n"), []byte("0"), []byte("'KEYS[1]' .. '"),
		bytes.Repeat([]byte("€\x00"), 1<<18), // 1 MiB
	}
	onBoth(t, func(t *testing.T, addrs []string) {
		s, _ := open(t, rediscluster.Config{Addrs: addrs}, shop(t))
		pulled := time.UnixMilli(1_700_000_000_123)
		for i, body := range bodies {
			d := doc(int64(i+1), 1, 1, string(body))
			d.Pulled = pulled
			write(t, s, put, d)
			got := get(t, s, d.Key, rediscluster.FromMaster)
			if !bytes.Equal(got.Body, body) {
				t.Errorf("body %d of %d bytes came back different, %d bytes", i, len(body), len(got.Body))
			}
			if !got.Pulled.Equal(pulled) || got.Field != "modifiedTime" {
				t.Errorf("body %d: pulled %v, field %q", i, got.Pulled, got.Field)
			}
			// Equal bytes are told from different ones for odd bodies too.
			d.Stamp.Token = 2
			if o := write(t, s, put, d); o.Changed {
				t.Errorf("body %d: the same bytes count as a change", i)
			}
		}
	})
}

func TestGetMany(t *testing.T) {
	onBoth(t, func(t *testing.T, addrs []string) {
		cat := shop(t)
		s, reg := open(t, rediscluster.Config{Addrs: addrs}, cat)
		var keys []catalog.Key
		var requests []rediscluster.WriteRequest
		for id := int64(1); id <= 600; id++ { // more than one pipeline's worth
			keys = append(keys, product(id))
			if id%3 != 0 {
				requests = append(requests, rediscluster.WriteRequest{Op: put, Document: doc(id, id, 1, fmt.Sprint("body ", id))})
			}
		}
		for i, r := range s.WriteMany(t.Context(), requests) {
			if r.Err != nil || !r.Outcome.Accepted {
				t.Fatalf("write %d: %+v", i, r)
			}
		}
		keys = append(keys, product(1), catalog.Key{Kind: "unheard-of", ID: 1}, catalog.Key{Kind: "shop", ID: -1})
		for _, from := range []rediscluster.From{rediscluster.FromReplica, rediscluster.FromMaster} {
			for i, r := range s.GetMany(t.Context(), keys, from) {
				k := keys[i]
				if r.Document.Key != k {
					t.Fatalf("answer %d is for %v, want %v", i, r.Document.Key, k)
				}
				switch {
				case k.Kind != "product":
					if r.Err == nil {
						t.Errorf("%v: no error", k)
					}
				case r.Err != nil:
					t.Error(r.Err)
				case k.ID%3 == 0:
					if r.Document.State != catalog.Absent {
						t.Errorf("%v is %v, want absent", k, r.Document.State)
					}
				case string(r.Document.Body) != fmt.Sprint("body ", k.ID):
					t.Errorf("%v has the body %q", k, r.Document.Body)
				}
			}
		}
		if got := s.GetMany(t.Context(), nil, rediscluster.FromMaster); len(got) != 0 {
			t.Errorf("GetMany of nothing: %v", got)
		}
		if n := metric(t, reg, "eshop_redis_calls_total", "op", "get-many"); n != 2 {
			t.Errorf("%v calls counted, want 2", n)
		}
		if n := metric(t, reg, "eshop_redis_writes_total", "op", "put", "outcome", "accepted"); n != float64(len(requests)) {
			t.Errorf("%v writes counted, want %d", n, len(requests))
		}
	})
}

// A value of the replaced system is a plain JSON string.
func TestPlainStrings(t *testing.T) {
	const old = `{"id":7,"name":"old","modifiedTime":"2017-01-02 03:04:05"}`
	at := time.Date(2017, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli()
	onBoth(t, func(t *testing.T, addrs []string) {
		cat := shop(t)
		s, reg := open(t, rediscluster.Config{Addrs: addrs}, cat)
		lay := func(id int64, value string) {
			t.Helper()
			if err := s.Masters().Set(t.Context(), cat.RedisKey(product(id)), value, 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		var keys []catalog.Key
		for id := int64(1); id <= 40; id++ {
			keys = append(keys, product(id))
			if id%2 == 0 {
				lay(id, old)
			} else {
				write(t, s, put, doc(id, id, 1, "new"))
			}
		}
		// The first time after a WRONGTYPE, then in the same round trip.
		for range 2 {
			for i, r := range s.GetMany(t.Context(), keys, rediscluster.FromReplica) {
				want := doc(keys[i].ID, keys[i].ID, 1, "new")
				if keys[i].ID%2 == 0 {
					want = doc(keys[i].ID, at, 0, old)
				}
				if diff := cmp.Diff(rediscluster.Result{Document: want}, r); diff != "" {
					t.Fatalf("key %v (-want +got):\n%s", keys[i], diff)
				}
			}
		}
		// Any write replaces it, and it counts as live before.
		want := rediscluster.Outcome{Accepted: true, Stored: stamp(0, 3, 1), Previous: live, Changed: true}
		if diff := cmp.Diff(want, write(t, s, put, doc(2, 3, 1, "new"))); diff != "" {
			t.Errorf("a put over a string (-want +got):\n%s", diff)
		}
		want.Changed, want.Stored = false, stamp(0, at, 1)
		if diff := cmp.Diff(want, write(t, s, put, doc(4, at, 1, old))); diff != "" {
			t.Errorf("a put of the same bytes over a string (-want +got):\n%s", diff)
		}
		// A tombstone takes the version out of it, or readers that saw the string
		// would hold the tombstone for older.
		want.Changed = true
		d := doc(6, 0, 1, "")
		d.Field = ""
		if diff := cmp.Diff(want, write(t, s, tomb, d)); diff != "" {
			t.Errorf("a tombstone over a string (-want +got):\n%s", diff)
		}
		if got := get(t, s, product(6), rediscluster.FromMaster); got.State != grave || got.Field != "modifiedTime" {
			t.Errorf("after it: %+v", got)
		}
		// What is no document counts as absent and is replaced.
		lay(101, "not JSON")
		ctx := t.Context()
		s.Masters().RPush(ctx, cat.RedisKey(product(102)), "a", "list")
		s.Masters().HSet(ctx, cat.RedisKey(product(103)), "other", "hash", "e", "0", "v", "01", "t", "3", "s", "live")
		s.Masters().HSet(ctx, cat.RedisKey(product(104)), "b", "x", "e", "0", "v", "9223372036854775808", "t", "3", "s", "live")
		s.Masters().HSet(ctx, cat.RedisKey(product(105)), "b", "x", "e", "0", "v", "1", "t", "3", "s", "undead")
		for id := int64(101); id <= 105; id++ {
			if got := get(t, s, product(id), rediscluster.FromMaster); got.State != catalog.Absent {
				t.Errorf("product %d is %v, want absent", id, got.State)
			}
			if o := write(t, s, put, doc(id, 1, 1, "new")); !o.Accepted {
				t.Errorf("product %d cannot be replaced: %+v", id, o)
			}
			if n := s.Masters().HLen(ctx, cat.RedisKey(product(id))).Val(); n != 7 {
				t.Errorf("product %d has %d fields afterwards, want 7", id, n)
			}
		}
		if n := metric(t, reg, "eshop_redis_foreign_values_total"); n != 5 {
			t.Errorf("%v foreign values counted, want 5", n)
		}
	})
}

func TestTTL(t *testing.T) {
	onBoth(t, func(t *testing.T, addrs []string) {
		cat := shop(t)
		s, _ := open(t, rediscluster.Config{Addrs: addrs, TTL: 1000 * time.Second, TTLJitter: 0.2}, cat)
		ttl := func(id int64) time.Duration {
			return s.Masters().PTTL(t.Context(), cat.RedisKey(product(id))).Val()
		}
		distinct := map[time.Duration]bool{}
		for id := int64(1); id <= 20; id++ {
			op := put
			if id%2 == 0 {
				op = tomb
			}
			write(t, s, op, doc(id, 1, 1, "x"))
			d := ttl(id)
			distinct[d.Truncate(time.Second)] = true
			if d < 795*time.Second || d > 1200*time.Second {
				t.Errorf("%v %d lives %v, want 1000 s ± 20 %%", op, id, d)
			}
		}
		if len(distinct) < 10 {
			t.Errorf("only %d different lives of 20: no jitter", len(distinct))
		}
		// A refused write does not prolong a life, an accepted one does.
		s.Masters().PExpire(t.Context(), cat.RedisKey(product(1)), 50*time.Second)
		write(t, s, put, doc(1, 0, 9, "x"))
		if d := ttl(1); d > 50*time.Second {
			t.Errorf("a refused write set the life to %v", d)
		}
		write(t, s, put, doc(1, 1, 2, "x"))
		if d := ttl(1); d < 795*time.Second {
			t.Errorf("an accepted write left the life at %v", d)
		}
	})
}

// A server that forgot the script (restart, failover, SCRIPT FLUSH) gets it anew.
func TestScriptFallback(t *testing.T) {
	onBoth(t, func(t *testing.T, addrs []string) {
		s, _ := open(t, rediscluster.Config{Addrs: addrs}, shop(t))
		// A text of its own, which no server knows yet.
		s.SetScript(rediscluster.Script() + "\n-- " + t.Name() + time.Now().String())
		var requests []rediscluster.WriteRequest
		for id := int64(1); id <= 50; id++ {
			requests = append(requests, rediscluster.WriteRequest{Op: put, Document: doc(id, 1, 1, "x")})
		}
		for round := range 2 {
			for i, r := range s.WriteMany(t.Context(), requests) {
				if r.Err != nil || r.Outcome.Accepted != (round == 0) {
					t.Fatalf("round %d, write %d: %+v", round, i, r)
				}
			}
		}
	})
}

func TestWriteRefusesNonsense(t *testing.T) {
	s, _ := open(t, rediscluster.Config{Addrs: []string{"127.0.0.1:1"}}, shop(t))
	bad := doc(1, 1, 1, "x")
	bad.Stamp.Token = -1
	for name, r := range map[string]rediscluster.WriteRequest{
		"unknown kind":   {Op: put, Document: catalog.Document{Key: catalog.Key{Kind: "x", ID: 1}, Body: []byte("x")}},
		"no id":          {Op: put, Document: doc(0, 1, 1, "x")},
		"negative stamp": {Op: put, Document: bad},
		"no body":        {Op: put, Document: doc(1, 1, 1, "")},
		"unknown op":     {Op: 9, Document: doc(1, 1, 1, "x")},
	} {
		if _, err := s.Write(t.Context(), r.Op, r.Document); err == nil || strings.Contains(err.Error(), "connect") {
			t.Errorf("%s: got %v, want an error before any I/O", name, err)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	_, err := rediscluster.New(rediscluster.Config{Addrs: []string{"nowhere"}, TTL: time.Millisecond, TTLJitter: 2}, catalog.Default(), rediscluster.Deps{})
	for _, want := range []string{`"nowhere" is not host:port`, "TTL 1ms", "jitter 2"} { // PITFALL 22: a short TTL is an error
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := rediscluster.New(rediscluster.Config{}, nil, rediscluster.Deps{}); err == nil {
		t.Error("no addresses and no error")
	}
}

// Nobody there: an error within the caller's deadline, and no panic.
func TestNobodyThere(t *testing.T) {
	s, reg := open(t, rediscluster.Config{Addrs: []string{"127.0.0.1:1"}}, shop(t))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := s.Get(ctx, product(1), rediscluster.FromReplica); err == nil || !strings.Contains(err.Error(), "read product/1 from redis") {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.Write(ctx, put, doc(1, 1, 1, "x")); err == nil {
		t.Error("Write: no error")
	}
	if err := s.Ping(ctx); err == nil {
		t.Error("Ping: no error")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v with a deadline of 200 ms", took)
	}
	if n := metric(t, reg, "eshop_redis_errors_total"); n != 2 {
		t.Errorf("%v errors counted, want 2", n)
	}
	cancel()
	if _, err := s.Get(ctx, product(1), rediscluster.FromMaster); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get after the end of its context: %v", err)
	}
}
