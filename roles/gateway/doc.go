// Package gateway is the public role: it serves product pages from its heap and
// keeps them fresh.
//
// # Endpoints
//
// Public listener (fasthttp), for each page type of the catalogue:
//
//	GET, HEAD /product?productId=P[&shopId=S]   HTML, or JSON by Accept
//	GET, HEAD /product/P[?shopId=S]             the same
//	GET, HEAD /product/P.json[?shopId=S]        the merged JSON
//
//	200  the page; without its shop part when there is no such shop
//	304  If-None-Match has the entity tag (strong, one for each encoding)
//	400  an id that is none, or is named twice
//	404  no such product, no such page
//	405  another method
//	503  no copy anywhere and the origin fails; Retry-After says when to ask again
//
// Pages carry "Cache-Control: public, no-cache": browsers and proxies may keep
// them and ask before each use, so nobody sees a price that has changed. Pages
// that are partial or could not be checked on a miss are no-store. Cache-Status
// is RFC 9211 and tells which level answered (status.go).
//
// Peer listener, for other gateways only, with the cluster token: the same
// paths; the answer carries Eshop-Stamps, the stamp of each document the page
// was built from. It never forwards (invariant 10). GET /-/ping is the probe.
//
// # A request
//
// One lookup in the page cache (http.go). A miss goes to the owner of the root
// document by the ring, one hop (forward.go), or is loaded here: documents from
// L1, then Redis, then the cache role, each held against the floor (fetch.go);
// one load for each page at a time (load.go). A page holds pointers to the flags
// of its documents (entry.go): a change stores into one flag, and every page
// built from that document is invalid.
//
// # Messages
//
// Reads cache-invalidate, every partition, with its own offsets (invalidate.go).
// Sends none.
//
// # When a dependency is down
//
//	Kafka      pages as before; after --gateway.max-staleness each copy is checked against Redis
//	           before use, rate-limited; what cannot be checked is served and marked stale
//	ZooKeeper  pages as before; the last known members stay; dead ones are ejected by the first
//	           request they do not answer and probed until they are back
//	Redis      L1 as before; misses go to the cache role
//	cache role pages from L1 and Redis; what neither has is 503, or stale from L1 within the hard TTL
//	origin     the same
//	a peer     its pages are loaded here
//
// # Metrics
//
// eshop_gateway_requests_total{layer,code}, eshop_gateway_request_seconds,
// eshop_l1_bytes, eshop_l1_entries, eshop_l1_evictions_total{reason},
// eshop_redis_repairs_total and the others of metrics.go; the bus adds
// eshop_invalidation_lag_seconds and the age of its watermark.
//
// # Files
//
//	config.go    Config, Limits, Deps          http.go      the public listener, hits
//	gateway.go   New, Listen, Run              respond.go   headers and bodies of answers
//	ready.go     what readiness waits for      query.go     request targets and page keys
//	entry.go     documents and their flags     negotiate.go Accept, Accept-Encoding, If-None-Match
//	page.go      rendered pages, freshness     status.go    Cache-Status
//	l1.go        the three LRUs                forward.go   the hop to the owner
//	fetch.go     documents, the floor          peer.go      the listener for it
//	load.go      one load for each page        template.go  views, reload on change
//	refresh.go   bounded background work       render.go    what a template sees
//	invalidate.go the bus, revalidation limit  explain.go   the admin API's part
//	metrics.go   levels, counters, gauges      addresses.go the listeners, for the start's report
//	check.go     templates, before a start
package gateway
