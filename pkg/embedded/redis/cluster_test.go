package redis_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"eshop/pkg/embedded/redis"
)

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
