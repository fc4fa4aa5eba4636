package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"eshop/pkg/catalog"
	"eshop/pkg/docapi"
	"eshop/pkg/invalidation"
	"eshop/pkg/rediscluster"
)

// Config of an Auditor. Zero values mean the defaults given.
type Config struct {
	// Rate is how many copies a second are compared with Redis (10); negative: none.
	Rate int
	// OriginShare: one of so many is compared with the origin too (100).
	OriginShare int
}

// Heap is where copies are drawn from.
type Heap interface {
	// Sample draws n entries at random, each as likely as any other, and returns
	// those of them that requests are answered with, unmarked.
	Sample(n int) []Copy
	// Forget ends every copy of a document.
	Forget(key catalog.Key)
}

// Redis is what the auditor asks of the shared cache; *rediscluster.Store has it.
type Redis interface {
	GetMany(ctx context.Context, keys []catalog.Key, from rediscluster.From) []rediscluster.Result
	// Topology says when the masters last changed, or one was restarted, and when
	// they were last asked for; zero: never.
	Topology() (changed, loaded time.Time)
}

// Deps are the auditor's collaborators; all but Log and Registry are required.
type Deps struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	Heap     Heap
	// Layers are those of the heap's copies: their metrics are there from the start.
	Layers []string
	Redis  Redis
	Floor  *invalidation.Floor
	// Spared reports whether nothing is to be asked about a kind now; nil: never.
	Spared func(kind string) bool
	// Changed is told of a later document as if the bus had brought it; the floor
	// has been raised.
	Changed func(catalog.Invalidation)
	// Revalidate pulls a document from the origin; the answer is not below min.
	Revalidate func(ctx context.Context, key catalog.Key, min catalog.Stamp) (docapi.Reply, error)
	// Repair has a document pulled that Redis held with the stamp expected and
	// holds as found now, and counts it.
	Repair func(ctx context.Context, key catalog.Key, found, expected catalog.Stamp) error
}

// Auditor compares copies until its Run ends.
type Auditor struct {
	cfg     Config
	rate    atomic.Int64 // Config.Rate
	deps    Deps
	log     *slog.Logger
	metrics *metrics

	// These belong to Run's goroutine.
	seen     *sightings
	below    map[catalog.Key]suspicion // copies served below the floor
	share    int                       // copies since the last one for the origin
	originAt time.Time                 // from then on the origin is asked again

	mu     sync.Mutex
	status status
}

// limit bounds one round's calls.
const limit = 5 * time.Second

// New makes an auditor; it does no I/O.
func New(cfg Config, deps Deps) (*Auditor, error) {
	cfg.Rate = cmp.Or(cfg.Rate, 10)
	cfg.OriginShare = cmp.Or(cfg.OriginShare, 100)
	if cfg.Rate > maxRate || cfg.OriginShare < 1 {
		return nil, fmt.Errorf("audit %d copies a second, one of %d at the origin: at most %d, one of 1 or more", cfg.Rate, cfg.OriginShare, maxRate)
	}
	if deps.Heap == nil || deps.Redis == nil || deps.Floor == nil || deps.Changed == nil || deps.Revalidate == nil || deps.Repair == nil {
		return nil, errors.New("set up the auditor: a collaborator is missing")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	a := &Auditor{cfg: cfg, deps: deps, log: deps.Log, below: map[catalog.Key]suspicion{}}
	a.SetRate(cfg.Rate)
	var err error
	if a.metrics, err = newMetrics(deps.Registry, deps.Layers); err != nil {
		return nil, err
	}
	if a.seen, err = newSightings(); err != nil {
		return nil, fmt.Errorf("set up the auditor's memory: %w", err)
	}
	return a, nil
}

// maxRate bounds Config.Rate.
const maxRate = 10_000

// maxPause is how long the auditor waits at most while Redis, or the origin, is away.
const maxPause = 30 * time.Second

// SetRate changes Config.Rate, from the next second on: 10,000 at most; 0 is the default, negative
// none.
func (a *Auditor) SetRate(rate int) { a.rate.Store(int64(min(cmp.Or(rate, 10), maxRate))) }

// Run compares copies, Rate of them once a second, until ctx ends.
func (a *Auditor) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	for pause := time.Second; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if a.rate.Load() < 0 {
			pause = time.Second
		} else if err := a.round(ctx); err != nil {
			pause = min(2*pause, maxPause)
		} else {
			pause = time.Second
		}
		timer.Reset(pause)
	}
}
