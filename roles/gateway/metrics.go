package gateway

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/docapi"
	"eshop/pkg/invalidation"
	"eshop/pkg/lru"
)

// layer says which level answered, from the nearest to the farthest.
type layer uint8

const (
	layerL1     layer = iota // this gateway's heap
	layerPeer                // the owner gateway
	layerRedis               // Redis Cluster
	layerCache               // the cache role's heap
	layerOrigin              // the shop's own services
	layerNone                // nobody: an error, or a bad request
	layers
)

// String is the label of the metric.
func (l layer) String() string {
	switch l {
	case layerL1:
		return "l1"
	case layerPeer:
		return "peer"
	case layerRedis:
		return "redis"
	case layerCache:
		return "cache"
	case layerOrigin:
		return "origin"
	}
	return "none"
}

// cacheLayer translates what the cache role says of its answer.
func cacheLayer(l docapi.Layer) layer {
	switch l {
	case docapi.LayerRedis:
		return layerRedis
	case docapi.LayerOrigin:
		return layerOrigin
	}
	return layerCache
}

type metrics struct {
	requests                                          *requests
	staleServed, partialServed, coalesced, overloaded prometheus.Counter
	invalidated, redisErrors                          prometheus.Counter
	refreshed, refreshFailed, refreshDropped          prometheus.Counter
	revalidations, revalidationsSkipped               prometheus.Counter
	forwarded, forwardFailed, forwardBelowFloor       prometheus.Counter
	templateLoads, templateErrors                     prometheus.Counter
	hotLoads, hotLoadsFailed, hotDropped              prometheus.Counter
	handshakesFailed, peerHandshakesFailed            prometheus.Counter

	repairs *invalidation.Repairs
}

func newMetrics(r *Role, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{}
	var all []prometheus.Collector
	m.requests = newRequests()
	all = append(all, m.requests)
	for _, c := range []struct {
		to         *prometheus.Counter
		name, help string
	}{
		{&m.staleServed, "gateway_stale_served_total", "Pages served, marked, although they could not be checked or replaced."},
		{&m.partialServed, "gateway_partial_served_total", "Pages served without a related document that could not be loaded."},
		{&m.coalesced, "gateway_coalesced_total", "Requests that shared another one's load."},
		{&m.overloaded, "gateway_overloaded_total", "Requests refused because too many were waiting."},
		{&m.invalidated, "gateway_invalidated_total", "Copies in L1 that a change made unusable."},
		{&m.redisErrors, "gateway_redis_errors_total", "Reads of Redis that failed and went to the cache role."},
		{&m.refreshed, "gateway_refreshes_total", "Background refreshes that succeeded."},
		{&m.refreshFailed, "gateway_refresh_failures_total", "Background refreshes that failed."},
		{&m.refreshDropped, "gateway_refreshes_dropped_total", "Background refreshes dropped because the queue was full."},
		{&m.revalidations, "gateway_revalidations_total", "Pages checked against Redis before use because the bus could not vouch for them."},
		{&m.revalidationsSkipped, "gateway_revalidations_skipped_total", "Such checks left out by the rate limit or a pause after a failure; the page was marked."},
		{&m.forwarded, "gateway_forwarded_total", "Requests sent to the owner gateway."},
		{&m.forwardFailed, "gateway_forward_failures_total", "Owners that did not answer; the page was loaded here."},
		{&m.forwardBelowFloor, "gateway_forward_below_floor_total", "Owners' answers refused because they were older than a change known here."},
		{&m.templateLoads, "gateway_template_loads_total", "Templates loaded, at the start and after changes."},
		{&m.templateErrors, "gateway_template_errors_total", "Changed templates that were refused; the one before stays in use."},
		{&m.hotLoads, "gateway_hot_loads_total", "Hot products loaded, when they became hot and when they changed."},
		{&m.hotLoadsFailed, "gateway_hot_load_failures_total", "Such loads that failed; they are tried again while the product is hot."},
		{&m.hotDropped, "gateway_hot_dropped_total", "Pages dropped because their product cooled and another gateway owns it."},
		{&m.handshakesFailed, "gateway_tls_handshakes_failed_total", "Connections of clients on which TLS did not come about."},
		{&m.peerHandshakesFailed, "gateway_peer_tls_handshakes_failed_total", "Connections to the peer listener on which TLS did not come about, for want of an accepted certificate mostly."},
	} {
		*c.to = prometheus.NewCounter(prometheus.CounterOpts{Name: "eshop_" + c.name, Help: c.help})
		all = append(all, *c.to)
	}
	m.repairs = invalidation.NewRepairs(r.log)
	all = append(all, m.repairs.Collector())
	all = append(all, r.l1.collectors()...)
	all = append(all, r.hot.collectors()...)
	all = append(all, r.warm.collectors()...)
	all = append(all, r.degraded.collectors()...)
	all = append(all, r.access.books.collectors()...)
	all = append(all, r.overload.collectors()...)
	all = append(all,
		gauge("gateway_waiting_requests", "Requests that wait for a load.", func() float64 { return float64(r.loads.Waiting() + r.forwards.Waiting()) }),
		gauge("gateway_peer_requests", "Requests under way to other gateways.", func() float64 { return float64(r.hosts.calls()) }),
		gauge("gateway_refresh_queue", "Background refreshes that wait.", func() float64 { return float64(len(r.refresh.queue)) }),
		gauge("gateway_bus_behind", "1 while the invalidation bus does not vouch for copies.", func() float64 {
			if r.trust().Behind(time.Now().UnixNano()) {
				return 1
			}
			return 0
		}))
	if reg == nil {
		return m, nil
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the gateway: %w", err)
		}
	}
	return m, nil
}

func gauge(name, help string, fn func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eshop_" + name, Help: help}, fn)
}

// collectors of the heap tier.
func (c *l1) collectors() []prometheus.Collector {
	return append(lru.Collectors(c.pages, c.docs, c.absents),
		gauge("l1_flags", "Documents whose changes concern an entry of the heap tier.", func() float64 { return float64(c.index.size()) }))
}
