package zookeeper

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// counts are exact totals since the start.
type counts struct {
	received, sent                atomic.Int64
	expired, slow                 atomic.Int64
	refusedConns, refusedSessions atomic.Int64
}

// Stats is a reading of the server's fill and counters.
type Stats struct {
	Connections, Sessions, Nodes, Watches int
	Bytes                                 int64 // charged against MaxBytes
	Zxid                                  int64 // of the last transaction

	Received, Sent  int64 // requests and answers since the start
	Expired         int64 // sessions ended by silence or ExpireSession
	SlowConnections int64 // connections ended because they did not read their watch events
	RefusedConns    int64 // connections over MaxConnections
	RefusedSessions int64 // sessions over MaxSessions
}

// Stats reads the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		Connections: len(s.conns), Sessions: len(s.sessions), Nodes: len(s.tree.nodes), Bytes: s.tree.bytes, Zxid: s.zxid,
		Received: s.counts.received.Load(), Sent: s.counts.sent.Load(), Expired: s.counts.expired.Load(), SlowConnections: s.counts.slow.Load(),
		RefusedConns: s.counts.refusedConns.Load(), RefusedSessions: s.counts.refusedSessions.Load(),
	}
	for _, mine := range s.watches.of {
		st.Watches += len(mine)
	}
	return st
}

// command answers a four-letter word; false: it is none, so the four bytes are the length of a connect request.
func (s *Server) command(word string) (string, bool) {
	switch word {
	case "ruok":
		return "imok", true
	case "isro":
		return "rw", true
	case "srvr", "stat":
		return s.describe(word == "stat"), true
	case "mntr":
		st := s.Stats()
		return fmt.Sprintf("zk_version\t%s\nzk_server_state\tstandalone\nzk_num_alive_connections\t%d\nzk_znode_count\t%d\nzk_watch_count\t%d\nzk_global_sessions\t%d\nzk_approximate_data_size\t%d\nzk_packets_received\t%d\nzk_packets_sent\t%d\n",
			version, st.Connections, st.Nodes, st.Watches, st.Sessions, st.Bytes, st.Received, st.Sent), true
	}
	return "", false
}

// version is shaped so that programs that parse the real server's answer find what they look for: the release whose protocol is spoken, and a date
// in the older of the two forms, the only one the Go library reads.
const version = "3.8.0-eshop, built on 02/25/2022 08:49 UTC"

func (s *Server) describe(clients bool) string {
	st := s.Stats()
	var b strings.Builder
	fmt.Fprintf(&b, "Zookeeper version: %s\n", version)
	if clients {
		b.WriteString("Clients:\n")
		s.mu.Lock()
		for c := range s.conns {
			fmt.Fprintf(&b, " /%s\n", c.net.RemoteAddr())
		}
		s.mu.Unlock()
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "Latency min/avg/max: 0/0.0/0\nReceived: %d\nSent: %d\nConnections: %d\nOutstanding: 0\nZxid: 0x%x\nMode: standalone\nNode count: %d\n",
		st.Received, st.Sent, st.Connections, st.Zxid, st.Nodes)
	return b.String()
}
