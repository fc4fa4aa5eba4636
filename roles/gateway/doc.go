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
// and, whatever the page types are, for programs:
//
//	GET, HEAD /api/v1/products?ids=P,…[&shopId=S]  several products, as JSON
//	GET, HEAD /api/v1/openapi.json                 what describes all of these
//
//	200  the page; without its shop part when there is no such shop
//	304  If-None-Match has the entity tag (strong, one for each encoding)
//	400  an id that is none, or is named twice
//	404  no such product, no such page
//	405  another method
//	408  no whole request within the time for it; 413, 431: too long
//	429  this address has asked for too many ids that do not exist (unknown.go)
//	503  no copy anywhere and the origin fails, or too much is asked for at once
//	     (overload.go); Retry-After, with 429 too, says when to ask again
//
// Pages carry "Cache-Control: public, no-cache": browsers and proxies may keep
// them and ask before each use, so nobody sees a price that has changed. Pages
// that are partial or could not be checked on a miss are no-store. Cache-Status
// is RFC 9211 and tells which level answered (status.go).
//
// # Request ids and traces
//
// What is more than a hit has an id (identity.go): that of its X-Request-Id, if it is
// made of at most 128 letters, digits and the characters of "-_.:/+=@", else a new
// one. It stands in the answer's X-Request-Id, in the body of an error, in each line
// of the log, and goes with the hop to the owner and to the cache role.
//
// With Config.Trace a request whose traceparent says sampled is traced, a hit too,
// and of those that L1 cannot answer and that have no traceparent the configured
// share (package tracing). The spans of one page at a gateway that does not own it:
//
//	GET /product                   the request, here
//	  ask the owner's memory       the hop for what the owner has at hand
//	  ask the owner                the hop that waits, if it has nothing
//	    GET /product               the same request at the owner
//	      load page                the load, which others may wait for too (eshop.shared)
//	        redis get-many
//	        GET /v1/doc            the cache role goes on below it
//
// A load belongs to the request that began it. A message of the bus that carries a
// trace gets a span, "apply invalidation". A hit of the fast path looks at its
// traceparent if there are traces at all, and at nothing if there are none.
//
// With Config.TLS it speaks TLS: the fast path is the same (package fastpath), the
// handshake has the time of a request, and a renewed certificate is shown from the
// next handshake on (package certificate). Config.Cluster does so for the peer
// listener and for all connections to other roles, at both ends with certificates.
//
// Peer listener, for other gateways only, with the cluster token or a certificate:
// the same paths; the answer carries Eshop-Stamps, the stamp of each document the page
// was built from. It never forwards (invariant 10). A request with "Cache-Control:
// only-if-cached" is answered at once, 504 if L1 has nothing to show; many of
// them share a connection (pipe.go). GET /-/ping is the probe.
//
// # A request
//
// One lookup in the page cache: by the fast path, which answers simple requests
// before the server sees them (hit.go), or by the handler (http.go). A miss goes to the owner of the root
// document by the ring, one hop (forward.go), unless the product is hot, or is
// loaded here: documents from L1, then Redis, then the cache role, each held
// against the floor (fetch.go); one load for each page at a time (load.go). A
// page holds pointers to the flags of its documents (entry.go): a change stores
// into one flag, and every page built from that document is invalid.
//
// # Where a hit's time goes
//
// A page of 10 KiB to 64 keep-alive connections on loopback, profiled by perf: three
// quarters are the kernel's, nearly all of it in the one writev (copying the page,
// TCP, waking the client); a read takes a tenth. Of the rest a third is the
// runtime's scheduler and poller, a quarter is answerHit: clock, target, lookup,
// judgement, Cache-Status, counters. The other half is looking through the
// head, and what the process does beside: counting, auditing, the bus. A hit makes two
// system calls, takes no lock and allocates nothing.
//
// # Hot products
//
// Of what hotcount lists, or somebody has pinned, every gateway has a copy of its
// own, made before the first request and made anew at once when a document of it
// changes, by a queue for that alone (hotkeep.go). Such a copy is a page in L1 like
// any other: the floor, the flags and the bounds hold for it. When the product
// cools, the gateways that do not own it drop their copies.
//
// # Degrade switches
//
// An operator's switches (pkg/degrade) hold for a kind, until they end. With
// stale-only a page that shows the kind is served as L1 has it, here or at its
// owner: marked stale when it is past its soft TTL, could not be checked or is
// older than a change, never when a document of it was deleted. The kind is read
// neither from Redis nor from the cache role, so what no memory has is 503, or a
// part missing from a page that is partial. With no-origin gateways do as ever,
// and the cache role has less to offer. Either way each answer says so:
//
//	eshop; hit; ttl=-4; detail="stale; degraded=stale-only; v=…; age=…; owner=gw-1"
//
// What a hit pays for it is one load of a word that changes with the switches
// (degraded.go).
//
// # Overload
//
// A hit meets none of this. What L1 cannot answer is bounded in number
// (Limits.Waiting) and, while the heap nears GOMEMLIMIT, refused. Redis and the
// cache role, with the origin behind it, have a gate each (package admission): so
// many calls at once, so many that wait, first come first served in calm, the
// newest first once the queue has stood for a while; who could not be served in
// time is told at once. A peer has so many connections, above which a page is
// loaded here. Whoever is refused gets the older page that L1 may have, marked,
// else 503 or 429 with a jittered Retry-After, no-store, a body of one line, and
// in Cache-Status the reason:
//
//	eshop; fwd=uri-miss; detail="refused: cache role pressed; owner=gw-1"
//
//	waiting               as many requests wait as may, in all or for this page
//	memory                the heap nears GOMEMLIMIT
//	unknown               429: the address has spent its rate for unknown ids
//	redis                 Redis failed to tell whether such an address asks for one more
//	redis …, cache role … full, late or pressed: see package admission
//
// An id that does not exist costs an entry among the negative ones, which evict
// no others, for NegativeTTL; Redis never hears of it. The origin hears of it
// once, or twice where it has a batch form, as long as neither the address has
// spent UnknownRate here nor the cache role its own, which is for all addresses
// together. Clients are told apart by their address, IPv6 ones by the first 64
// bits; behind TrustedProxies by what these say, read from the end.
//
// Slow clients: a whole request has ReadTimeout, connections are bounded in all and
// from each address, and what is above that is closed before anything is read.
//
// # Access log
//
// Each GET or HEAD request on the public listener that names a product counts once, at the
// gateway that received it, however it is answered; a batch, unless it is refused as a
// whole with 400, once for each product that it names. What a peer asks does not count
// (accesslog.go). Modes:
//
//	counts   a hit raises a counter in its page, or in a map when there is no page (hits.go);
//	         they are swept every 20 ms, or 2 ms after the last time when a product has an
//	         eighth of the hot rule's floor (8 at least). One record for each partition
//	         tells of a tenth of a second (accesslog_counts.go), or at once, while one of its
//	         products may be about to become hot (accesslog_near.go)
//	full     a JSON record for each request, with the client's headers but for cookies,
//	         credentials and those configured (accesslog_record.go)
//	sampled  such a record for one of N requests, which says so in its weight
//	off      nothing
//
// With full and sampled, records become rarer and heavier as the buffer fills up,
// before any is dropped. With counts nothing has to: while Kafka is away, those older
// than ten seconds go.
//
// In hits, exactly:
//
//	requests that name a product, a batch as one for each
//	    = eshop_accesslog_hits_total (in records that Kafka has)
//	    + eshop_accesslog_buffered_hits + eshop_accesslog_dropped_total, all reasons,
//	    and with counts what was not swept yet
//
// With weights above 1 that holds on average, for each product; exact then is
// requests = records that Kafka has, that are buffered or dropped +
// eshop_accesslog_unrecorded_total{reason="sampled" or "shed"}, for which the weights
// of others stand: these are no losses.
//
//	dropped  keys             more different products at once than there is room for
//	         old              counts that found no way to Kafka for ten seconds
//	         full             the buffer of 50,000 records or 32 MiB is full
//	         partition_full   the partition's share of it is
//	         too_large        a record above 1,000,000 bytes
//	         closed, shutdown what the process could not send before its end
//	         rejected         what Kafka refused
//
// # Start and stop
//
// Before it joins the others, and is ready, a gateway loads the products of the
// ranking that it will own and those that are hot, for as long as WarmTimeout at
// most and into half of L1 (warm.go). It begins to leave the group before its peer
// listener closes.
//
// The access log stops after the public listener: its last sweep sees every hit,
// and Kafka has three seconds to take it.
//
// # Messages
//
// Reads cache-invalidate, every partition, with its own offsets (invalidate.go).
// Watches the nodes degrade/* of pkg/degrade. Watches the nodes hot/*, pin/*, ban/* and rule of pkg/hotlist (hot.go), and reads
// top/* once, at the start.
// Sends access-log, in the shapes of pkg/accesslog: counts by partition, with a
// sequence by which a reader knows the copies that a retry makes; records of
// requests by the product's id, which the brokers keep free of copies.
//
// # When a dependency is down
//
//	Kafka      pages as before; after --gateway.max-staleness each copy is checked against Redis
//	           before use, rate-limited; what cannot be checked is served and marked stale.
//	           The access log is buffered within its bounds, then dropped, counted; neither Kafka
//	           nor the topic is waited for, at the start or later
//	ZooKeeper  pages as before; the last known members stay; dead ones are ejected by the first
//	           request they do not answer and probed until they are back; the last known hot
//	           products stay hot, /api/status and a metric tell the age of their lists; a gateway
//	           that starts joins without being warm, once it can
//	Redis      L1 as before; misses go to the cache role
//	cache role pages from L1 and Redis; what neither has is 503, or stale from L1 within the hard TTL
//	origin     the same
//	a peer     its pages are loaded here
//
// # Metrics
//
// eshop_gateway_requests_total{layer,code}, eshop_gateway_request_seconds,
// eshop_degraded{kind,mode}, eshop_degraded_answers_total{mode},
// eshop_l1_bytes, eshop_l1_entries, eshop_l1_evictions_total{reason},
// eshop_redis_repairs_total{cause} and the others of metrics.go; eshop_gateway_refused_total{reason},
// eshop_admission_*{gate} and the others of overload_status.go;
// eshop_tls_cert_expiry_seconds{pair} with TLS;
// eshop_staleness_seconds and eshop_consistency_violations_total of the auditor
// (audit.go), which compares copies in L1 with Redis and, by way of the cache role,
// with the origin; what it counts as stale or as a violation says package audit.
// The access log's are
// eshop_accesslog_* (above) and eshop_accesslog_records_total; the bus adds
// eshop_invalidation_lag_seconds and the age of its watermark.
//
// # Files
//
//	config.go    Config, Limits, Deps          http.go      the public listener
//	hit.go       hits, before the server sees them (package fastpath)
//	gateway.go   New, Listen, Run              respond.go   headers and bodies of answers
//	listen.go    the listeners, bound or passed by a service manager; how they begin and stop
//	ready.go     what readiness waits for      query.go     request targets and page keys
//	entry.go     documents and their flags     negotiate.go Accept, Accept-Encoding, If-None-Match
//	page.go      rendered pages, freshness     status.go    Cache-Status
//	l1.go        the three LRUs                forward.go   the hop to the owner
//	fetch.go     documents, the floor          peer.go      the listener for it
//	hosts.go     the connections to peers      pipe.go      one of them, for many requests
//	load.go      one load for each page        build.go     what a load does: documents, then the page
//	outcome.go   how a request ends            template.go  views, reload on change
//	identity.go  request ids and spans         explainurl.go which way a URL takes
//	refresh.go   bounded background work       render.go    what a template sees
//	invalidate.go the bus, revalidation limit  explain.go   the admin API's part
//	fleet.go     what the consoles of other processes ask
//	metrics.go   levels, counters, gauges      metrics_requests.go answers and their time, in shards
//	addresses.go the listeners, for the start's report
//	reload.go    settings that change while it runs
//	batch.go     several products by one request
//	batchquery.go what it asks for             batchwrite.go its answer
//	batchhop.go  its hop to owners             openapi.go   what describes the API, openapi.json
//	hot.go       which products are hot        hotforms.go  the forms of their pages
//	hotkeep.go   their copies here             hotschedule.go the order of that work
//	hotstatus.go what the admin API tells of it
//	warm.go      warm before it joins          warmload.go  batches of documents and pages
//	accesslog.go which requests count, start and stop
//	accesslog_config.go the modes              hits.go      counters in pages, sweeps
//	accesslog_counts.go counts as records      accesslog_record.go requests as records
//	accesslog_books.go  what has become of each hit
//	accesslog_near.go   which products may be about to become hot
//	check.go     templates, before a start   degraded.go  an operator's switches
//	overload.go  gates, refusals                unknown.go   ids that do not exist, by address
//	overload_status.go what metrics and the admin API tell of both
//	audit.go     L1 as the auditor sees it
package gateway
