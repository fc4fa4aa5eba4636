package reload

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/config"
)

// Prepared is what a part of the process has ready to take new settings over.
type Prepared struct {
	// Apply takes them over. It cannot fail and is quick; nil: there is nothing to do.
	Apply func()
	// Held are settings that can be taken over otherwise, but not from what they are to what they are to be, and why.
	Held map[string]string
}

// Next are settings that were read anew and found to be good.
type Next struct {
	Settings []config.Setting
	// Overruled are settings whose value in the file does not count: the command line or the environment has another.
	Overruled []string
	Parts     []Prepared
}

// Config of a Reloader.
type Config struct {
	// Settings in effect at the start.
	Settings []config.Setting
}

// Deps are a Reloader's collaborators. Read is required.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	// Read reads all settings anew and has every part prepare for them. It changes nothing. Its error is
	// config.Problems when settings are wrong.
	Read func() (Next, error)
	// Around runs a reload that a service manager is told of, with its outcome; nil: nobody is.
	Around func(reload func() (outcome string))
}

// Reloader reloads the settings of one process.
type Reloader struct {
	deps Deps
	log  *slog.Logger

	one     sync.Mutex // held by a reload
	running []config.Setting

	mu   sync.Mutex
	last *Answer // nil: there was none
	good *Answer // the last that was good
	hash string
}

// New returns a reloader that has not reloaded anything. It does no I/O.
func New(cfg Config, deps Deps) (*Reloader, error) {
	if deps.Read == nil {
		return nil, errors.New("set up reloads: nothing says how to read the settings")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Around == nil {
		deps.Around = func(reload func() string) { reload() }
	}
	r := &Reloader{deps: deps, log: deps.Log, running: cfg.Settings, hash: config.Hash(cfg.Settings)}
	return r, r.register(deps.Registry, time.Now())
}

// Run reloads at each SIGHUP until ctx ends. Signals that come during a reload are answered by one more.
func (r *Reloader) Run(ctx context.Context) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-hangups:
			r.Reload("SIGHUP")
		case <-ctx.Done():
			return nil
		}
	}
}

// Reload takes over what can be and returns what became of each setting. By says who asked for it. Others that ask
// meanwhile wait, and each gets an answer of its own.
func (r *Reloader) Reload(by string) Answer {
	r.one.Lock()
	defer r.one.Unlock()
	var a Answer
	r.deps.Around(func() string {
		a = r.reload(by)
		return a.summary()
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.hash = &a, a.Hash
	if a.OK {
		r.good = &a
	}
	return a
}

func (r *Reloader) reload(by string) Answer {
	a := Answer{By: by, At: time.Now().UTC(), Hash: config.Hash(r.running)}
	next, err := r.deps.Read()
	if err != nil {
		var problems config.Problems
		problems.AddError("", err)
		for _, p := range problems {
			a.Problems = append(a.Problems, p.String())
		}
		r.log.Error("the settings were not reloaded, nothing has changed", "by", by, "problems", a.Problems)
		return a
	}
	held := map[string]string{}
	for _, part := range next.Parts {
		maps.Copy(held, part.Held)
	}
	d := config.Compare(r.running, next.Settings, held)
	for _, part := range next.Parts {
		if part.Apply != nil {
			part.Apply()
		}
	}
	r.running = d.Running
	a.OK, a.Applied, a.Restart, a.Unchanged, a.Overruled, a.Hash = true, d.Applied, d.Restart, d.Unchanged, next.Overruled, config.Hash(d.Running)
	r.log.Info("the settings were reloaded", "by", by, "applied", texts(a.Applied), "need_restart", texts(a.Restart), "unchanged", a.Unchanged, "hash", a.Hash)
	if len(a.Overruled) > 0 {
		r.log.Warn("what the file says of some settings does not count: a flag or the environment sets them too", "settings", a.Overruled)
	}
	return a
}
