package roles

import (
	"log/slog"

	"eshop/pkg/admin"
	"eshop/pkg/catalog"
	"eshop/pkg/config"
	"eshop/pkg/console"
	"eshop/pkg/reload"
)

// reloadable lists the settings that a running process takes over when it reloads. Help and README mark them; a test
// changes each and sees what comes of it. The others need a restart.
func reloadable() []string {
	return []string{
		"gateway.l1-bytes", "gateway.template", "gateway.max-staleness", "gateway.soft-ttl", "gateway.audit",
		"gateway.access-log", // but for its mode
		"gateway.access-log-redact", "gateway.access-log-client",
		"gateway.connections", "gateway.connections-per-address", "gateway.waiting", "gateway.batch-ids", "gateway.batch-bytes",
		"gateway.unknown-rate", "gateway.unknown-burst", "gateway.trusted-proxies", "gateway.client-header",
		"cache.l1-bytes", "cache.redis-ttl", "cache.refresh", "cache.audit", "cache.unknown-rate",
		"origin.timeout", "origin.concurrency",
		"cluster.token-file", "admin.token-file", "log.level",
	}
}

// reread lists the settings that name a file which each new connection reads again.
func reread() []string { return []string{"redis.password-file", "kafka.password-file"} }

// reading is one reading of all that a command's settings come from.
type reading struct {
	set      *config.Set // with the command line
	s        *settings
	loaded   config.Loaded
	problems config.Problems
}

// load adds the environment and the file.
func (r *reading) load(sources config.Sources) { r.loaded, r.problems = r.set.Load(sources) }

// reread reads everything anew: the command line of the process too, which wins over the rest.
func (c command) reread(args []string, sources config.Sources) *reading {
	set, s, cmd := c.flags()
	r := &reading{set: set, s: s}
	err := cmd.ParseFlags(args) // as at the start, where it was good
	r.load(sources)
	r.problems.AddError("", err)
	return r
}

// next is what a process reloads: the settings, and what is common to all processes. Nothing of it counts when there
// are problems.
func (r *reading) next(level *slog.LevelVar) (reload.Next, error) {
	r.set.Locate(r.loaded, r.problems)
	if err := r.problems.Err(); err != nil {
		return reload.Next{}, err
	}
	return reload.Next{Settings: r.set.Settings(r.loaded), Overruled: r.loaded.Overruled,
		Parts: []reload.Prepared{{Apply: func() { setLevel(level, r.s.process.logLevel) }}}}, nil
}

// plan is what a role's command makes of its settings: all that the role, its admin listener and its console need.
type plan[C any] struct {
	cfg      C
	cat      *catalog.Catalog // nil in a role that has no use for it
	listener admin.Config
	fleet    console.Config
}

// planner makes a plan and adds what is wrong, at the start and at each reload alike.
type planner[C any] func(*settings, config.Loaded, *config.Problems) plan[C]

// reloads returns how a role's process reads its settings anew.
func reloads[C any](p process, level *slog.LevelVar, adm *admin.Server, plan planner[C], role part[C]) func() (reload.Next, error) {
	return func() (reload.Next, error) {
		r := p.reread()
		to := plan(r.s, r.loaded, &r.problems)
		next, err := r.next(level)
		if err != nil {
			return next, err
		}
		prepared, err := role.Reload(to.cfg, to.cat)
		next.Parts = append(next.Parts, prepared, reload.Prepared{Apply: func() { adm.SetTokens(to.listener) }})
		return next, err
	}
}
