package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"eshop/pkg/lab/internal/server"
	"eshop/pkg/lab/internal/wire"
)

// SecureZooKeeper is one ZooKeeper server that speaks TLS only.
type SecureZooKeeper struct{ Addr string }

// ZooKeeperSecure starts a server for this test alone.
func ZooKeeperSecure(tb testing.TB, ca *Authority) *SecureZooKeeper {
	tb.Helper()
	require(tb, wire.ZooKeeper)
	port, addr := takePort(tb, 0)
	dir := tb.TempDir()
	file := settingsFile(tb, dir, "zoo.cfg",
		"tickTime=500", "dataDir="+dir, "secureClientPortAddress=127.0.0.1", fmt.Sprintf("secureClientPort=%d", port),
		"serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
		"ssl.keyStore.location="+ca.BothFile, "ssl.keyStore.type=PEM", "ssl.trustStore.location="+ca.CAFile, "ssl.trustStore.type=PEM",
		"ssl.clientAuth=none", "admin.enableServer=false", "minSessionTimeout=1000", "maxSessionTimeout=60000", "maxClientCnxns=0",
	)
	Start(tb, Command{Path: "java", Dir: dir, Args: server.ZooKeeperAlone(file)})
	answersTLS(tb, addr, ca)
	return &SecureZooKeeper{Addr: addr}
}

func dialTLS(ctx context.Context, addr string, conf *tls.Config) (net.Conn, error) {
	return (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", addr)
}

// Dialer connects a client library to the server.
func (z *SecureZooKeeper) Dialer(tb testing.TB, ca *Authority) func(network, addr string, timeout time.Duration) (net.Conn, error) {
	tb.Helper()
	conf := ca.Client(tb)
	return func(_, addr string, timeout time.Duration) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		return dialTLS(ctx, addr, conf)
	}
}
