package roles

import (
	"strings"

	"eshop/pkg/admission"
	"eshop/pkg/config"
	"eshop/roles/gateway"
)

// gatewayLimits bound what clients can take of a gateway.
type gatewayLimits struct {
	connections, connectionsPerAddress, waiting int
	batchIDs                                    int
	batchBytes                                  int64
	unknownRate                                 float64
	unknownBurst                                int
	trustedProxies                              []string
	clientHeader                                string
}

func (l *gatewayLimits) define(set *config.Set) {
	l.defineConnections(set)
	set.Whole(&l.connectionsPerAddress, "gateway.connections-per-address", 8192, 1, 1_000_000, "most of them from one client address; does not bind this machine and trusted proxies")
	set.Whole(&l.waiting, "gateway.waiting", 16384, 1, 1_000_000, "most requests at a time that wait for a page that is not in memory; others get 503")
	set.Whole(&l.batchIDs, "gateway.batch-ids", 100, 1, 500, "most products that one request of the JSON API may name")
	set.Bytes(&l.batchBytes, "gateway.batch-bytes", 8<<20, 64<<10, "most of its answer; what does not fit is to be asked for again")
	set.Number(&l.unknownRate, "gateway.unknown-rate", 20, 0.1, "ids a second that do not exist and that one client address may ask for; above it, 429 for what neither memory nor Redis has")
	set.Whole(&l.unknownBurst, "gateway.unknown-burst", 600, 1, 1_000_000, "how many of these it may save up")
	set.Words(&l.trustedProxies, "gateway.trusted-proxies", "network,...", "load balancers whose word about the client's address is taken, such as 10.0.0.0/8; without them nobody's")
	set.Choice(&l.clientHeader, "gateway.client-header", "x-forwarded-for", []string{"x-forwarded-for", "forwarded"}, "header in which they give it")
}

func (l *gatewayLimits) defineConnections(set *config.Set) {
	set.Whole(&l.connections, "gateway.connections", 65536, 16, 1_000_000, "most public connections at a time; an open one takes up to 37 KiB, with TLS 64 KiB")
}

func (l *gatewayLimits) config(problems *config.Problems) gateway.Limits {
	if _, err := admission.NewProxies(l.trustedProxies); err != nil {
		problems.Add("gateway.trusted-proxies", strings.Join(l.trustedProxies, ","), err.Error())
	}
	return gateway.Limits{Connections: l.connections, ConnectionsPerAddress: l.connectionsPerAddress, Waiting: l.waiting,
		BatchIDs: l.batchIDs, BatchBytes: int(l.batchBytes),
		UnknownRate: l.unknownRate, UnknownBurst: l.unknownBurst, TrustedProxies: l.trustedProxies, ClientHeader: l.clientHeader}
}
