package certificate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/filewatch"
)

// Source is a pair and its renewals. New makes it, Load reads it, Run keeps it up
// to date. It is safe for concurrent use; nil stands for plain connections.
type Source struct {
	cfg   Config
	log   *slog.Logger
	now   atomic.Pointer[pair]
	loads sync.Mutex // one at a time
	said  string     // the last error of a look, until one has none
}

// Deps are the collaborators of a Source.
type Deps struct {
	Log      *slog.Logger          // nil: discarded
	Registry prometheus.Registerer // nil: none
}

// New returns the source of a pair, nil if none is given. It does no I/O.
func New(cfg Config, deps Deps) (*Source, error) {
	if !cfg.Given() {
		return nil, nil
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	s := &Source{cfg: cfg, log: deps.Log}
	if deps.Registry != nil {
		err := deps.Registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "eshop_tls_cert_expiry_seconds",
			Help: "When the certificate in use expires, as Unix time.", ConstLabels: prometheus.Labels{"pair": cfg.Area}}, s.expiry))
		if err != nil {
			return nil, fmt.Errorf("set up the metric of a certificate: %w", err)
		}
	}
	return s, nil
}

// expiry is the metric's value; 0 before a pair was read.
func (s *Source) expiry() float64 {
	if p := s.now.Load(); p != nil {
		return float64(p.expires.Unix())
	}
	return 0
}

// Load reads the pair, which has to be done before the first connection. Later it
// puts a changed one to use, if it can be.
func (s *Source) Load() error {
	if s == nil {
		return nil
	}
	s.loads.Lock()
	defer s.loads.Unlock()
	return s.load()
}

func (s *Source) load() error {
	old := s.now.Load()
	fresh, err := s.cfg.read(time.Now(), old)
	if err != nil || fresh == old {
		return err
	}
	s.now.Store(fresh)
	s.log.Info("certificate loaded", "pair", s.cfg.Area, "file", s.cfg.Cert, "expires", fresh.expires.UTC().Format(time.RFC3339))
	return nil
}

// Run puts renewed pairs to use until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	if s == nil {
		<-ctx.Done()
		return nil
	}
	filewatch.Watch{What: "certificate", Files: s.cfg.files(), Log: s.log}.Run(ctx, s.look)
	return nil
}

// look loads what has changed. What is wrong is said once, not at every look.
func (s *Source) look() {
	s.loads.Lock()
	defer s.loads.Unlock()
	err := s.load()
	switch {
	case err == nil:
		s.said = ""
	case s.said != err.Error():
		s.said = err.Error()
		s.log.Error("the changed certificate is not used, the one before stays", "pair", s.cfg.Area,
			"expires", s.now.Load().expires.UTC().Format(time.RFC3339), "err", err)
	}
}

// errNotLoaded is a mistake of this program.
var errNotLoaded = errors.New("the certificate was not loaded before its use")
