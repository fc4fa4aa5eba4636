package systemd_test

import (
	"strings"
	"testing"
	"time"

	"eshop/pkg/systemd"
)

func TestServiceText(t *testing.T) {
	unit := systemd.Service{Role: "cache", Binary: "/opt/eshop", Files: 65536, Stop: 36500 * time.Millisecond,
		Memory:  systemd.Memory{Kept: 128 << 20, Clients: 1024, PerClient: 64 << 10, Rest: 192<<20 - 1},
		Secrets: []systemd.Secret{{ID: "cluster-token", File: "/etc/eshop/cluster-token", Variable: "ESHOP_CLUSTER_TOKEN_FILE", Needed: true}, {ID: "kafka-password", File: "/etc/eshop/kafka-password", Variable: "ESHOP_KAFKA_PASSWORD_FILE"}}}
	text, err := unit.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ExecStart=/opt/eshop cache", "TimeoutStopSec=37", "LimitNOFILE=65536",
		"Environment=GOMEMLIMIT=512MiB", "MemoryMax=640M", // 2×128 + 64 + 192, and a quarter above
		"LoadCredential=cluster-token:/etc/eshop/cluster-token", "Environment=ESHOP_CLUSTER_TOKEN_FILE=%d/cluster-token",
		"#LoadCredential=kafka-password:/etc/eshop/kafka-password", "After=network-online.target nss-lookup.target"} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("lacks the line %q:\n%s", line, text)
		}
	}
	unit.Sockets = true
	if text, err = unit.Text(); err != nil || strings.Count(text, "eshop-gateway-public.socket eshop-gateway-peer.socket\n") != 2 {
		t.Errorf("%v; it neither wants nor waits for its sockets:\n%s", err, text)
	}
}

func TestSocketText(t *testing.T) {
	for _, c := range []struct{ addr, want string }{
		{":80", "ListenStream=80\n"}, {"0.0.0.0:8080", "ListenStream=0.0.0.0:8080\n"}, {"[::1]:8080", "ListenStream=[::1]:8080\n"},
		{"127.0.0.1:0", "port from 1 to 65535"}, {"localhost:80", "IP address"}, {"8080", "host:port"}, {"[fe80::1%eth0]:80", "IP address"},
	} {
		text, err := systemd.Socket(systemd.Peer, c.addr)
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, c.want) || err == nil && !strings.Contains(text, "FileDescriptorName=peer\nService=eshop-gateway.service\n") {
			t.Errorf("%s: lacks %q:\n%s", c.addr, c.want, text)
		}
	}
}

func TestCheckPath(t *testing.T) {
	for path, good := range map[string]bool{"/usr/local/bin/eshop": true, "/opt/eshop-1.2_3/eshop": true, "eshop": false, "": false,
		"/opt/my shop": false, "/opt/%n": false, "/opt/$HOME": false, "/opt/a\nExecStop=b": false, `/opt/"a"`: false, "/opt/ä": false} {
		if err := systemd.CheckPath(path); (err == nil) != good {
			t.Errorf("%q: %v", path, err)
		}
	}
}
