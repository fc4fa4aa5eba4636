// Package all runs every role in one process, on embedded servers for each
// address that is not given. It holds no logic: it starts what the split roles
// start, in the same order, and tells where everything listens.
//
// Start: embedded servers, admin listener, topics, cache, hotcount, gateway,
// demonstration traffic. Stop: the other way round.
package all

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/config"
	"eshop/pkg/console"
	"eshop/pkg/embedded"
	"eshop/pkg/kafka"
	"eshop/pkg/lifecycle"
	"eshop/pkg/reload"
	"eshop/pkg/traffic"
	"eshop/roles/cache"
	"eshop/roles/gateway"
	"eshop/roles/hotcount"
)

// Config of the process. The roles' own addresses of Redis, Kafka, ZooKeeper
// and the origin are filled in from Embedded where they are not given.
type Config struct {
	Gateway  gateway.Config
	Cache    cache.Config
	Hotcount hotcount.Config
	Admin    admin.Config
	Embedded embedded.Config
	// DemoTraffic sends requests to the own gateway.
	DemoTraffic bool
	// Topics are created when missing.
	Topics []kafka.Topic
	// ShutdownDelay and ShutdownTimeout are those of the lifecycle.
	ShutdownDelay, ShutdownTimeout time.Duration
}

// Deps are the process's collaborators.
type Deps struct {
	Log *slog.Logger
	// Registry is registered with and gathered from; nil: a new one.
	Registry *prometheus.Registry
	Catalog  *catalog.Catalog
	// Ready gets the conditions of all parts; nil: a new one.
	Ready *lifecycle.Ready
	// Settings are those in effect. Reread reads them anew and says what there is to reload beside the roles; it is
	// asked for each reload, its errors are config.Problems. nil: nothing is reloaded.
	Settings []config.Setting
	Reread   func() (Config, *catalog.Catalog, reload.Next, error)
	// Stdout is told, once everything is ready, where it listens.
	Stdout io.Writer
}

func (d *Deps) complete() {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Registry == nil {
		d.Registry = prometheus.NewRegistry()
	}
	if d.Ready == nil {
		d.Ready = new(lifecycle.Ready)
	}
}

// of is the registerer of one part: two of them may have metrics of the same
// name, which the label keeps apart.
func (d *Deps) of(role string) prometheus.Registerer {
	return prometheus.WrapRegistererWith(prometheus.Labels{"role": role}, d.Registry)
}

// Run runs the process until ctx ends. The error is config.Problems when a role
// finds its settings wrong.
func Run(ctx context.Context, cfg Config, deps Deps) (err error) {
	deps.complete()
	ready := deps.Ready
	ready.Expect(needsTopics)
	cfg.Embedded.Registry = deps.of("embedded")
	servers, err := embedded.Start(ctx, cfg.Embedded, deps.Log)
	if err != nil {
		return fmt.Errorf("start the embedded servers: %w", err)
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	cfg.connect(servers)

	adm := admin.New(cfg.Admin, admin.Deps{Log: deps.Log, Gatherer: deps.Registry, Ready: ready, Catalog: deps.Catalog})
	c, wrongCache := cache.New(cfg.Cache, cache.Deps{Log: deps.Log.With("role", "cache"), Registry: deps.of("cache"), Catalog: deps.Catalog, Ready: ready, Admin: adm})
	g, wrongGateway := gateway.New(cfg.Gateway, gateway.Deps{Log: deps.Log.With("role", "gateway"), Registry: deps.of("gateway"), Catalog: deps.Catalog, Ready: ready, Admin: adm})
	h, wrongHotcount := hotcount.New(cfg.Hotcount, hotcount.Deps{Log: deps.Log.With("role", "hotcount"), Registry: deps.of("hotcount"), Ready: ready, Admin: adm})
	operators, wrongConsole := console.New(console.Config{
		Members: []console.Member{{Role: "gateway", ID: cfg.Gateway.ID}, {Role: "cache", ID: cfg.Cache.ID}, {Role: "hotcount", ID: cfg.Hotcount.ID}},
		Cluster: cfg.Cache.Cluster, ZooKeeper: cfg.Cache.ZooKeeper,
	}, console.Deps{Log: deps.Log, Admin: adm, Gatherer: deps.Registry, Registry: deps.of("console"), Ready: ready,
		Catalog: deps.Catalog, Build: cfg.Admin.Build})
	var problems config.Problems
	problems.AddError("", errors.Join(wrongCache, wrongGateway, wrongHotcount, wrongConsole))
	if err := problems.Err(); err != nil {
		return err
	}
	// Every address is bound before anything runs, so that an occupied one is
	// an error at once.
	for _, listen := range []func() error{operators.Load, adm.Listen, c.Listen, h.Listen, g.Listen} {
		if err := listen(); err != nil {
			return err
		}
	}
	reloader, err := reload.New(reload.Config{Settings: deps.Settings}, reload.Deps{Log: deps.Log, Registry: deps.Registry, Read: func() (reload.Next, error) {
		return reread(deps, servers, adm, g, c, h)
	}})
	if err != nil {
		return err
	}
	group := lifecycle.New(lifecycle.Config{ShutdownDelay: cfg.ShutdownDelay, ShutdownTimeout: cfg.ShutdownTimeout}, lifecycle.Deps{Log: deps.Log, Ready: ready})
	adm.AddSection("parts", func() any { return group.States() })
	if deps.Reread != nil {
		reloader.Serve(adm)
		group.Add("reloads", lifecycle.Started(reloader.Run))
	}
	group.Add("admin", lifecycle.Started(adm.Run))
	group.Add("console", lifecycle.Started(operators.Run))
	topics := topicMaker{kafka: cfg.Cache.Kafka, topics: cfg.Topics, ready: ready, log: deps.Log}
	group.Add("topics", topics.run)
	group.Add("cache", lifecycle.Started(c.Run))
	group.Add("hotcount", lifecycle.Started(h.Run))
	group.Add("gateway", lifecycle.Started(g.Run))
	if cfg.DemoTraffic {
		group.Add("demonstration traffic", lifecycle.Started(func(ctx context.Context) error { return demonstrate(ctx, g, cfg.Gateway.TLS.Given(), ready, deps.Log) }))
	}
	group.Add("announcement", lifecycle.Started(func(ctx context.Context) error {
		if ready.Wait(ctx) == nil {
			lifecycle.Announce(deps.Stdout, "eshop is ready", addresses(adm, c, g, servers))
		}
		<-ctx.Done()
		return nil
	}))
	return group.Run(ctx)
}

// reread has every role prepare for the settings as they are now.
func reread(deps Deps, servers *embedded.Servers, adm *admin.Server, g *gateway.Role, c *cache.Role, h *hotcount.Role) (reload.Next, error) {
	cfg, cat, next, err := deps.Reread()
	if err != nil {
		return next, err
	}
	cfg.connect(servers)
	toGateway, wrongGateway := g.Reload(cfg.Gateway, cat)
	toCache, wrongCache := c.Reload(cfg.Cache, cat)
	toHotcount, wrongHotcount := h.Reload(cfg.Hotcount, cat)
	next.Parts = append(next.Parts, toGateway, toCache, toHotcount, reload.Prepared{Apply: func() { adm.SetTokens(cfg.Admin) }})
	return next, errors.Join(wrongGateway, wrongCache, wrongHotcount)
}

// connect points the roles to the embedded servers that were started.
func (c *Config) connect(s *embedded.Servers) {
	if s.Redis != nil {
		c.Cache.Redis.Addrs = []string{s.Redis.Addr()}
		c.Gateway.Redis.Addrs = c.Cache.Redis.Addrs
	}
	if s.Kafka != nil {
		c.Cache.Kafka.Brokers = []string{s.Kafka.Addr()}
		c.Gateway.Kafka.Brokers, c.Hotcount.Kafka.Brokers = c.Cache.Kafka.Brokers, c.Cache.Kafka.Brokers
	}
	if s.ZooKeeper != nil {
		c.Cache.ZooKeeper.Servers = []string{s.ZooKeeper.Addr()}
		c.Gateway.ZooKeeper.Servers, c.Hotcount.ZooKeeper.Servers = c.Cache.ZooKeeper.Servers, c.Cache.ZooKeeper.Servers
	}
	if s.Origin != nil {
		c.Cache.Origin.BaseURL = s.Origin.URL()
	}
}

// addresses lists every listener of the process.
func addresses(adm *admin.Server, c *cache.Role, g *gateway.Role, s *embedded.Servers) []lifecycle.Address {
	list := append(g.Addresses(), c.Addresses()...)
	list = append(list, lifecycle.Address{What: "admin and console", URL: "http://" + adm.Addr() + "/"})
	if s.Origin != nil {
		list = append(list, lifecycle.Address{What: "sample shop", URL: s.Origin.URL() + "/"})
	}
	if s.Redis != nil {
		list = append(list, lifecycle.Address{What: "redis", URL: "redis://" + s.Redis.Addr()})
	}
	if s.Kafka != nil {
		list = append(list, lifecycle.Address{What: "kafka", URL: "kafka://" + s.Kafka.Addr()})
	}
	if s.ZooKeeper != nil {
		list = append(list, lifecycle.Address{What: "zookeeper", URL: "zookeeper://" + s.ZooKeeper.Addr()})
	}
	return list
}

// demonstrate sends traffic once everything is ready, so that the dashboard has
// something to show: many products now and then, and one at a time that turns hot.
func demonstrate(ctx context.Context, g *gateway.Role, tlsOn bool, ready *lifecycle.Ready, log *slog.Logger) error {
	if ready.Wait(ctx) != nil {
		return nil
	}
	deps := traffic.Deps{Log: log}
	scheme := "http"
	if tlsOn {
		// Nothing is to be kept secret, and nobody else is at the address that this process has bound.
		scheme = "https"
		transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}, MaxConnsPerHost: 16, MaxIdleConnsPerHost: 16}
		defer transport.CloseIdleConnections()
		deps.Transport = transport
	}
	load, err := traffic.New(traffic.Config{URL: scheme + "://" + g.Addr() + "/product?productId=%d", Products: 1000}, deps)
	if err != nil {
		return fmt.Errorf("set up the demonstration traffic: %w", err)
	}
	return load.Run(ctx)
}
