package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"eshop/pkg/audit"
	"eshop/pkg/catalog"
	"eshop/pkg/certificate"
	"eshop/pkg/coalesce"
	"eshop/pkg/credential"
	"eshop/pkg/degrade"
	"eshop/pkg/docapi"
	"eshop/pkg/fastpath"
	"eshop/pkg/invalidation"
	"eshop/pkg/lifecycle"
	"eshop/pkg/membership"
	"eshop/pkg/rediscluster"
	"eshop/pkg/ring"
	"eshop/pkg/tracing"
	"eshop/pkg/zookeeper"
)

// Role is one gateway process. New makes it, Listen binds its addresses, Run
// owns all its goroutines.
type Role struct {
	cfg   Config     // as at the start
	live  adjustable // those of it that Reload changes
	log   *slog.Logger
	cat   *catalog.Catalog
	ready *lifecycle.Ready
	id    string // cfg.ID, fit for a header

	router  *router
	headers *headers
	views   *views
	date    date
	l1      *l1
	floor   *invalidation.Floor
	metrics *metrics
	trace   *tracing.Tracer // nil: there are no traces

	store   store
	lookups store // Redis for unknown.go
	source  source
	peers   group

	loads    *coalesce.Group[pageKey, *answer]
	forwards *coalesce.Group[forwardKey, *peerAnswer]
	hosts    *hosts // connections to peers; probes has its own, so that a full pool is not taken for a dead peer
	probes   *hosts
	refresh  *refresher
	checks   *bucket
	access   *accessLog
	hot      *hot
	degraded *degraded
	warm     *warm
	overload *overload
	gzips    sync.Pool // of writers: a new one takes 0.8 MB
	tokens   *credential.Tokens
	fleet    fasthttp.RequestHandler // answers the consoles of other processes; nil: none
	// quickGzips compress what is sent once.
	quickGzips sync.Pool

	// trusted is until when the bus vouches for copies (coherence.Until): a time and
	// not a mark that is set when it has passed, for a process that was stopped
	// must not serve by what was so before. generation counts losses on the bus;
	// gapAt is when the last one was.
	trusted    atomic.Int64
	generation atomic.Uint64
	gapAt      atomic.Int64

	// base is the parent of every wait and load; it ends when Run does.
	base context.Context
	end  context.CancelFunc

	redis      *rediscluster.Store
	zk         *zookeeper.Session
	cacheRing  *membership.Group
	gateways   *membership.Group
	self       *ring.Member // what it tells others of this process; its address is known when Run begins
	docs       *docapi.Client
	subscriber *invalidation.Subscriber
	auditor    *audit.Auditor

	passed                 passed
	tls, cluster           *certificate.Source // of the public listener, and between roles; nil: plain
	fast, peerFast         *fastpath.Listener  // below the listeners
	listener, peerListener net.Listener
}

// New checks the configuration and makes every client; it does no I/O.
func New(cfg Config, deps Deps) (*Role, error) {
	r, err := newRole(cfg, deps)
	if err != nil {
		return nil, err
	}
	fail := func(what string, err error) (*Role, error) { return nil, fmt.Errorf("set up %s: %w", what, err) }
	if r.redis, err = rediscluster.New(r.cfg.Redis, r.cat, rediscluster.Deps{Log: r.log, Registry: deps.Registry}); err != nil {
		return fail("the Redis client", err)
	}
	r.store, r.lookups = gatedStore{r.redis, r.overload.redis}, gatedStore{r.redis, r.overload.lookups}
	if r.zk, err = zookeeper.New(r.cfg.ZooKeeper, zookeeper.Deps{Log: r.log, Registry: deps.Registry}); err != nil {
		return fail("the ZooKeeper client", err)
	}
	r.cacheRing = membership.New(membership.Config{Role: "cache", Probe: func(ctx context.Context, m ring.Member) error { return r.docs.Probe(ctx, m) }},
		membership.Deps{Log: r.log, Session: r.zk})
	r.self = &ring.Member{ID: r.cfg.ID}
	r.gateways = membership.New(membership.Config{Role: "gateway", Self: r.self, JoinWhen: r.warm.done, Probe: r.probe}, membership.Deps{Log: r.log, Session: r.zk})
	r.peers = r.gateways
	r.degraded.client = degrade.New(degrade.Deps{Session: r.zk, Log: r.log})
	r.docs = docapi.NewClient(docapi.ClientConfig{Tokens: r.tokens, Timeout: r.cfg.LoadTimeout, Dial: r.cluster.Dial}, r.cacheRing, docapi.Deps{Log: r.log})
	r.source = gatedSource{r.docs, r.overload.cache}
	r.subscriber, err = invalidation.NewSubscriber(
		invalidation.Config{Kafka: r.cfg.Kafka, Topic: r.cfg.TopicInvalidate, MaxStaleness: r.cfg.MaxStaleness},
		r.floor, bus{r}, invalidation.Deps{Log: r.log, Registry: deps.Registry, Trace: r.trace})
	if err != nil {
		return fail("the invalidation bus", err)
	}
	if r.auditor, err = r.newAuditor(deps.Registry); err != nil {
		return fail("the auditor", err)
	}
	if err := r.access.connect(r.cfg.Kafka, deps.Registry); err != nil {
		return nil, err
	}
	r.trusted.Store(0) // nothing has vouched for anything yet
	r.ready.Expect(needsRedis, needsZooKeeper, needsKafka, needsCacheMembers, needsWarm)
	if deps.Admin != nil {
		r.mount(deps.Admin)
	}
	return r, nil
}

// newRole makes what needs no server: pages, heap and HTTP.
func newRole(cfg Config, deps Deps) (*Role, error) {
	listeners := passed{deps.Public, deps.Peer}
	listeners.addressed(&cfg)
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Ready == nil {
		deps.Ready = new(lifecycle.Ready)
	}
	if deps.Catalog == nil {
		deps.Catalog = catalog.Default()
	}
	r := &Role{cfg: cfg, log: deps.Log, cat: deps.Catalog, ready: deps.Ready, id: token(cfg.ID), passed: listeners,
		router: newRouter(deps.Catalog), headers: newHeaders(), checks: newBucket(cfg.RevalidateRate),
		tokens: credential.NewTokens(cfg.ClusterToken)}
	r.live.set(&r.cfg, deps.Catalog)
	r.base, r.end = context.WithCancel(context.Background())
	r.refresh = &refresher{role: r, queue: make(chan job, cfg.RefreshQueue)}
	waiting := coalesce.Config{Timeout: cfg.LoadTimeout, MaxWaiters: cfg.Limits.Waiting, MaxPerKey: cfg.Limits.WaitingPerPage}
	r.loads, r.forwards = coalesce.New[pageKey, *answer](waiting), coalesce.New[forwardKey, *peerAnswer](waiting)
	r.peers = nobody{}
	r.trusted.Store(math.MaxInt64)
	var err error
	certificates := certificate.Deps{Log: r.log, Registry: deps.Registry}
	if r.tls, err = certificate.New(cfg.TLS, certificates); err != nil {
		return nil, err
	}
	if r.cluster, err = certificate.New(cfg.Cluster, certificates); err != nil {
		return nil, err
	}
	r.hosts, r.probes = newHosts(cfg.Limits.PeerCalls, 0, r.cluster.Dial), newHosts(8, 0, r.cluster.Dial)
	if r.l1, err = newL1(cfg.L1Bytes); err != nil {
		return nil, fmt.Errorf("set up the heap tier: %w", err)
	}
	if r.floor, err = invalidation.NewFloor(0); err != nil {
		return nil, fmt.Errorf("set up the floor: %w", err)
	}
	r.hot, r.warm, r.degraded = newHot(r), newWarm(), newDegraded(r)
	if r.overload, err = newOverload(&r.cfg, r.l1.bytes); err != nil {
		return nil, err
	}
	r.access = newAccessLog(&r.cfg, deps.Catalog, r.log)
	r.access.hot = func(id int64) bool { _, hot := r.hot.set.Load().keys[id]; return hot }
	r.access.gateways = func() int {
		if rg := r.peers.Ring(); rg != nil {
			return max(1, rg.Len())
		}
		return 1
	}
	if r.metrics, err = newMetrics(r, deps.Registry); err != nil {
		return nil, err
	}
	batches, err := r.newBatches(&r.cfg.Limits)
	if err != nil {
		return nil, err
	}
	r.live.batches.Store(batches)
	r.cfg.Trace.Service, r.cfg.Trace.Instance = "eshop-gateway", cfg.ID
	if r.trace, err = tracing.New(r.cfg.Trace, tracing.Deps{Log: r.log, Registry: deps.Registry}); err != nil {
		return nil, fmt.Errorf("set up the traces: %w", err)
	}
	r.views, err = newViews(r.cat, cfg.Template, r.log, func(ok bool) {
		if ok {
			r.metrics.templateLoads.Inc()
		} else {
			r.metrics.templateErrors.Inc()
		}
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// nobody is the membership of a gateway without ZooKeeper, as tests have it.
type nobody struct{}

func (nobody) Ring() *ring.Ring    { return nil }
func (nobody) Eject(string, error) {}

// Listen binds both listeners and reads the user's template and the certificates.
// Run calls it when it was not called before; calling it first makes the addresses
// known, and an occupied port or a broken file an error, before anything else
// starts.
func (r *Role) Listen() error {
	if r.listener != nil {
		return nil
	}
	if err := r.views.load(); err != nil {
		return fmt.Errorf("--gateway.template: %w", err)
	}
	if err := errors.Join(r.tls.Load(), r.cluster.Load()); err != nil {
		return err
	}
	l, err := r.open(r.passed.public, "public", r.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s (--gateway.addr): %w", r.cfg.Addr, err)
	}
	p, err := r.open(r.passed.peer, "peer", r.cfg.PeerAddr)
	if err != nil {
		l.Close()
		return fmt.Errorf("listen for peers on %s (--gateway.peer-addr): %w", r.cfg.PeerAddr, err)
	}
	r.fast = r.fastpath(r.tls.Listener(l), r.untraced(r.trace.Wants, r.answerHit), r.clientRefused)
	r.peerFast = r.fastpath(r.cluster.Listener(p), r.untraced(r.peerTraced, r.answerPeer), r.peerRefused)
	r.listener, r.peerListener = r.overload.bound(r.cfg.Limits, r.fast, r.peerFast)
	return nil
}

// Addr returns the bound public host:port, "" before Listen.
func (r *Role) Addr() string { return addrOf(r.listener) }

// PeerAddr returns the bound peer host:port, "" before Listen.
func (r *Role) PeerAddr() string { return addrOf(r.peerListener) }

func addrOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Run serves until ctx ends, then stops in reverse order. It returns nil after
// an orderly stop.
func (r *Role) Run(ctx context.Context) error {
	defer r.end()
	if err := r.Listen(); err != nil {
		return err
	}
	var err error
	if r.self.Addr, err = membership.Advertised(r.cfg.AdvertiseAddr, r.PeerAddr()); err != nil {
		return err
	}
	defer func() {
		r.hosts.close()
		r.probes.close()
		r.docs.Close()
		if err := r.redis.Close(); err != nil {
			r.log.Warn("the Redis client did not close cleanly", "err", err)
		}
	}()
	g := lifecycle.New(lifecycle.Config{}, lifecycle.Deps{Log: r.log})
	// Unreachable servers are waited for, not fatal.
	add := func(name string, run func(context.Context) error) { g.Add(name, lifecycle.Started(run)) }
	add("traces", r.trace.Run) // it stops last and sends what the others did
	add("templates", func(ctx context.Context) error { r.views.run(ctx); return nil })
	add("certificate", r.tls.Run)
	add("certificate between roles", r.cluster.Run)
	add("zookeeper", r.zk.Run)
	add("degrade switches", r.degraded.run)
	add("cache members", r.cacheRing.Run)
	add("invalidation bus", r.subscriber.Run)
	add("memory", func(ctx context.Context) error { r.overload.memory.Run(ctx); return nil })
	add("watermark", func(ctx context.Context) error { r.watch(ctx); return nil })
	add("refresh", func(ctx context.Context) error { r.refresh.run(ctx); return nil })
	add("hot products", func(ctx context.Context) error { r.hot.run(ctx); return nil })
	add("audit", r.auditor.Run)
	add("peer listener", func(ctx context.Context) error {
		return r.serveOn(ctx, r.peerServer(), r.peerListener, r.peerFast, "peer")
	})
	add("access log", r.access.run) // before the listener, so that its last sweep comes after the last request
	add("public listener", r.runPublic)
	// After the listener, so that it leaves before that stops: in the seconds of the drain the others learn
	// to do without it, and nobody waits for them when the peer listener stops.
	add("gateway members", r.gateways.Run)
	add("warm join", r.runWarm) // the members join when it is done
	add("readiness", func(ctx context.Context) error { return r.watchReady(ctx, r.gateways) })
	return g.Run(ctx)
}
