package redis

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/alicebob/miniredis/v2/server"
)

// node is the one node of the cluster. Its id is new at each start, so that
// clients see a restart as a change of topology.
type node struct {
	id, shard, host string
	port            int
}

func newNode(addr string) (node, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return node{}, err
	}
	n := node{host: host}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		n.host = "127.0.0.1"
	}
	if n.port, err = strconv.Atoi(port); err != nil {
		return node{}, err
	}
	var b [40]byte
	_, _ = rand.Read(b[:]) // never fails
	n.id, n.shard = hex.EncodeToString(b[:20]), hex.EncodeToString(b[20:])
	return n, nil
}

// cluster answers CLUSTER for a cluster of this one node with all slots.
func (g *guard) cluster(c *server.Peer, args []string) {
	if len(args) == 0 {
		c.WriteError("ERR wrong number of arguments for 'cluster' command")
		return
	}
	sub, args := strings.ToUpper(args[0]), args[1:]
	want := map[string]int{"KEYSLOT": 1, "COUNTKEYSINSLOT": 1, "GETKEYSINSLOT": 2, "REPLICAS": 1, "SLAVES": 1, "COUNT-FAILURE-REPORTS": 1}[sub]
	if len(args) != want {
		c.WriteError("ERR wrong number of arguments for 'cluster|" + strings.ToLower(sub) + "' command")
		return
	}
	switch sub {
	case "SLOTS":
		c.Block(g.self.slots)
	case "SHARDS":
		c.Block(g.self.shards)
	case "NODES":
		c.WriteBulk(g.self.line() + "\n")
	case "INFO":
		c.WriteBulk(clusterInfo)
	case "MYID":
		c.WriteBulk(g.self.id)
	case "MYSHARDID":
		c.WriteBulk(g.self.shard)
	case "KEYSLOT":
		c.WriteInt(slotOf(args[0]))
	case "COUNT-FAILURE-REPORTS":
		c.WriteInt(0)
	case "REPLICAS", "SLAVES", "LINKS":
		c.WriteLen(0)
	case "COUNTKEYSINSLOT", "GETKEYSINSLOT":
		slot, err := strconv.Atoi(args[0])
		if err != nil || slot < 0 || slot >= slots {
			c.WriteError("ERR Invalid or out of range slot")
			return
		}
		var found []string
		for _, k := range g.usage.all() {
			if slotOf(k) == slot {
				found = append(found, k)
			}
		}
		if sub == "COUNTKEYSINSLOT" {
			c.WriteInt(len(found))
			return
		}
		limit, err := strconv.Atoi(args[1])
		if err != nil || limit < 0 {
			c.WriteError("ERR Invalid number of keys")
			return
		}
		c.WriteStrings(found[:min(limit, len(found))])
	default:
		c.WriteError("ERR CLUSTER " + sub + " is not possible on the embedded server: it is one node with all slots")
	}
}

func (n node) slots(w *server.Writer) {
	w.WriteLen(1)
	w.WriteLen(3)
	w.WriteInt(0)
	w.WriteInt(slots - 1)
	w.WriteLen(3)
	w.WriteBulk(n.host)
	w.WriteInt(n.port)
	w.WriteBulk(n.id)
}

func (n node) shards(w *server.Writer) {
	w.WriteLen(1)
	w.WriteMapLen(2)
	w.WriteBulk("slots")
	w.WriteLen(2)
	w.WriteInt(0)
	w.WriteInt(slots - 1)
	w.WriteBulk("nodes")
	w.WriteLen(1)
	w.WriteMapLen(7)
	w.WriteBulk("id")
	w.WriteBulk(n.id)
	w.WriteBulk("port")
	w.WriteInt(n.port)
	w.WriteBulk("ip")
	w.WriteBulk(n.host)
	w.WriteBulk("endpoint")
	w.WriteBulk(n.host)
	w.WriteBulk("role")
	w.WriteBulk("master")
	w.WriteBulk("replication-offset")
	w.WriteInt(0)
	w.WriteBulk("health")
	w.WriteBulk("online")
}

// line is the node's line of CLUSTER NODES. The bus port is the usual one;
// nothing listens on it.
func (n node) line() string {
	return fmt.Sprintf("%s %s:%d@%d myself,master - 0 0 1 connected 0-%d", n.id, n.host, n.port, n.port+10000, slots-1)
}

const clusterInfo = "cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n" +
	"cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:1\r\ncluster_size:1\r\n" +
	"cluster_current_epoch:1\r\ncluster_my_epoch:1\r\ncluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n"

// info answers INFO [section …] with what clients and operators look for.
func (g *guard) info(c *server.Peer, wanted []string) {
	keys, bytes := g.usage.size()
	g.mu.Lock()
	clients := len(g.sessions)
	g.mu.Unlock()
	sections := []struct{ name, text string }{
		{"Server", fmt.Sprintf("redis_version:7.0.0\r\nredis_mode:cluster\r\nserver_name:eshop-embedded\r\nrun_id:%s\r\ntcp_port:%d\r\n", g.self.id, g.self.port)},
		{"Clients", fmt.Sprintf("connected_clients:%d\r\nmaxclients:%d\r\n", clients, g.cfg.MaxClients)},
		{"Memory", fmt.Sprintf("used_memory:%d\r\nmaxmemory:%d\r\nmaxmemory_policy:allkeys-lru\r\n", bytes, g.cfg.MaxBytes)},
		{"Stats", fmt.Sprintf("total_connections_received:%d\r\ntotal_commands_processed:%d\r\nevicted_keys:%d\r\n", g.srv.TotalConnections(), g.srv.TotalCommands(), g.evicted.Load())},
		{"Replication", "role:master\r\nconnected_slaves:0\r\nmaster_repl_offset:0\r\n"},
		{"Cluster", "cluster_enabled:1\r\n"},
		{"Keyspace", keyspace(keys)},
	}
	var out strings.Builder
	for _, s := range sections {
		if !asked(wanted, s.name) {
			continue
		}
		if out.Len() > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString("# " + s.name + "\r\n" + s.text)
	}
	c.WriteBulk(out.String())
}

func keyspace(keys int) string {
	if keys == 0 {
		return ""
	}
	return fmt.Sprintf("db0:keys=%d\r\n", keys)
}

func asked(wanted []string, name string) bool {
	for _, w := range wanted {
		switch strings.ToLower(w) {
		case strings.ToLower(name), "all", "everything", "default":
			return true
		}
	}
	return len(wanted) == 0
}
