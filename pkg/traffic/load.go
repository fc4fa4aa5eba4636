package traffic

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
)

// Load sends requests while Run runs.
type Load struct {
	cfg    Config
	log    *slog.Logger
	client *http.Client
	zipf   *zipf

	slots    chan struct{} // one for each request under way
	requests sync.WaitGroup
	pause    pause

	sent, failures atomic.Uint64
	hot            atomic.Int64
}

// Status is a snapshot of a load.
type Status struct {
	Requests uint64 // answered or failed
	Failures uint64 // of these: no answer, or one of 400 and above but 404
	UnderWay int    // requests now
	Hot      int64  // the product that is hot now, 0: none
}

// New checks the settings and does no I/O. The error lists every problem.
func New(cfg Config, deps Deps) (*Load, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	l := &Load{
		cfg: cfg, log: deps.Log, client: newClient(deps.Transport), zipf: newZipf(cfg.Products, cfg.Exponent),
		slots: make(chan struct{}, maxUnderWay),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	return l, nil
}

// Status can be called at any time.
func (l *Load) Status() Status {
	return Status{Requests: l.sent.Load(), Failures: l.failures.Load(), UnderWay: len(l.slots), Hot: l.hot.Load()}
}

// Run sends requests until ctx ends, cuts off the ones under way and returns nil
// when the last is done. It is called once.
func (l *Load) Run(ctx context.Context) error {
	var streams sync.WaitGroup
	if l.cfg.Rate > 0 {
		r := rand.New(rand.NewPCG(l.cfg.Seed, 1))
		streams.Go(func() { l.stream(ctx, ctx, l.cfg.Rate, func() int64 { return l.zipf.draw(r) }) })
	}
	if l.cfg.HotRate > 0 {
		streams.Go(func() { l.heat(ctx) })
	}
	<-ctx.Done()
	streams.Wait()
	l.requests.Wait()
	l.client.CloseIdleConnections()
	return nil
}

// heat makes one product hot after the other. The first one comes soon.
func (l *Load) heat(ctx context.Context) {
	r := rand.New(rand.NewPCG(l.cfg.Seed, 2))
	cool := l.cfg.CoolFor / 5
	for last := int64(0); sleep(ctx, cool); cool = l.cfg.CoolFor {
		last = l.unpopular(r, last)
		l.log.Info("demonstration traffic: a product turns hot", "product", last, "requests a second", l.cfg.HotRate, "for", l.cfg.HotFor)
		l.hot.Store(last)
		phase, end := context.WithTimeout(ctx, l.cfg.HotFor)
		l.stream(ctx, phase, l.cfg.HotRate, func() int64 { return last })
		end()
		l.hot.Store(0)
	}
}

// unpopular draws a product from the less popular half, so that its heat is seen,
// and not the same twice running if there are others.
func (l *Load) unpopular(r *rand.Rand, last int64) int64 {
	half := int64(l.cfg.Products+1) / 2
	for {
		id := int64(l.cfg.Products) - r.Int64N(half)
		if id != last || half == 1 {
			return id
		}
	}
}
