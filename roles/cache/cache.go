package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"eshop/pkg/admin"
	"eshop/pkg/audit"
	"eshop/pkg/catalog"
	"eshop/pkg/certificate"
	"eshop/pkg/coalesce"
	"eshop/pkg/credential"
	"eshop/pkg/deadletter"
	"eshop/pkg/degrade"
	"eshop/pkg/docapi"
	"eshop/pkg/invalidation"
	"eshop/pkg/kafka"
	"eshop/pkg/lifecycle"
	"eshop/pkg/membership"
	"eshop/pkg/origin"
	"eshop/pkg/rediscluster"
	"eshop/pkg/ring"
	"eshop/pkg/tracing"
	"eshop/pkg/zookeeper"
)

// Role is one cache process. New makes it, Listen binds its address, Run owns
// all its goroutines.
type Role struct {
	cfg     Config       // as at the start
	renewal atomic.Int64 // Config.Refresh, which Reload changes
	log     *slog.Logger
	cat     *catalog.Catalog

	store     *rediscluster.Store
	zk        *zookeeper.Session
	origin    *origin.Client
	trace     *tracing.Tracer // nil: there are no traces
	producer  *kafka.Producer
	feed      *kafka.Group
	bus       *invalidation.Subscriber
	publisher *invalidation.Publisher
	floor     *invalidation.Floor
	group     *membership.Group
	ready     *lifecycle.Ready

	heap          *heap
	fills         *coalesce.Group[fillKey, docapi.Reply]
	generation    atomic.Uint64 // counts losses on the bus
	gapAt         atomic.Int64  // unix nanoseconds of the last loss
	attempts      attempts
	absents       absentRate
	overload      *overload
	tokens        *coalesce.Group[struct{}, int64]
	lastToken     atomic.Pointer[sharedToken]
	refreshes     chan *entry
	announcements chan announcement
	prewarm       *prewarm
	switches      degrade.State // an operator's
	degrader      *degrade.Client
	reconciler    *reconciler
	auditor       *audit.Auditor
	metrics       *metrics

	cluster  *certificate.Source // of the listener; nil: plain
	callers  *credential.Tokens
	server   *http.Server
	listener net.Listener
}

// New checks the configuration and makes every client; it does no I/O.
func New(cfg Config, deps Deps) (*Role, error) {
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
	r := &Role{cfg: cfg, log: deps.Log, cat: deps.Catalog, ready: deps.Ready, callers: credential.NewTokens(cfg.ClusterToken),
		refreshes: make(chan *entry, refreshQueue), announcements: make(chan announcement, announceQueue)}
	r.renewal.Store(int64(cfg.Refresh))
	var err error
	fail := func(what string, err error) (*Role, error) { return nil, fmt.Errorf("set up %s: %w", what, err) }
	if r.cluster, err = certificate.New(cfg.Cluster, certificate.Deps{Log: deps.Log, Registry: deps.Registry}); err != nil {
		return nil, err
	}
	if r.heap, err = newHeap(cfg.L1Bytes, cfg.NegativeBytes); err != nil {
		return fail("the heap tier", err)
	}
	if r.floor, err = invalidation.NewFloor(0); err != nil {
		return fail("the floor", err)
	}
	r.overload = newOverload(cfg)
	if r.metrics, err = newMetrics(deps.Registry, r); err != nil {
		return fail("the metrics", err)
	}
	cfg.Trace.Service, cfg.Trace.Instance = "eshop-cache", cfg.ID
	if r.trace, err = tracing.New(cfg.Trace, tracing.Deps{Log: deps.Log, Registry: deps.Registry}); err != nil {
		return fail("the traces", err)
	}
	r.fills = coalesce.New[fillKey, docapi.Reply](coalesce.Config{Timeout: cfg.FillTimeout})
	r.tokens = coalesce.New[struct{}, int64](coalesce.Config{Timeout: cfg.LockWait})
	if r.store, err = rediscluster.New(cfg.Redis, deps.Catalog, rediscluster.Deps{Log: deps.Log, Registry: deps.Registry}); err != nil {
		return fail("the Redis client", err)
	}
	if r.zk, err = zookeeper.New(cfg.ZooKeeper, zookeeper.Deps{Log: deps.Log, Registry: deps.Registry}); err != nil {
		return fail("the ZooKeeper session", err)
	}
	if r.origin, err = origin.New(cfg.Origin, deps.Catalog, origin.Deps{Log: deps.Log, Registry: deps.Registry, Held: r.held}); err != nil {
		return fail("the origin client", err)
	}
	cfg.Kafka.ClientID = "eshop-cache"
	kdeps := kafka.Deps{Log: deps.Log, Registry: deps.Registry}
	if r.producer, err = kafka.NewProducer(kafka.ProducerConfig{Config: cfg.Kafka, ManualPartition: true}, kdeps); err != nil {
		return fail("the Kafka producer", err)
	}
	r.bus, err = invalidation.NewSubscriber(invalidation.Config{Kafka: cfg.Kafka, Topic: cfg.TopicInvalidate, MaxStaleness: cfg.MaxStaleness},
		r.floor, r, invalidation.Deps{Log: deps.Log, Registry: deps.Registry, Trace: r.trace})
	if err != nil {
		return fail("the invalidation bus", err)
	}
	r.publisher = invalidation.NewPublisher(cfg.TopicInvalidate, r.producer, r.bus.Status, deps.Log)
	r.feed, err = kafka.NewGroup(kafka.GroupConfig{Config: cfg.Kafka, Group: cfg.Group, Topic: cfg.TopicChange, DeadTopic: cfg.TopicDead,
		Parallel: cfg.Parallel}, r.changeKey, r.handleChange, kdeps)
	if err != nil {
		return fail("the change feed", err)
	}
	r.degrader = degrade.New(degrade.Deps{Session: r.zk, Log: r.log})
	r.prewarm, r.reconciler = newPrewarm(r), newReconciler(r)
	if r.auditor, err = r.newAuditor(deps.Registry); err != nil {
		return fail("the auditor", err)
	}
	r.ready.Expect(needsRedis, needsZooKeeper, needsKafka, needsBus)
	if deps.Admin != nil {
		deps.Admin.Explain("cache", r.explain)
		deps.Admin.Purge("cache", r.purge)
		deps.Admin.AddSection("cache", r.status)
		r.prewarm.serve(deps.Admin)
		degrade.API{Client: r.degrader, State: &r.switches, Kinds: r.cat.KindNames()}.Serve(deps.Admin)
		deadletter.New(deadletter.Config{Kafka: cfg.Kafka, Topic: cfg.TopicDead, Change: cfg.TopicChange},
			deadletter.Deps{Session: r.zk, Producer: r.producer, Log: r.log}).Serve(deps.Admin)
	}
	r.server = &http.Server{
		Handler: withFleet(deps.Admin, r.cluster != nil,
			docapi.NewHandler(docapi.HandlerConfig{Tokens: r.callers, Timeout: cfg.FillTimeout, Trace: r.trace}, deps.Catalog, r)),
		ReadHeaderTimeout: 5 * time.Second,
		// A body that nobody needs and that never ends, too; but it also ends the
		// context of a request that is still being answered.
		ReadTimeout:    cfg.FillTimeout + 10*time.Second,
		IdleTimeout:    2 * time.Minute,
		WriteTimeout:   cfg.FillTimeout + 10*time.Second,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slog.NewLogLogger(deps.Log.Handler(), slog.LevelWarn),
	}
	return r, nil
}

// withFleet answers the consoles of other processes besides.
func withFleet(adm *admin.Server, proven bool, documents http.Handler) http.Handler {
	if adm == nil {
		return documents
	}
	fleet := adm.Fleet(proven)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, admin.FleetPath+"/") {
			fleet.ServeHTTP(w, r)
			return
		}
		documents.ServeHTTP(w, r)
	})
}

// Listen binds --cache.addr and reads the certificate. Requests are answered once
// Run is running.
func (r *Role) Listen() error {
	if err := r.cluster.Load(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", r.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on --cache.addr %s: %w", r.cfg.Addr, err)
	}
	r.listener = l
	told, err := membership.Advertised(r.cfg.AdvertiseAddr, r.Addr())
	if err != nil {
		return err
	}
	r.group = membership.New(membership.Config{Role: "cache", Self: &ring.Member{ID: r.cfg.ID, Addr: told}},
		membership.Deps{Log: r.log, Session: r.zk})
	return nil
}

// Addr returns the bound host:port.
func (r *Role) Addr() string { return r.listener.Addr().String() }

// Addresses lists the role's listeners, for Announce.
func (r *Role) Addresses() []lifecycle.Address {
	return []lifecycle.Address{{What: "cache", URL: r.cluster.Scheme() + "://" + r.Addr() + "/v1/doc/product/1"}}
}

// Run serves until ctx ends. It returns when every goroutine of the role has.
func (r *Role) Run(ctx context.Context) error {
	if r.listener == nil {
		if err := r.Listen(); err != nil {
			return err
		}
	}
	defer r.store.Close()
	defer r.origin.Close()
	g := lifecycle.New(lifecycle.Config{}, lifecycle.Deps{Log: r.log})
	// None waits for another: a dependency may come later, and /-/ready tells.
	g.Add("traces", lifecycle.Started(r.trace.Run)) // it stops last and sends what the others did
	g.Add("readiness", lifecycle.Started(r.watchReady))
	g.Add("certificate between roles", lifecycle.Started(r.cluster.Run))
	g.Add("zookeeper", lifecycle.Started(r.zk.Run))
	g.Add("degrade switches", lifecycle.Started(r.followSwitches))
	g.Add("producer", lifecycle.Started(r.producer.Run))
	g.Add("bus", lifecycle.Started(r.bus.Run))
	g.Add("leader", lifecycle.Started(r.lead))
	// These stop in reverse: no request, then no prewarm, repair or refresh, then nothing is left
	// that could have something to announce.
	g.Add("announcements", lifecycle.Started(r.announceLoop))
	g.Add("refreshes", lifecycle.Started(r.refreshLoop))
	g.Add("reconciliation", lifecycle.Started(r.informed(r.reconciler.run)))
	g.Add("audit", lifecycle.Started(r.auditor.Run))
	g.Add("prewarm", lifecycle.Started(r.prewarm.run))
	g.Add("http", lifecycle.Started(r.serve))
	g.Add("members", lifecycle.Started(r.informed(r.group.Run)))
	g.Add("feed", lifecycle.Started(r.informed(r.feed.Run)))
	return g.Run(ctx)
}

func (r *Role) serve(ctx context.Context) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.FillTimeout+time.Second)
		defer cancel()
		r.server.Shutdown(drain) // a late request is cut off with its connection
		r.server.Close()
	})
	// Above the bounds: a connection counts before its handshake, which the server
	// makes within its time for a request's head.
	err := r.server.Serve(r.cluster.Listener(bound(r.listener)))
	if !stop() {
		<-stopped
	}
	// Loads go on without their callers: they must end before what they use does.
	for limit := time.Now().Add(r.cfg.FillTimeout); r.fills.Loads() > 0 && time.Now().Before(limit); {
		time.Sleep(5 * time.Millisecond)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve --cache.addr %s: %w", r.cfg.Addr, err)
}

// lead beats for the fleet while this process holds the leader's lock. Two
// leaders for a moment do no harm: a heartbeat only says what time it is.
func (r *Role) lead(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.leadOnce(ctx); err != nil && ctx.Err() == nil {
			r.log.Info("not the leader", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(r.cfg.Heartbeat):
			}
		}
	}
	return nil
}

func (r *Role) leadOnce(ctx context.Context) error {
	ticket, err := r.zk.Enqueue(ctx, "bus-leader")
	if err != nil {
		return err
	}
	defer ticket.Release()
	if err := ticket.Wait(ctx); err != nil {
		return err
	}
	ctx, cancel := ticket.Context(ctx)
	defer cancel()
	r.log.Info("this process is the leader of the bus", "id", r.cfg.ID)
	r.metrics.leader.Set(1)
	defer r.metrics.leader.Set(0)
	r.publisher.Beat(ctx, r.cfg.ID, r.cfg.Heartbeat)
	return errors.New("the leader's lock was lost")
}

// What the role waits for at its start, as /-/ready names it.
const (
	needsRedis     = "cache redis"
	needsZooKeeper = "cache zookeeper"
	needsKafka     = "cache kafka"
	needsBus       = "cache bus"
)

// watchReady tells what the role waits for at its start.
func (r *Role) watchReady(ctx context.Context) error {
	return r.ready.Await(ctx,
		lifecycle.Requirement{Name: needsRedis, Met: r.store.PingWrites},
		lifecycle.Requirement{Name: needsZooKeeper, Met: r.zk.Usable},
		lifecycle.Requirement{Name: needsKafka, Met: func(ctx context.Context) error {
			s := r.feed.Status()
			switch {
			case s.Joined:
				return nil
			case s.LastError != "":
				return fmt.Errorf("joining the group %s: %s", r.cfg.Group, s.LastError)
			}
			if err := kafka.Ping(ctx, r.cfg.Kafka); err != nil {
				return err
			}
			return errors.New("joining the group " + r.cfg.Group)
		}},
		lifecycle.Requirement{Name: needsBus, Met: func(context.Context) error {
			if r.bus.CaughtUp() {
				return nil
			}
			return fmt.Errorf("reading the topic %s: %w", r.cfg.TopicInvalidate, r.bus.LastError())
		}})
}
