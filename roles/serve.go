package roles

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/certificate"
	"eshop/pkg/config"
	"eshop/pkg/console"
	"eshop/pkg/lifecycle"
	"eshop/pkg/membership"
	"eshop/pkg/reload"
	"eshop/pkg/systemd"

	"github.com/prometheus/client_golang/prometheus"
)

// part is a role as this package sees it.
type part[C any] interface {
	Listen() error
	Run(ctx context.Context) error
	Addresses() []lifecycle.Address
	Reload(next C, cat *catalog.Catalog) (reload.Prepared, error)
}

// surroundings are what a role of its own process is made with.
type surroundings struct {
	log      *slog.Logger
	registry prometheus.Registerer // adds the role's label, as it has in a process of several roles
	ready    *lifecycle.Ready
	admin    *admin.Server
}

// serve runs one role with an admin listener until ctx ends. The listeners are bound before anything
// runs, so that an occupied address is an error at once.
func serve[C any](ctx context.Context, p process, s *settings, first plan[C], again planner[C], build func(surroundings) (part[C], error)) error {
	log, level := p.leveled(s.process.logLevel, s.process.logFormat)
	listener := first.listener
	registry := prometheus.NewRegistry()
	ready := new(lifecycle.Ready)
	if err := admin.RegisterProcess(registry, listener.Build, listener.Role, ready.OK); err != nil {
		return err
	}
	adm := admin.New(listener, admin.Deps{Log: log, Gatherer: registry, Ready: ready, Catalog: first.cat})
	role, err := build(surroundings{
		log: log, ready: ready, admin: adm,
		registry: prometheus.WrapRegistererWith(prometheus.Labels{"role": listener.Role}, registry),
	})
	if err != nil {
		var problems config.Problems
		problems.AddError("", err)
		return problems
	}
	operators, err := console.New(first.fleet, console.Deps{Log: log, Admin: adm, Gatherer: registry, Ready: ready, Catalog: first.cat,
		Registry: prometheus.WrapRegistererWith(prometheus.Labels{"role": "console"}, registry), Build: listener.Build})
	if err != nil {
		return err
	}
	for _, listen := range []func() error{operators.Load, adm.Listen, role.Listen} {
		if err := listen(); err != nil {
			return err
		}
	}
	notifier, err := systemd.New(systemd.Config{
		Stop: s.process.stopLimit(), Alive: adm.Alive, Serving: func() string { return serving(role.Addresses(), adm.Addr()) },
	}, systemd.Deps{Log: log, Ready: ready})
	if err != nil {
		return err
	}
	reloader, err := reload.New(reload.Config{Settings: p.settings},
		reload.Deps{Log: log, Registry: registry, Read: reloads(p, level, adm, again, role), Around: notifier.Reload})
	if err != nil {
		return err
	}
	reloader.Serve(adm)
	group := lifecycle.New(lifecycle.Config{ShutdownDelay: s.process.delay, ShutdownTimeout: s.process.timeout}, lifecycle.Deps{Log: log, Ready: ready})
	adm.AddSection("parts", func() any { return group.States() })
	group.Add("reloads", lifecycle.Started(reloader.Run))
	group.Add("admin", lifecycle.Started(adm.Run))
	group.Add("console", lifecycle.Started(operators.Run))
	group.Add(listener.Role, lifecycle.Started(role.Run))
	group.Add("announcement", lifecycle.Started(func(ctx context.Context) error {
		if ready.Wait(ctx) == nil {
			lifecycle.Announce(p.stdout, "eshop "+listener.Role+" is ready",
				append(role.Addresses(), lifecycle.Address{What: "admin", URL: "http://" + adm.Addr() + "/"}))
		}
		<-ctx.Done()
		return nil
	}))
	return reported(ctx, notifier, group.Run)
}

// reported runs a process of which a service manager is told until the very end: one that takes too long
// to stop is alive for as long.
func reported(ctx context.Context, notifier *systemd.Notifier, run func(context.Context) error) error {
	reporting, end := context.WithCancel(context.WithoutCancel(ctx))
	var told sync.WaitGroup
	told.Go(func() { notifier.Run(reporting, ctx) })
	defer told.Wait()
	defer end()
	return run(ctx)
}

// serving says where a role is reached, for systemctl status.
func serving(addresses []lifecycle.Address, admin string) string {
	var parts []string
	for _, a := range append(addresses, lifecycle.Address{What: "admin", URL: "http://" + admin + "/"}) {
		parts = append(parts, a.What+" at "+a.URL)
	}
	return strings.Join(parts, ", ")
}

// adminConfig is the admin listener of a process.
func (s *settings) adminConfig(role, flag, addr string, problems *config.Problems) admin.Config {
	return admin.Config{
		Addr: addr, Flag: flag, Role: role, Build: admin.ReadBuild(),
		Token: config.ReadSecret("admin.token-file", s.security.adminTokenFile, problems),
	}
}

// listen is one listener: the flag that sets its address, and the address.
type listen struct{ flag, addr string }

// clusterAccess reads what gateways and cache processes show each other: a token (or tokens, one a line), or
// certificates. Internal listeners must have one of the two when other machines can reach them. With a problem the
// token is a stand-in, so that no role finds the same again.
func (s *settings) clusterAccess(problems *config.Problems, listeners ...listen) (token string, pair certificate.Config) {
	pair = s.security.cluster.pair("cluster", true, problems)
	token = config.ReadTokens("cluster.token-file", s.security.clusterTokenFile, problems)
	var open []string
	for _, l := range listeners {
		if !membership.OnLoopback(l.addr) {
			open = append(open, "--"+l.flag+" "+l.addr)
		}
	}
	if s.security.clusterTokenFile == "" && s.security.cluster.cert == "" && len(open) > 0 {
		problems.Add("cluster.token-file", "", "is needed because other machines can reach "+strings.Join(open, " and ")+"; or set --cluster.tls-cert, or listen on 127.0.0.1")
	}
	if problems.Names("cluster.token-file") {
		token = "wrong"
	}
	return token, pair
}

// identity is the name of a process in its fleet.
func identity(flag, given string, problems *config.Problems) string {
	if given != "" {
		return given
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		problems.Add(flag, "", "is needed because this machine has no name")
	}
	return name
}
