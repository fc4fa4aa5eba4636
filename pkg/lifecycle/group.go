package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// DefaultShutdownTimeout bounds the stop of all actors together when Config leaves it zero.
const DefaultShutdownTimeout = 30 * time.Second

// Config says how long a Group takes to stop.
type Config struct {
	ShutdownDelay   time.Duration // between becoming unready and stopping the last actor; 0 for none
	ShutdownTimeout time.Duration // for stopping all actors, after the delay; 0 means DefaultShutdownTimeout
}

// Deps are what a Group reports to; each may be nil.
type Deps struct {
	Log   *slog.Logger
	Ready *Ready // gets the condition "lifecycle": false until every actor is up, and again from the first sign of the end
}

// Group is an ordered list of actors. Add them all, then call Run once.
type Group struct {
	cfg  Config
	deps Deps

	mu     sync.Mutex
	actors []*actor
}

// condition is the name under which a Group reports to Ready.
const condition = "lifecycle"

// New returns an empty group.
func New(cfg Config, deps Deps) *Group {
	if cfg.ShutdownTimeout <= 0 {
		cfg.ShutdownTimeout = DefaultShutdownTimeout
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Ready == nil {
		deps.Ready = &Ready{}
	}
	return &Group{cfg: cfg, deps: deps}
}

// Add appends an actor. Its function calls ready once it can be used by the actors after it, and
// returns soon after its context is cancelled, with every goroutine of its own ended. Returning
// before that, even with nil, is a failure and stops the group. A context.Canceled returned after
// the context was cancelled is no error.
func (g *Group) Add(name string, run func(ctx context.Context, ready func()) error) {
	g.add(&actor{name: name, run: run})
}

// AddStep appends a piece of work that ends by itself: the next actor starts when it has returned nil.
func (g *Group) AddStep(name string, run func(ctx context.Context) error) {
	g.add(&actor{name: name, step: true, run: func(ctx context.Context, _ func()) error { return run(ctx) }})
}

func (g *Group) add(a *actor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.actors = append(g.actors, a)
}

// States lists the actors in start order.
func (g *Group) States() []ActorState {
	g.mu.Lock()
	defer g.mu.Unlock()
	states := make([]ActorState, 0, len(g.actors))
	for _, a := range g.actors {
		state, since := a.is()
		states = append(states, ActorState{Name: a.name, State: state, Since: since})
	}
	return states
}

// Run starts the actors, waits until ctx is cancelled or an actor fails, and stops them. It returns
// the first error there was, wrapped with the actor's name, and nil after an orderly stop. With every
// actor a step, it returns nil when the last one is done.
func (g *Group) Run(ctx context.Context) error {
	g.mu.Lock()
	actors := g.actors
	g.mu.Unlock()

	// Actors must outlive ctx: they are cancelled one by one, in reverse, after the delay.
	detached := context.WithoutCancel(ctx)
	ended := make(chan *actor, len(actors))
	started, err := g.startAll(ctx, detached, actors, ended)
	if err == nil && ctx.Err() == nil {
		g.deps.Ready.Set(condition, true, "")
		g.deps.Log.Info("all parts are running")
		err = g.wait(ctx, actors, ended)
	}
	g.deps.Ready.Set(condition, false, "shutting down")
	if err == nil && ctx.Err() != nil {
		g.deps.Log.Info("stopping", "reason", context.Cause(ctx), "delay", g.cfg.ShutdownDelay)
		err = g.delay(detached, ended)
	}
	if err != nil {
		g.deps.Log.Error("stopping after a failure", "error", err)
	}
	if stopErr := g.stopAll(actors[:started]); err == nil {
		err = stopErr
	}
	return err
}

// startAll starts the actors one after the other and returns how many were started. It ends early
// when ctx is cancelled, which is no error, or when any started actor fails.
func (g *Group) startAll(ctx, detached context.Context, actors []*actor, ended chan *actor) (int, error) {
	for i, a := range actors {
		if ctx.Err() != nil {
			return i, nil
		}
		g.deps.Ready.Set(condition, false, "starting "+a.name)
		begin := time.Now()
		a.start(detached, ended)
		for up := false; !up; {
			select {
			case <-a.up:
				up = true
			case e := <-ended:
				if err := g.judge(e); err != nil {
					return i + 1, err
				}
				up = e == a
			case <-ctx.Done():
				return i + 1, nil
			}
		}
		g.deps.Log.Debug("started", "part", a.name, "after", time.Since(begin))
	}
	return len(actors), nil
}

// judge says whether an actor that returned unasked failed.
func (g *Group) judge(a *actor) error {
	switch {
	case a.err != nil:
		a.enter(Failed)
		return fmt.Errorf("%s: %w", a.name, a.err)
	case !a.step:
		a.enter(Failed)
		return fmt.Errorf("%s: ended without being asked to", a.name)
	}
	a.enter(Stopped)
	return nil
}

// wait returns when ctx is cancelled, an actor fails, or nothing is left to wait for.
func (g *Group) wait(ctx context.Context, actors []*actor, ended chan *actor) error {
	lasting := false
	for _, a := range actors {
		lasting = lasting || !a.step
	}
	if !lasting {
		return nil
	}
	select {
	case a := <-ended:
		return g.judge(a) // a step has ended before its successor started, so this is a failure
	case <-ctx.Done():
		return nil
	}
}

// delay lets requests that are on their way arrive; a failure cuts it short.
func (g *Group) delay(ctx context.Context, ended chan *actor) error {
	if g.cfg.ShutdownDelay <= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, g.cfg.ShutdownDelay)
	defer cancel()
	select {
	case a := <-ended:
		return g.judge(a)
	case <-ctx.Done():
		return nil
	}
}

// stopAll cancels the actors from last to first, each after the one above it has returned. When the
// timeout is over it cancels all that remain at once and names them.
func (g *Group) stopAll(actors []*actor) error {
	deadline := time.NewTimer(g.cfg.ShutdownTimeout)
	defer deadline.Stop()
	var first error
	for i := len(actors) - 1; i >= 0; i-- {
		a := actors[i]
		a.enter(Stopping)
		a.cancel()
		begin := time.Now()
		select {
		case <-a.done:
		case <-deadline.C:
			return firstOf(first, g.abandon(actors[:i+1]))
		}
		if err := g.ended(a); first == nil {
			first = err
		}
		g.deps.Log.Debug("stopped", "part", a.name, "after", time.Since(begin))
	}
	return first
}

// ended judges an actor that returned after it was asked to stop.
func (g *Group) ended(a *actor) error {
	if state, _ := a.is(); state == Failed {
		return nil // reported before
	}
	if a.err == nil || errors.Is(a.err, context.Canceled) {
		a.enter(Stopped)
		return nil
	}
	a.enter(Failed)
	err := fmt.Errorf("%s: %w", a.name, a.err)
	g.deps.Log.Error("a part failed while stopping", "error", err)
	return err
}

func (g *Group) abandon(actors []*actor) error {
	var names []string
	for i := len(actors) - 1; i >= 0; i-- {
		actors[i].cancel()
		select {
		case <-actors[i].done:
		default:
			names = append(names, actors[i].name)
		}
	}
	return fmt.Errorf("not stopped within the shutdown timeout of %s: %s", g.cfg.ShutdownTimeout, strings.Join(names, ", "))
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
